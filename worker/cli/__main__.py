"""``python -m worker.cli`` is ``rotator``."""

from worker.cli import main

main()
