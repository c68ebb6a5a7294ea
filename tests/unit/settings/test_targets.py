from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from tests.unit.settings.configuring import problems, read
from worker.settings.values import Label
from worker.targets.fields import PRESETS, SOURCES, field_map
from worker.targets.schedule import Schedule, parse_window
from worker.targets.target import render_label

NAMED = '[[target]]\nname = "media"\npath = "apps/media"\n'
EVERY = f'{NAMED}every = "30d"\n'
CRON = f'{NAMED}cron = "0 3 1 * *"\n'


def test_a_target_with_everything(tmp_path: Path) -> None:
    text = f"""{NAMED}
cron = "0 3 * * *"
window = "02:00-05:00 Europe/Stockholm"
jitter = "10m"
grace = "12h"
label = "x {{target}} {{rotation_id}}"
fields = "rclone"
"""
    target = read(tmp_path, text).targets["media"]
    window = parse_window("02:00-05:00 Europe/Stockholm")
    assert window.zone == ZoneInfo("Europe/Stockholm")
    assert target.schedule == Schedule(cron="0 3 * * *", window=window, jitter=timedelta(minutes=10))
    assert (target.path, target.grace, target.label) == ("apps/media", timedelta(hours=12), "x {target} {rotation_id}")
    assert target.fields == PRESETS["rclone"]


def test_a_target_with_as_little_as_possible(tmp_path: Path) -> None:
    target = read(tmp_path, EVERY).targets["media"]
    assert target.schedule == Schedule(every=timedelta(days=30))
    assert (target.grace, target.label) == (timedelta(hours=24), "{target} {rotation_id}")
    assert target.fields == PRESETS["plain"]


def test_slashes_at_the_ends_of_a_path_make_no_difference(tmp_path: Path) -> None:
    assert read(tmp_path, EVERY.replace('"apps/media"', '"/apps/media/"')).targets["media"].path == "apps/media"


