"""``python -m tests.systemd``: the units of systemd for real. Not part of pytest's run: it needs root and debootstrap."""
