"""The HostUp API."""
