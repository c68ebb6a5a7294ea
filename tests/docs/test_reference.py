"""What the pages list is what the code has: settings, variables, events, exit codes, names of fields, commands."""

from __future__ import annotations

from tests.docs.pages import page

CONFIGURATION = page("configuration.md")
OPERATE = page("operate.md")
SECTIONS = ("hostup", "storage", "vault", "redis", "worker", "[target]")

NO_DEFAULT = {"endpoint", "region", "address", "url", "name", "path", "every", "cron", "window", "jitter"}
"""Settings that must be given, or whose default follows from others."""

OF_LIBRARIES = {
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "MALLOC_ARENA_MAX",
    "ROTATOR_DEPLOYMENT",
}
"""Variables that are read by httpx, OpenSSL, the C library and the Compose file, and may not stand in our code."""
