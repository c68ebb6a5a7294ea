"""The simulated HostUp: its API, its object storage and the controls."""
