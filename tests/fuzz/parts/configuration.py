"""The configuration file: TOML, in any state."""

from __future__ import annotations

import os
import random
import re
import tempfile
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.fuzz.limits import seen
from tests.fuzz.mutations import MOMENTS, ODD_TEXTS, mutated_bytes
from tests.fuzz.part import Part
from worker.settings.settings import Settings, load
from worker.targets.schedule import next_rotation

SECRET = "hk_live_planted-api-key-of-the-fuzz"
LARGEST = 128 * 1024
"""Bytes: a file of some thousand targets may take more than a second."""

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
_FILE = Path(tempfile.gettempdir()) / f"rotator-fuzz-{os.getpid()}.toml"
_ENVIRONMENT = {
    "HOSTUP_API_KEY": SECRET,
    "VAULT_TOKEN": "hvs.planted-token-of-the-fuzz",
    "VAULT_ADDR": "http://127.0.0.1:8200",
    "REDIS_URL": "redis://:planted-password@127.0.0.1:6379/0",
}
_SECRETS = (SECRET, "hvs.planted-token-of-the-fuzz", "planted-password")
_SHIPPED = Path(__file__).parents[3] / "config" / "rotator.toml"
_ASSIGNMENT = re.compile(r"(?m)^([\w.-]+ *= *)([^#\n]*)")
_VALUES = (
    "true", "-1", "0", "1e400", "nan", "inf", "0x7fffffffffffffff", "9" * 5000, "1979-05-27T07:32:00Z", "07:32:00",
    '""', '"1s"', '"400d"', '"999999999w"', '"0 3 30 2 *"', '"* * * * *"', '"0 0 29 2 *"', '"*/61 * * * *"',
    '"0 3 1 1-12/2 MON#5"', '"1,' + ",".join(["2"] * 3000) + ' * * * *"', '"02:00-05:00 Europe/Stockholm"',
    '"23:59-00:00 ../../etc/passwd"', '"02:00-02:30 Pacific/Apia"',
    '"00:00-23:59 Etc/GMT+12"', '"{rotation_id}{target"',
    '"{rotation_id.__class__}"', '"' + "{rotation_id}" * 400 + '"', '["a"]', "[[]]", "{}", '{ access_key = "a" }',
    '{ access_key = "a", secret_key = "a" }', "{ a = { b = { c = 1 } } }", "[" * 400 + "]" * 400, "[" * 100_000,
    '"https://user:pw@host"', '"http://127.0.0.1:99999"', '"http://[::1]:1/v1"', '"https://' + "a." * 4000 + '"',
    '"a/../b"', '"/' + "a" * 600 + '"', "'''x\ny'''", '"\\u0000"', '"\\uD800"', '"\\U0010FFFF"', '"\\u202e"',
)  # fmt: skip


def _seeds() -> Sequence[bytes]:
    """The file as it is shipped, the same with all that is behind a # set, and single targets."""
    shipped = _SHIPPED.read_text("utf-8")
    every = re.sub(r"(?m)^# ?(?=[a-z_]+ = |\[\[)", "", shipped)
    target = '[[target]]\nname = "a{0}"\npath = "apps/a{0}"\n{1}\n'
    schedules = (
        'every = "30d"\nwindow = "02:00-05:00 Europe/Stockholm"\njitter = "1h"\ngrace = "1d"',
        'cron = "*/7 3-5 1,15 * MON-FRI"\ngrace = "1m"\nfields = "aws-env"\nextra = { bucket = "media" }',
        'cron = "0 3 L * *"\nwindow = "01:00-04:00 America/New_York"\nlabel = "{date} {target} {rotation_id}"',
    )
    single = "".join(target.format(number, schedule) for number, schedule in enumerate(schedules))
    return [text.encode() for text in (shipped, every, single)]


def _mutate(data: bytes, draw: random.Random) -> bytes:
    text = data.decode("utf-8", "replace")
    lines = text.split("\n")
    at = draw.randrange(len(lines))
    values = list(_ASSIGNMENT.finditer(text))
    match draw.randrange(10):
        case 0:
            return mutated_bytes(data, draw)
        case 1:
            del lines[at]
        case 2:
            lines.insert(draw.randrange(len(lines)), lines[at])
        case 3:
            lines[at] = lines[at] * draw.choice((2, 50))
        case 4:
            lines[at] = lines[at].lstrip("# ")
        case 5:
            lines[at:at] = lines[: draw.randrange(len(lines))] * draw.choice((1, 30))
        case 6 if values:
            name = draw.choice(values)
            key = draw.choice(
                ("__class__", '"a b"', "'\u202e'", "a.b.c", "proxy", "token", "name", "extra", "x" * 4000)
            )
            return (text[: name.start()] + f"{key} = {draw.choice(_VALUES)}\n" + text[name.start() :]).encode(
                "utf-8", "replace"
            )
        case _ if values:
            value = draw.choice(values)
            new = draw.choice((draw.choice(_VALUES), _quoted(draw)))
            return (text[: value.start(2)] + new + text[value.end(2) :]).encode("utf-8", "replace")
    return "\n".join(lines).encode("utf-8", "replace")


def _quoted(draw: random.Random) -> str:
    text = draw.choice((*ODD_TEXTS, *MOMENTS)) * draw.choice((1, 1, 40))
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _run(data: bytes) -> Iterator[str]:
    if len(data) > LARGEST:
        return
    _FILE.write_bytes(data)
    yield from seen(lambda: _used(load(_FILE, _ENVIRONMENT)))


def _used(settings: Settings) -> object:
    """What a worker does with settings that were accepted."""
    names = []
    for target in settings.targets.values():
        due = next_rotation(target.schedule, target.name, NOW, NOW)
        names.append((target.render_label("4f48fda4-7093-4ada-9345-671d015af62f", NOW), due, target.plan()))
    return names, settings.hostup, settings.storage, settings.vault, settings.worker


PART = Part("configuration", _seeds, _mutate, _run, share=1500, secrets=_SECRETS)
