"""What holds for every command: which configuration, in which form the result, and the parts made from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from worker.service.assemble import Runtime
    from worker.settings.settings import Need, Settings
    from worker.targets.target import Target


@dataclass(frozen=True, slots=True)
class Options:
    """The options ``--config`` and ``--json``, wherever they stood."""

    config: Path | None = None
    as_json: bool = False

    def settings(
        self, needs: Need, only: Collection[str] | None = None, env: Mapping[str, str] | None = None
    ) -> Settings:
        """The settings, with the logins that are needed, of all targets or ``only`` these.

        ``env`` is read in the place of the process' environment. Raises ConfigurationError.
        """
        import os

        from worker.service.undumpable import become_undumpable
        from worker.settings.settings import load

        become_undumpable()
        return load(self.config, os.environ if env is None else env, needs, only)

    def runtime(self, needs: Need, settings: Settings | None = None) -> Runtime:
        """All parts, for a command that does more than read a record; what they log goes to stderr.

        ``settings`` are those of all targets, where the command has read them already.
        """
        import logging
        import sys

        from worker.logs import setup
        from worker.logs.redaction import Redactor
        from worker.service.assemble import build

        settings = settings or self.settings(needs)
        redactor = Redactor(settings.secrets())
        setup.configure("console", sys.stderr, redactor, logging.WARNING)
        return build(settings, redactor)


def account_named(settings: Settings, name: str | None) -> str:
    """The configured account of this name; without one the default one. Raises UsageError."""
    from worker.targets.account import DEFAULT_ACCOUNT

    wanted = name or DEFAULT_ACCOUNT
    if wanted in settings.accounts:
        return wanted
    from worker.errors import UsageError

    what = f"there is no account {name[:64]!r}" if name else "it is not said which account is meant"
    raise UsageError(f"{what} in {settings.file}", hint=f"Give --account, one of: {', '.join(settings.accounts)}.")


def target_named(settings: Settings, name: str) -> Target:
    """The configured target of this name. Raises UsageError."""
    found = settings.targets.get(name)
    if found is not None:
        return found
    from difflib import get_close_matches

    from worker.errors import UsageError

    alike = get_close_matches(name, settings.targets, n=1)
    meant = f"Did you mean {alike[0]}? " if alike else ""
    raise UsageError(
        f"there is no target {name[:64]!r} in {settings.file}", hint=f"{meant}`rotator status` lists all targets."
    )
