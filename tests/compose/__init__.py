"""``python -m tests.compose``: docker-compose.yml for real. Not part of pytest's run, it needs root and podman."""
