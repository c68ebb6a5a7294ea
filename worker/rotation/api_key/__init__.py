"""The life of the worker's own API key: in Vault, rolled on demand and on schedule, and what is on record of it."""
