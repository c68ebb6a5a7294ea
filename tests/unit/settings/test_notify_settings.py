from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.settings.configuring import ALL, TARGET, problems, read
from worker.notices.notice import TROUBLE
from worker.settings.channels import Command, Mail, Webhook
from worker.settings.environment import Need

NEEDS = ALL | Need.NOTICES
OWNED = f'{TARGET}owner = "team-media"\n'
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
HOOK = 'kind = "webhook"\nurl = "https://hooks.example.com/a"\n'
MAIL = 'kind = "mail"\nserver = "smtp.example.com:587"\nsender = "a@example.com"\nto = ["b@example.com"]\n'
PASSWORD = "a password of the mail server".replace(" ", "-")


def notify(lines: str) -> str:
    return f'{OWNED}[[notify]]\nname = "hook"\n{lines}'


def test_without_any_there_are_none(tmp_path: Path) -> None:
    assert read(tmp_path).channels == ()
    assert read(tmp_path, OWNED).targets["media"].owner == "team-media"


def test_a_webhook_with_its_secrets(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    lines = (
        f'{HOOK}events = ["published"]\nowners = ["team-media"]\nsecret_file = "{tmp_path}/secret"\ntoken_env = "TOKEN"'
    )
    settings = read(tmp_path, notify(lines), env={"TOKEN": "token-of-the-hook"}, needs=NEEDS)
    (channel,) = settings.channels
    assert isinstance(channel.way, Webhook)
    assert channel.way.secret
    assert channel.way.secret.value.reveal() == SECRET
    assert (set(channel.route.events), set(channel.route.owners)) == ({"published"}, {"team-media"})
    assert channel.timeout == timedelta(seconds=10)
    assert {SECRET, "token-of-the-hook"} <= {secret.reveal() for secret in settings.secrets()}
    assert "https://hooks.example.com/a" not in {secret.reveal() for secret in settings.secrets()}


def test_an_address_that_is_a_secret_itself(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("https://hooks.slack.example/T0/B0?sig=canary-of-the-url")
    settings = read(tmp_path, notify(f'kind = "slack"\nurl_file = "{tmp_path}/url"'), needs=NEEDS)
    (channel,) = settings.channels
    assert "https://hooks.slack.example/T0/B0?sig=canary-of-the-url" in {s.reveal() for s in settings.secrets()}
    assert "canary" not in repr(channel)
    assert channel.route.events == set(TROUBLE)


def test_mail_and_a_program(tmp_path: Path) -> None:
    lines = f'{MAIL}user = "rotator"\npassword_env = "SMTP"\ntimeout = "20s"'
    (mail,) = read(tmp_path, notify(lines), env={"SMTP": PASSWORD}, needs=NEEDS).channels
    assert isinstance(mail.way, Mail)
    assert (mail.way.host, mail.way.port, mail.way.tls) == ("smtp.example.com", 587, "starttls")
    lines = 'kind = "command"\nrun = ["/bin/true", "x"]\npass_env = ["KUBECONFIG"]'
    (command,) = read(tmp_path, notify(lines), needs=NEEDS).channels
    assert command.way == Command(("/bin/true", "x"), ("KUBECONFIG",))


def test_a_command_that_sends_nothing_needs_no_secret(tmp_path: Path) -> None:
    lines = f'{HOOK}secret_file = "/nowhere/at/all"'
    assert len(read(tmp_path, notify(lines)).channels) == 1
    assert problems(tmp_path, notify(lines), needs=NEEDS) == [
        'FILE: notify[1] "hook": secret_file: /nowhere/at/all cannot be read: No such file or directory'
    ]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ("", "kind: is missing"),
        ('kind = "weebhook"', "did you mean webhook?"),
        (f'{HOOK}event = ["failed"]', "did you mean events?"),
        (f'{HOOK}events = ["fail"]', "did you mean failed?"),
        (f"{HOOK}events = []", "must be a list of texts"),
        (f'{HOOK}events = ["test"]', "is not known"),
        (f'{HOOK}targets = ["medja"]', 'there is no target "medja"; did you mean media?'),
        (f'{HOOK}owners = ["team-medja"]', "did you mean team-media?"),
        (f'{HOOK}timeout = "2m"', "at most 1m"),
        (f'{HOOK}to = ["a@example.com"]', "of kind webhook"),
        (f'{HOOK}url_env = "URL"', "given twice"),
        ('kind = "webhook"', "url: is missing"),
        ('kind = "webhook"\nurl = "http://hooks.example.com/a"', "must begin with https://"),
        ('kind = "webhook"\nurl = "https://hooks.example.com/?sig=canary"', "belongs into url_file"),
        ('kind = "slack"\nurl = "https://hooks.slack.example/canary"', "allowed are"),
        (f'{HOOK}secret_env = "BAD"', "openssl rand"),
        (f'{HOOK}secret_env = "UNSET"', "secret_env: names a variable that is not set"),
        (f'{HOOK}secret_file = "relative/canary"', "must be an absolute path"),
        (f'{HOOK}secret_file = "/a"\nsecret_env = "BAD"', "leave one of them out"),
        (f'{MAIL}tls = "none"', "for this machine only"),
        (f'{MAIL}user = "a"', "go together"),
        (MAIL.replace(":587", ""), "must be a host and a port"),
        (MAIL.replace("b@example.com", "b@example.com\\nBcc: c@example.com"), "must be a list of texts"),
        (MAIL.replace("b@example.com", "b, c@example.com"), "is no e-mail address"),
        ('kind = "command"', "run: is missing"),
        ('kind = "command"\nrun = ["kubectl"]', "no absolute path"),
        ('kind = "command"\nrun = "/bin/true"', "must be a list of texts"),
    ],
)
def test_what_is_wrong_is_said_and_no_secret_is_quoted(tmp_path: Path, lines: str, problem: str) -> None:
    found = problems(tmp_path, notify(lines), env={"BAD": "canary-bad-secret", "URL": "https://a.example"}, needs=NEEDS)
    assert len(found) == 1
    assert problem in found[0]
    assert found[0].startswith('FILE: notify[1] "hook": ')
    assert "canary" not in found[0].replace("canary.toml", "")


def test_names_are_unique_and_tables_are_lists(tmp_path: Path) -> None:
    twice = f'{notify(HOOK)}[[notify]]\nname = "hook"\n{HOOK}'
    assert problems(tmp_path, twice) == ['FILE: notify[2] "hook": has the name of another channel; each needs its own']
    assert problems(tmp_path, f"{TARGET}[notify]\n{HOOK}") == [
        "FILE: notify: must be written [[notify]], once for each channel"
    ]
