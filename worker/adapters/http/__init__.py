"""HTTP calls on httpcore, with a deadline for the call as a whole; :mod:`.client` is the way in."""
