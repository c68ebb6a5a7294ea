"""What the pages list is what the code has: settings, variables, events, exit codes, names of fields, commands."""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from tests.docs.pages import ALL, DOCS, README, ROOT, Page, codes, page
from worker import errors
from worker.cli.commands import app
from worker.credentials.command import SUMMARIES
from worker.credentials.command import main as for_apps
from worker.events import Event
from worker.rotation.changes.rotation import TRIGGERS
from worker.targets.fields import PRESETS, SOURCES

CONFIGURATION = page("configuration.md")
OPERATE = page("operate.md")
SECTIONS = (
    *("hostup", "storage", "vault", "redis", "worker", "metrics", "leak_webhook", "log"),
    *("[account]", "[target]", "[freeze]", "[destination]", "[notify]"),
)

NO_DEFAULT = {
    *("endpoint", "region", "address", "url", "name", "path", "from", "to", "reason"),
    *("every", "cron", "window", "jitter", "extra", "retire_cap", "readers", "presign_ttl", "listen"),
    *("owner", "kind", "events", "targets", "owners", "url_file", "url_env", "secret_file", "secret_env", "token_file"),
    *("api_key_file", "api_key_path", "api_key_every", "api_key_scopes", "bootstrap_key_file", "also", "namespace"),
    *("token_env", "server", "sender", "to", "user", "password_file", "password_env", "run", "pass_env"),
}
"""Settings that must be given, or whose default follows from others."""

OF_LIBRARIES = {
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "MALLOC_ARENA_MAX",
    "ROTATOR_DEPLOYMENT",
    "NOTIFY_SOCKET",
    *(f"OTEL_EXPORTER_OTLP_{signal}_{what}" for signal in ("TRACES", "METRICS") for what in ("ENDPOINT", "PROTOCOL")),
    *("OTEL_TRACES_EXPORTER", "OTEL_METRICS_EXPORTER", "OTEL_SERVICE_NAME", "OTEL_RESOURCE_ATTRIBUTES"),
    *("OTEL_TRACES_SAMPLER", "OTEL_METRIC_EXPORT_INTERVAL", "SENTRY_ENVIRONMENT"),
    *("SENTRY_DSN_FILE", "HOSTUP_BOOTSTRAP_KEY_FILE"),
}
"""Variables that are read by libraries and the Compose file, set by systemd, or put together of parts in the code."""

OF_THE_SHELL = {0, 2, 130}
"""Exit codes that no error has: all is well, wrong arguments (typer), interrupted."""

_VARIABLE = re.compile(r"(?:HOSTUP|VAULT|REDIS|ROTATOR|OTEL|SENTRY)_[A-Z_]+")
_SETTING = re.compile(r"(?:# ?)?(\w+) = (.+)")


def test_every_setting_is_described_with_its_default() -> None:
    """As config/rotator.toml has them, where a value behind a # is the default."""
    for section, settings in _settings().items():
        described = {codes(row[0])[0]: row[1] for row in _rows(section)}
        assert set(described) == set(settings), section
        for name, default in settings.items():
            assert default is None or codes(described[name]) == [default], f"[{section}] {name}"


def test_every_variable_that_is_read_is_described() -> None:
    described = {name for row in CONFIGURATION.table("variable") for name in codes(row[0])}
    read = _variables()
    assert len(read) > 10
    assert read - described == set()
    assert described - read - OF_LIBRARIES == set()


def test_every_event_that_happens_is_described_once() -> None:
    described = [name for row in OPERATE.table("event") for name in codes(row[0])]
    assert sorted(described) == sorted(Event[name].value for name in _events())


def test_every_event_has_a_line_that_shows_it_at_its_level() -> None:
    (block,) = [code for code in page("log-lines.md").code if code.language == "json"]
    lines = [json.loads(line) for line in block.text.splitlines()]
    assert [line["event"] for line in lines] == [event.value for event in Event]
    levels = {name: row[1] for row in OPERATE.table("event") for name in codes(row[0])}
    wrong = [line["event"] for line in lines if line["level"] not in levels[line["event"]].split(" or ")]
    assert wrong == []


