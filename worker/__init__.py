"""Rotates object-storage access keys of the host HostUp: create, publish in Vault, retire, trace."""

__version__ = "0.1.0"
