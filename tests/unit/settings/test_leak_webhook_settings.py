"""``[leak_webhook]``: off unless it is set, and then with a secret that the file never holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports import SECRET
from tests.unit.settings.configuring import ALL, TARGET, problems, read
from worker.settings.environment import Need
from worker.settings.metrics import Listen

LISTENS = f'[leak_webhook]\nlisten = "127.0.0.1:9465"\n{TARGET}'
VARIABLE = "ROTATOR_LEAK_WEBHOOK_SECRET"
WORKER = ALL | Need.NOTICES


def test_nobody_listens_unless_it_is_said_where(tmp_path: Path) -> None:
    assert read(tmp_path, needs=WORKER).leak_webhook.listen is None


def test_the_secret_is_in_the_environment_or_in_a_file(tmp_path: Path) -> None:
    given = read(tmp_path, LISTENS, env={VARIABLE: SECRET}, needs=WORKER)
    assert given.leak_webhook.listen == Listen("127.0.0.1", 9465)
    assert given.leak_webhook.secret in given.secrets()
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    in_file = read(tmp_path, LISTENS, env={f"{VARIABLE}_FILE": str(file)}, needs=WORKER).leak_webhook
    assert (in_file.secret, in_file.secret_file) == (given.leak_webhook.secret, file)


def test_a_worker_that_listens_needs_a_secret_and_a_command_does_not(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, LISTENS, needs=WORKER)
    assert said.startswith(f"environment: {VARIABLE}: is missing")
    assert read(tmp_path, LISTENS).leak_webhook.secret is None


@pytest.mark.parametrize("value", ["a-password", "whsec_", "whsec_QUJD", "whsec_!!!", "whsec_" + "QUJD" * 30])
def test_a_secret_of_another_form_is_a_problem_that_does_not_show_it(tmp_path: Path, value: str) -> None:
    (said,) = problems(tmp_path, LISTENS, env={VARIABLE: value}, needs=WORKER)
    assert said.startswith(f"environment: {VARIABLE}: must be whsec_ and 24 to 64 random bytes")
    assert value == "whsec_" or value not in said


def test_in_the_file_a_secret_is_a_mistake(tmp_path: Path) -> None:
    (said,) = problems(tmp_path, LISTENS.replace("[[", f'secret = "{SECRET}"\n[[', 1))
    assert said.startswith("FILE: [leak_webhook] secret: is an unknown name")
    assert SECRET not in said