def test_the_label_is_rendered_with_the_date_of_utc(tmp_path: Path) -> None:
    target = read(tmp_path, EVERY + 'label = "{{{target}}} {date} {rotation_id}"').targets["media"]
    late = datetime(2026, 3, 1, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    assert target.render_label("some-id", late) == "{media} 2026-02-28 some-id"
    assert target.render_label("some-id", datetime(2026, 3, 1, tzinfo=UTC)) == "{media} 2026-03-01 some-id"


@pytest.mark.parametrize(
    "text",
    [
        EVERY.replace("30d", "1d") + 'window = "02:00-05:00"',
        CRON + 'window = "03:00-03:01 Europe/Stockholm"',
        CRON + 'window = "22:00-04:00 Europe/Stockholm"',
        CRON.replace("0 3 1 * *", "0 */6 * * *") + 'window = "11:00-13:00"\ngrace = "1h"',
    ],
)
def test_a_window_that_can_be_kept(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text).targets["media"].schedule.window


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (EVERY.replace('"media"', '"Media"'), 'target[1] "Media": name: "Media" is not a name; allowed are 1 to 63 of'),
        (EVERY.replace('"media"', f'"{"a" * 64}"'), f'target[1] "{"a" * 60}…": name: '),
        (EVERY.replace('"media"', "5"), "target[1]: name: must be a text in quotes on one line, not a number"),
        (EVERY.replace('name = "media"', ""), "target[1]: name: is missing; it is what the target is called"),
        (EVERY.replace('path = "apps/media"', ""), 'target[1] "media": path: is missing; it is where in the mount'),
        (EVERY.replace("apps/media", "apps//media"), 'target[1] "media": path: "apps//media" is not a path; allowed'),
        (EVERY.replace("apps/media", "apps/../media"), 'target[1] "media": path: "apps/../media" is not a path'),
        (EVERY.replace("apps/media", "a?version=1"), 'target[1] "media": path: "a?version=1" is not a path'),
        (EVERY.replace("apps/media", "a" * 513), 'target[1] "media": path: "aaa'),
        (EVERY.replace("apps/media", "apps\\tmedia"), 'target[1] "media": path: must not hold line breaks or other'),
        (EVERY.replace("apps/media", "/"), 'target[1] "media": path: "/" is not a path'),
        (
            EVERY.replace("apps/media", "hostup-rotator/state/x"),
            'target[1] "media": path: hostup-rotator/state/x lies in',
        ),
        (EVERY.replace("apps/media", "hostup-rotator/state/"), 'target[1] "media": path: hostup-rotator/state lies in'),
        (NAMED, 'target[1] "media": every: is missing, and cron too; give exactly one of them'),
        (EVERY + 'cron = "* * * * *"', 'target[1] "media": every: stands beside cron; give exactly one of them'),
        (EVERY.replace("30d", "30"), 'target[1] "media": every: "30" is not a duration; allowed are'),
        (CRON.replace("1 * *", "30 2 *"), 'target[1] "media": cron: "0 3 30 2 *" is not a possible cron expression'),
        (EVERY + 'grace = "31d"', 'target[1] "media": grace: 31d is longer than every (30d); at most that is allowed'),
        (
            EVERY.replace("30d", "1h"),
            'target[1] "media": grace: is missing, and its default of 1d is longer than every (1h)',
        ),
        (
            CRON + 'grace = "29d"',
            'target[1] "media": grace: 29d is longer than the shortest time between two runs of cron (28d)',
        ),
        (EVERY + 'jitter = "16d"', 'target[1] "media": jitter: 16d is too long; allowed is 15d, half the interval'),
        (EVERY + "window = 5", 'target[1] "media": window: must be a text in quotes such as "02:00-05:00 Europe/Sto'),
        (EVERY + "jitter = true", 'target[1] "media": jitter: must be a text in quotes such as "30d", not true or'),
        (EVERY.replace('"30d"', "30"), 'target[1] "media": every: must be a text in quotes such as "30d", not a num'),
        (NAMED + "cron = 3", 'target[1] "media": cron: must be a text in quotes such as "0 3 1 * *", not a number'),
        (
            EVERY.replace("30d", "12h") + 'grace = "1h"\nwindow = "02:00-05:00"',
            'target[1] "media": window: opens once a day, so that every (12h) cannot be kept',
        ),
        (
            CRON + 'window = "04:00-05:00 Europe/Stockholm"',
            'target[1] "media": window: has no run of cron (0 3 1 * *, in the window\'s zone) in it',
        ),
        (
            CRON.replace("0 3 1 * *", "*/30 12-14 * * *") + 'window = "15:00-12:00"\ngrace = "1m"',
            'target[1] "media": window: has no run of cron (*/30 12-14 * * *',
        ),
        (EVERY + 'window = "2-5"', 'target[1] "media": window: "2-5" is not a window; allowed is "HH:MM-HH:MM Zone"'),
        (
            EVERY + 'window = "02:00-05:00 Mars"',
            'target[1] "media": window: "02:00-05:00 Mars" has an unknown time zone',
        ),
        (EVERY + 'label = ""', 'target[1] "media": label: must not be empty'),
        (EVERY + 'label = "media"', 'target[1] "media": label: "media" lacks {rotation_id}, without which nobody can'),
        (EVERY + 'label = "{target} {date}"', 'label: "{target} {date}" lacks {rotation_id}'),
        (EVERY + 'label = "{{rotation_id}} {target}"', 'label: "{{rotation_id}} {target}" lacks {rotation_id}'),
        (EVERY + 'label = " "', 'target[1] "media": label: comes out empty'),
        (
            EVERY + 'label = "{targte}"',
            'has the placeholder "targte"; did you mean target? allowed are {rotation_id}, ',
        ),
        (EVERY + 'label = "{date:%Y}"', 'has the placeholder "date:%Y"; did you mean date? allowed are'),
        (EVERY + 'label = "{target!r}"', 'has the placeholder "target!r"; did you mean target? allowed are'),
        (EVERY + 'label = "{}"', 'has the placeholder ""; allowed are'),
        (EVERY + 'label = "{target.x}"', 'has the placeholder "target.x"; did you mean target? allowed are'),
        (
            EVERY + 'label = "{date"',
            'label: "{date" has a single brace; allowed are {rotation_id}, {date}, {target}, and {{',
        ),
        (EVERY + f'label = "{"x" * 165}{{rotation_id}}"', "label: comes out 201 characters long; at most 200"),
        (
            EVERY + 'fields = "plane"',
            "fields: is not known; did you mean plain? allowed are plain, aws-env, rclone, or a",
        ),
        (EVERY + "fields = 3", "fields: is not known; allowed are plain"),
        (
            EVERY + 'fields = {acess_key = "x"}',
            "fields.acess_key: is an unknown name; did you mean access_key? allowed",
        ),
        (EVERY + "fields = {access_key = 5}", "fields.access_key: must be a text in quotes on one line, not a number"),
        (EVERY + 'fields = {access_key = ""}', "fields.access_key: must not be empty"),
        (EVERY + f'fields = {{access_key = "{"x" * 129}"}}', "fields.access_key: is longer than 128 characters"),
        (
            EVERY + 'fields = {access_key = "region"}',
            'fields: "region" would hold both access_key and region; give each',
        ),
        (
            EVERY + 'evry = "3d"',
            'target[1] "media": evry: is an unknown name; did you mean every? allowed are name, path,',
        ),
        (
            EVERY + 'readers = ["endpoint", "eso:5m"]\ngrace = "19m59s"',
            'grace: 19m59s is shorter than reader "eso:5m" needs; at least 20m (docs/apps.md)',
        ),
        (EVERY + 'readers = ["restart:1d"]', 'grace: 1d is shorter than reader "restart:1d" needs; at least 1d10m'),
        (
            EVERY + 'readers = ["agent:5m"]\npresign_ttl = "7d"\ngrace = "7d"',
            'grace: 7d is shorter than reader "agent:5m" (11m) and then presign_ttl (7d) needs; at least 7d11m',
        ),
        (EVERY + 'presign_ttl = "8d"', "presign_ttl: 8d is longer than a signed link can live; at most 7d"),
        (EVERY + 'readers = ["agnet:5m"]', 'readers: "agnet:5m" is no reader; did you mean agent? allowed are'),
        (EVERY + 'readers = "agent:5m"', "readers: must be a list of texts, such as"),
        (EVERY + "readers = [5]", "readers: must be a list of texts, such as"),
        ("", "target: is missing; write [[target]] with name"),
        ("[target]\nname = 1", "target: must be written [[target]], once for each target"),
        ("target = [1]", "target: must be written [[target]], once for each target"),
    ],
)
def test_each_problem_names_the_target_and_says_what_is_allowed(tmp_path: Path, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, text)
    assert found.startswith("FILE: ")
    assert problem in found


