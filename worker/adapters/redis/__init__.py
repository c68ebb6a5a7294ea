"""What the workers share in Redis."""
