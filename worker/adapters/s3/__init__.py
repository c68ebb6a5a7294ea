"""The object storage, asked about keys."""