@given(st.lists(st.sampled_from(["{", "}", "{target}", "{date}", "{rotation_id}", "x"]), min_size=1).map("".join))
def test_a_label_is_accepted_when_it_can_be_rendered_and_refused_when_not(template: str) -> None:
    label = TypeAdapter[str](Label)
    try:
        render_label(template, "1", "2", "3")
    except (LookupError, ValueError):
        with pytest.raises(ValidationError):
            label.validate_python(template)
    else:
        assert label.validate_python(template) == template


def test_a_grace_as_long_as_the_interval_is_right(tmp_path: Path) -> None:
    assert read(tmp_path, EVERY + 'grace = "30d"').targets["media"].grace == timedelta(days=30)
    assert read(tmp_path, CRON + 'grace = "28d"').targets["media"].grace == timedelta(days=28)
    assert read(tmp_path, EVERY.replace("30d", "1s") + 'grace = "1s"').targets["media"].grace == timedelta(seconds=1)


def test_a_grace_that_lasts_for_all_readers(tmp_path: Path) -> None:
    text = EVERY + 'readers = ["process", "agent:5m"]\npresign_ttl = "1h"\ngrace = "1h11m"'
    target = read(tmp_path, text).targets["media"]
    assert [str(reader) for reader in target.readers] == ["process", "agent:5m"]
    assert (target.presign_ttl, target.grace) == (timedelta(hours=1), timedelta(hours=1, minutes=11))