def test_every_exit_code_is_described() -> None:
    described = {int(row[0]) for row in OPERATE.table("code")}
    assert described == {kind.exit_code for kind in _kinds(errors.RotatorError)} | OF_THE_SHELL
    line = next(line for line in README.text.splitlines() if "Exit codes:" in line)
    named = {int(number) for number in re.findall(r"\d+", line.partition("Exit codes:")[2])}
    assert named == {kind.exit_code for kind in _kinds(errors.RotatorError)} | {0, 2}


def test_the_names_of_fields_are_those_of_the_presets() -> None:
    renamed = SOURCES[:4]
    table = {codes(row[0])[0]: codes(row[1]) for row in page("apps.md").table("`fields`") if codes(row[0])}
    assert set(table) == set(PRESETS)
    for preset, fields in PRESETS.items():
        pairs = dict(fields.pairs)
        assert table[preset] == [name for source in renamed for name in pairs[source]]
    always = page("apps.md").section("Fields").partition("Beside them, always:")[2].partition(".")[0]
    assert codes(always) == list(SOURCES[4:])
    in_short = README.section("How an app reads its key").partition("or under")[0]
    assert codes(in_short) == list(renamed)


def test_every_dependency_has_its_reason() -> None:
    named = {name for row in page("decisions.md").table("package") for name in re.split(r",(?: with)? | and ", row[0])}
    declared = _dependencies()
    plain = {name for name in declared if "types" not in name and "stubs" not in name}
    assert plain - named == set()
    assert named - declared == {"others"}


def test_every_extra_is_told_of_and_locked() -> None:
    """But that of the sandbox, which a checkout has."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"].keys()
    told = {
        name
        for each in DOCS
        for found in re.findall(r"hostup-rotator\[([\w,]+)\]", each.text)
        for name in found.split(",")
    }
    locked = set(re.findall(r"--extra (\w+)", (ROOT / "requirements" / "lock.sh").read_text("utf-8")))
    assert extras - told == {"sandbox"}
    assert (told - extras, extras - locked) == (set(), set())


def test_the_triggers_of_rotations_are_those_that_the_pages_list() -> None:
    (attribute,) = (row for row in page("telemetry.md").table("attribute") if "rotator.trigger" in row[0])
    listed = re.search(r"Triggers are (.+);", page("monitoring.md").text)
    assert listed
    assert codes(attribute[1]) == list(TRIGGERS)
    assert codes(listed[1]) == list(TRIGGERS)


def test_every_trigger_that_a_rotation_can_have_is_one_of_them() -> None:
    """A constant with such a docstring, in whatever order they stand."""
    text = (ROOT / "worker/rotation/changes/rotation.py").read_text("utf-8")
    named = re.findall(r'^[A-Z]+ = "(\w+)"\n"""The trigger of', text, re.MULTILINE)
    assert sorted(named) == sorted(TRIGGERS)


def test_comments_of_shipped_files_name_commands_that_exist() -> None:
    files = [each for each in (ROOT / "config").rglob("*") if each.suffix in {".yaml", ".toml", ".service"}]
    commands = [c for each in files for c in re.findall(r"\((rotator [^)]+)\)", each.read_text("utf-8"))]
    assert commands != []
    assert [command for command in commands if not _exists(command)] == []


@pytest.mark.parametrize("each", ALL, ids=lambda each: each.name)
def test_commands_and_options_that_pages_name_exist(each: Page) -> None:
    assert [command for command in _named(each, "rotator") if not _exists(command)] == []
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert [command for command in _named(each, "make") if command.split()[1] not in targets] == []


def test_a_command_that_does_not_exist_would_be_noticed() -> None:
    assert _exists("rotator settle TARGET ROTATION_ID --revoke ACCESS_KEY")
    assert _exists("rotator --help")
    assert not _exists("rotator settle TARGET --forget")
    assert not _exists("rotator forget TARGET")
    assert _exists("rotator credentials --path apps/a")
    assert not _exists("rotator credentials --forget")


@pytest.mark.parametrize("each", DOCS, ids=lambda each: each.name)
def test_blocks_of_toml_can_be_read(each: Page) -> None:
    for code in each.code:
        if code.language == "toml":
            tomllib.loads(code.text)


