"""Metrics: what all workers share (from Redis, the same on each of them), and what this process did."""