def test_targets_share_neither_name_nor_path(tmp_path: Path) -> None:
    other = EVERY.replace('"media"', '"other"')
    assert problems(tmp_path, EVERY + EVERY.replace("apps/", "b/")) == [
        'FILE: target[2] "media": name: media is that of target[1] already; each target needs its own'
    ]
    assert problems(tmp_path, EVERY + other.replace("apps/media", "/apps/media/")) == [
        'FILE: target[2] "other": path: apps/media is that of target[1] already; each target needs its own'
    ]


def test_targets_are_compared_even_where_they_have_other_problems(tmp_path: Path) -> None:
    found = problems(tmp_path, EVERY + EVERY.replace("30d", "seldom"))
    assert [problem.split(": ")[2] for problem in found] == ["name", "path", "every"]


def test_a_path_beside_the_records_is_right(tmp_path: Path) -> None:
    beside = EVERY.replace("apps/media", "hostup-rotator/state-of-things")
    assert read(tmp_path, beside).targets["media"].path == "hostup-rotator/state-of-things"


def test_names_for_environment_variables() -> None:
    values: dict[str, object] = {source: f"the {source}" for source in SOURCES}
    secret = PRESETS["aws-env"].to_secret(values)
    assert secret == {
        "AWS_ACCESS_KEY_ID": "the access_key",
        "AWS_SECRET_ACCESS_KEY": "the secret_key",
        "AWS_ENDPOINT_URL_S3": "the endpoint",
        "AWS_REGION": "the region",
        "AWS_DEFAULT_REGION": "the region",
        **{source: f"the {source}" for source in SOURCES[4:]},
    }
    assert PRESETS["aws-env"].read(secret, "region") == "the region"


def test_names_of_a_target_s_own(tmp_path: Path) -> None:
    text = EVERY + 'fields = {access_key = "S3 KEY", secret_key = "access_key"}'
    fields = read(tmp_path, text).targets["media"].fields
    assert fields == field_map({"access_key": "S3 KEY", "secret_key": "access_key"})
    secret = fields.to_secret(dict.fromkeys(SOURCES, "value") | {"secret_key": "the secret"})
    assert secret["access_key"] == "the secret"
    assert fields.name_of("access_key") == "S3 KEY"
    assert fields.read(secret, "secret_key") == "the secret"


def test_what_is_not_a_text_is_not_read_back() -> None:
    assert PRESETS["plain"].read({"access_key": 5}, "access_key") is None
    assert PRESETS["plain"].read({}, "access_key") is None


def test_extra_fields_are_texts_beside_ours(tmp_path: Path) -> None:
    text = f'{EVERY}[target.extra]\nbucket = "media"\n"tier.of" = "gold"\n'
    assert read(tmp_path, text).targets["media"].extra == (("bucket", "media"), ("tier.of", "gold"))
    assert read(tmp_path, EVERY).targets["media"].extra == ()


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ('{ secret_key = "x" }', "secret_key"),
        ('{ AWS_REGION = "x" }', "AWS_REGION"),
        ("{ bucket = 1 }", "bucket"),
        ('{ bucket = "" }', "bucket"),
        ('{ "a\\nb" = "x" }', "extra"),
        ('"bucket"', "extra"),
    ],
)
def test_extra_fields_that_cannot_be(tmp_path: Path, extra: str, told: str) -> None:
    preset = 'fields = "aws-env"\n' if "AWS" in extra else ""
    [problem] = problems(tmp_path, f"{EVERY}{preset}extra = {extra}\n")
    assert problem.startswith(('FILE: target[1] "media": extra', "FILE: target[1] 'media': extra"))
    assert told in problem
