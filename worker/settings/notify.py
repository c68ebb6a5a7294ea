"""``[[notify]]``: who is told of what, and by which way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, PlainValidator, ValidationError

from worker.notices.forms import FORMS
from worker.notices.notice import NAMED, TROUBLE
from worker.notices.routes import Route
from worker.notices.signing import signing_secret
from worker.secret import Secret
from worker.settings.address import address_problem, is_host, is_this_machine
from worker.settings.channels import TLS, Channel, Command, Mail, Webhook
from worker.settings.notify_secrets import Given, Names, given_secret, hook_address, keys_of
from worker.settings.problems import Problems, did_you_mean, entries_of, place_of_entry, show_text, unknown
from worker.settings.values import STRICT, Duration, Name, Text, secret_word
from worker.targets.durations import format_duration
from worker.targets.target import Target

MAIL, COMMAND = "mail", "command"
KINDS = (*FORMS, MAIL, COMMAND)

LONGEST_TIMEOUT = timedelta(minutes=1)

_ALL = ("name", "kind", "events", "targets", "owners", "timeout")
_URL, _URL_SECRET = keys_of("url"), keys_of("url")[1:]
_OF_KIND: Mapping[str, tuple[str, ...]] = {
    "webhook": (*_URL, *keys_of("secret")[1:], *keys_of("token")[1:]),
    "slack": _URL_SECRET,
    "teams": _URL_SECRET,
    "ntfy": (*_URL, *keys_of("token")[1:]),
    MAIL: ("server", "tls", "sender", "to", "user", *keys_of("password")[1:]),
    COMMAND: ("run", "pass_env"),
}
"""What may be set beside that which all have. The address of Slack and Teams is a secret itself."""


def _one_of(allowed: tuple[str, ...]) -> AfterValidator:
    def check(value: str) -> str:
        if value not in allowed:
            meant = did_you_mean(value, allowed)
            raise ValueError(f"{show_text(value)} is not known; {meant}allowed are {', '.join(allowed)}")
        return value

    return AfterValidator(check)


def _texts(example: str, check: Callable[[str], str] = str) -> PlainValidator:
    def read(value: object) -> tuple[str, ...]:
        given = value if isinstance(value, list) else []
        texts = [text for text in given if isinstance(text, str) and text]
        if not texts or len(texts) != len(given) or not "".join(texts).isprintable():
            raise ValueError(f"must be a list of texts, such as {example}")
        return tuple(map(check, texts))

    return PlainValidator(read)


def _event(name: str) -> str:
    if name not in NAMED:
        meant = did_you_mean(name, NAMED)
        raise ValueError(f"holds {show_text(name)}, which is not known; {meant}allowed are {', '.join(NAMED)}")
    return name


def _mailbox(text: str) -> str:
    local, _, host = text.rpartition("@")
    if not local or not is_host(host) or not text.isascii() or set(text) & set(' ,;:<>()[]"\\'):
        raise ValueError(f"{show_text(text)} is no e-mail address; allowed is the plain form, such as ops@example.com")
    return text


def _program(words: tuple[str, ...]) -> tuple[str, ...]:
    if not words[0].startswith("/"):
        raise ValueError(f"{show_text(words[0])} is no absolute path of a program")
    return words


def _short(timeout: timedelta) -> timedelta:
    if timeout > LONGEST_TIMEOUT:
        raise ValueError(f"{format_duration(timeout)} is too long; at most {format_duration(LONGEST_TIMEOUT)}")
    return timeout


class NotifyEntry(BaseModel):
    """One ``[[notify]]``, whatever its kind; which keys go with which kind is checked afterwards."""

    model_config = STRICT

    name: Annotated[Name, Field(description="what the channel is called, in logs and metrics")]
    kind: Annotated[Text, _one_of(KINDS), Field(description=f"one of {', '.join(KINDS)}")]
    events: Annotated[tuple[str, ...], _texts('["failed", "recovered"]', _event)] = tuple(TROUBLE)
    targets: Annotated[tuple[str, ...], _texts('["media-uploads"]')] = ()
    owners: Annotated[tuple[str, ...], _texts('["team-media"]')] = ()
    timeout: Annotated[Duration, AfterValidator(_short)] = timedelta(seconds=10)
    url: Text | None = None
    url_file: Text | None = None
    url_env: Text | None = None
    secret_file: Text | None = None
    secret_env: Text | None = None
    token_file: Text | None = None
    token_env: Text | None = None
    server: Text | None = None
    tls: Annotated[Text, _one_of(TLS)] = "starttls"
    sender: Annotated[Text, AfterValidator(_mailbox)] | None = None
    to: Annotated[tuple[str, ...], _texts('["ops@example.com"]', _mailbox)] = ()
    user: Text | None = None
    password_file: Text | None = None
    password_env: Text | None = None
    run: Annotated[tuple[str, ...], _texts('["/usr/local/bin/refresh"]'), AfterValidator(_program)] = ()
    pass_env: Annotated[tuple[str, ...], _texts('["KUBECONFIG"]')] = ()


def read_channels(
    file: str, raw: object, known: Mapping[str, Target], env: Mapping[str, str] | None, problems: Problems
) -> tuple[Channel, ...]:
    """All channels, from the file's ``notify``; what is wrong is noted in ``problems``.

    ``known`` are the targets, none where they were not read. ``env`` None: secrets are not needed, and not read.
    """
    table = f"{file}: notify"
    channels: dict[str, Channel] = {}
    for number, entry in enumerate(entries_of(raw, table, "each channel", problems), 1):
        where = place_of_entry(table, number, entry)
        try:
            model = NotifyEntry.model_validate(entry)
        except ValidationError as error:
            problems.note_invalid(error, partial("{}: {}".format, where), NotifyEntry)
            continue
        try:
            channel = _channel(model, known, env)
        except ValueError as error:
            problems.note(where, str(error))
            continue
        if channels.setdefault(channel.name, channel) is not channel:
            problems.note(where, "has the name of another channel; each needs its own")
    return tuple(channels.values())


def _channel(entry: NotifyEntry, known: Mapping[str, Target], env: Mapping[str, str] | None) -> Channel:
    """Raises ValueError."""
    allowed = (*_ALL, *_OF_KIND[entry.kind])
    for key in sorted(entry.model_fields_set):
        if key not in allowed:
            raise ValueError(f"{key}: of kind {entry.kind} it {unknown(key, allowed)}")
    owners = {target.owner for target in known.values() if target.owner}
    for what, named, there in (("target", entry.targets, set(known)), ("owner", entry.owners, owners)):
        missing = sorted(set(named) - there) if known else []
        if missing:
            raise ValueError(f"{what}s: there is no {what} {show_text(missing[0])}; {did_you_mean(missing[0], there)}")
    route = Route(frozenset(entry.events), frozenset(entry.targets), frozenset(entry.owners))
    return Channel(entry.name, entry.kind, route, entry.timeout, _way(entry, env))


def _way(entry: NotifyEntry, env: Mapping[str, str] | None) -> Webhook | Mail | Command:
    if entry.kind == COMMAND:
        if not entry.run:
            raise ValueError('run: is missing; it is the program and its arguments, such as ["/usr/local/bin/refresh"]')
        return Command(entry.run, entry.pass_env)
    return _mail(entry, env) if entry.kind == MAIL else _webhook(entry, env)


def _webhook(entry: NotifyEntry, env: Mapping[str, str] | None) -> Webhook:
    secret = given_secret("secret", Names(entry.secret_file, entry.secret_env), signing_secret, env)
    token = given_secret("token", Names(entry.token_file, entry.token_env), secret_word, env)
    hidden = given_secret("url", Names(entry.url_file, entry.url_env), hook_address, env)
    allowed = ", ".join(key for key in _URL if key in _OF_KIND[entry.kind])
    if (hidden is None) == (entry.url is None):
        raise ValueError(f"url: is {'given twice' if hidden else 'missing'}; give one of {allowed}")
    if hidden:
        return Webhook(hidden, secret, token)
    url = str(entry.url)
    if problem := address_problem(url):
        raise ValueError(f"url: {problem}; one that holds something secret belongs into url_file or url_env")
    return Webhook(Given(Secret(url), None, "url", hook_address, is_secret=False), secret, token)


def _mail(entry: NotifyEntry, env: Mapping[str, str] | None) -> Mail:
    if not entry.server or not entry.sender or not entry.to:
        raise ValueError("server, sender, to: are needed for mail; one of them is missing")
    host, _, port = entry.server.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not is_host(host) or not port.isascii() or not port.isdecimal() or not 0 < int(port[:6]) < 65536:  # noqa: PLR2004
        raise ValueError("server: must be a host and a port, such as smtp.example.com:587")
    if entry.tls == "none" and not is_this_machine(host):
        raise ValueError('tls: "none" is for this machine only, such as for 127.0.0.1:25; use starttls or tls')
    password = given_secret("password", Names(entry.password_file, entry.password_env), secret_word, env)
    if (password is None) != (entry.user is None):
        raise ValueError("user: and a password (password_file or password_env) go together; one of them is missing")
    return Mail(host, int(port), entry.tls, entry.sender, entry.to, entry.user, password)
