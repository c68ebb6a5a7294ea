"""``python -m tests.systemd``: the units of systemd for real. Not in pytest's run: it needs root and debootstrap."""