def _dependencies() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    groups = (each for group in project["dependency-groups"].values() for each in group if isinstance(each, str))
    extras = (each for extra in project["project"]["optional-dependencies"].values() for each in extra)
    wanted = (*project["project"]["dependencies"], *extras, *groups)
    return {re.split(r"[^a-z0-9-]", each)[0] for each in wanted}


def _rows(section: str) -> list[list[str]]:
    heading = section.strip("[]") if section == "[freeze]" else section
    rest = CONFIGURATION.text.partition(f"### [{heading}]\n")[2].partition("\n#")[0]
    lines = [line for line in rest.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def _settings() -> dict[str, dict[str, str | None]]:
    """Each table of config/rotator.toml: its keys, with their defaults where it tells them."""
    found: dict[str, dict[str, str | None]] = {section: {} for section in SECTIONS}
    section = ""
    for line in (ROOT / "config" / "rotator.toml").read_text("utf-8").splitlines():
        head = re.fullmatch(r"(?:# )?\[(.+)\]", line)
        section = head[1] if head else section
        setting = _SETTING.match(line)
        if setting and section:
            default = None if setting[1] in NO_DEFAULT else setting[2].partition("#")[0].strip().strip('"')
            found[section].setdefault(setting[1], default)
    return found


def _variables() -> set[str]:
    """Every text in the code that is the name of a variable."""
    texts = {
        node.value
        for path in ROOT.glob("worker/**/*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in texts if _VARIABLE.fullmatch(text) and not text.endswith("_")}


WITHOUT_FORM = {"worker", "sandbox", "selftest", "vault policy", "vault setup"}
"""They print logs, run until Ctrl-C, or print what Vault's own forms are."""


def test_every_command_that_prints_json_has_a_form() -> None:
    operators, evidence = page("operators.md"), page("evidence.md")
    links = re.findall(r"\[([^]]+)\]\(schemas/([^)]+)\)", evidence.text)
    heads = [rows[0][0] for each in (operators, evidence) for rows in each.tables()]
    tables = {name for head in heads for name in re.findall(r"`rotator ([a-z-]+)`", head)}
    assert {file for _, file in links} == {file.name for file in (ROOT / "docs" / "schemas").glob("*.json")}
    assert set(_commands_with_json(get_command(app))) - {name for name, _ in links} - tables == WITHOUT_FORM


def _commands_with_json(command: Any, *above: str) -> Iterator[str]:
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            yield from _commands_with_json(below, *above, name)
    elif any("--json" in option.opts for option in command.params):
        yield " ".join(above)


def _events() -> set[str]:
    """The names of events that the code uses anywhere but where they are named."""
    files = [path for path in ROOT.glob("worker/**/*.py") if path.name != "events.py"]
    return {name for path in files for name in re.findall(r"\bEvent\.([A-Z_]+)\b", path.read_text("utf-8"))}


def _kinds(kind: type[errors.RotatorError]) -> Iterator[type[errors.RotatorError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def _named(each: Page, program: str) -> list[str]:
    """Every command of a program in a page's text and blocks."""
    lines = (line for code in each.code if code.language in ("sh", "console") for line in code.text.splitlines())
    commands = [line.removeprefix("$ ") for line in lines] + each.spans
    pattern = re.compile(rf"(?:^|[\s(`]){program} [a-z-][^|&>#)`]*")
    return [found[0].strip(" (`") for command in commands for found in pattern.finditer(command)]


def _exists(command: str) -> bool:
    known = get_command(app)
    assert isinstance(known, TyperGroup)
    words = command.partition(" -- ")[0].split()[1:]  # what follows is somebody else's command
    if words[0] in SUMMARIES:  # these have a parser of their own
        return all(word.partition("=")[0] in _help_of(words[0]) for word in words if word.startswith("-"))
    found: Any = known
    for word in words:
        if isinstance(found, TyperGroup) and not word.startswith("-"):
            if word not in found.commands:
                return False
            found = found.commands[word]
    options = {option for one in (found, known) for each in one.params for option in (*each.opts, *each.secondary_opts)}
    named = {word.partition("=")[0].rstrip(".,:;") for word in words if word.startswith("-")}
    return named <= options | {"--help"}


def _help_of(command: str) -> str:
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.suppress(SystemExit):
        for_apps([command, "--help"], {})
    return shown.getvalue()
