"""``[leak_webhook]``: where secret scanners say that a key leaked, and the secret that they sign with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, InstanceOf

from worker.notices.signing import signing_secret
from worker.secret import Secret
from worker.settings.environment import WHERE, Need, Variable, is_set
from worker.settings.metrics import ListenAt
from worker.settings.problems import Problems
from worker.settings.values import STRICT

SECRET = "ROTATOR_LEAK_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
SECRET_FILE = "ROTATOR_LEAK_WEBHOOK_SECRET_FILE"  # noqa: S105 - the same


def _signing(value: object) -> object:
    return signing_secret(value) if isinstance(value, str) else value


class LeakWebhookSettings(BaseModel):
    """``[leak_webhook]``. ``listen``: None is off. The secret is read again when its file changes."""

    model_config = STRICT

    listen: ListenAt = None
    secret: Annotated[
        Annotated[InstanceOf[Secret], BeforeValidator(_signing)] | None, Variable("ROTATOR_LEAK_WEBHOOK_SECRET")
    ] = None
    secret_file: Annotated[Path | None, Variable("ROTATOR_LEAK_WEBHOOK_SECRET_FILE")] = None


def check_secret(given: LeakWebhookSettings, env: Mapping[str, str], needs: Need, problems: Problems) -> None:
    """See that what listens has a secret: whoever reaches it could else have keys deleted."""
    if given.listen and Need.NOTICES in needs and not is_set(SECRET, env):
        what = f"is missing; [leak_webhook] listens, and takes only what is signed with it. Or set {SECRET_FILE}"
        problems.note(f"{WHERE}: {SECRET}", what)
