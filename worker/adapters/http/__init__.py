"""HTTP calls with a deadline for the call as a whole."""
