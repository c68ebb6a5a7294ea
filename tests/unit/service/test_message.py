"""Whatever lies on the queue is one of our own messages or a refusal, and nothing of it is told."""

from __future__ import annotations

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from celery import Celery
from hypothesis import given
from hypothesis import strategies as st

from tests.hostile import CANARY, SHAPES, body, embed, item, message
from worker.service.message import LONGEST_ITEM, Message, Refused, read

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def kind_of(raw: bytes) -> str:
    with pytest.raises(Refused) as caught:
        read(raw)
    return caught.value.kind


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_malformed_is_refused_and_not_quoted(shape: str) -> None:
    kind = kind_of(SHAPES[shape])
    assert kind
    assert len(kind) < 80
    assert CANARY not in kind


def test_there_are_as_many_shapes_as_were_tried_by_others() -> None:
    assert len(SHAPES) > 94


@pytest.mark.parametrize(
    ("arguments", "options", "meant"),
    [
        (["media"], {}, ("media", "")),
        (["media", "leaked"], {}, ("media", "leaked")),
        (["media"], {"reason": "leaked"}, ("media", "leaked")),
        ([], {"target": "media", "reason": "läckt"}, ("media", "läckt")),
        (["media", "é" * 5_000], {}, ("media", "é" * 200)),
        (["media"], {"by": "scanner"}, ("media", "", "scanner")),
        (["media"], {"by": "é" * 5_000, "leaked": True}, ("media", "", "é" * 80, True)),
        (["media", "why"], {"leaked": True}, ("media", "why", "", True)),
        (["media", "why"], {"leaked": False}, ("media", "why")),
    ],
)
def test_what_celery_sends_is_taken(
    arguments: list[str], options: dict[str, Any], meant: tuple[str | bool, ...]
) -> None:
    raw = sent("rotator.rotate", args=arguments, kwargs=options, task_id="one-request")
    assert read(raw) == Message("rotator.rotate", "one-request", meant)


@pytest.mark.parametrize(
    ("arguments", "options", "by", "meant"),
    [
        (["media"], {}, "deploy", ("media", "", "deploy")),
        (["media", "why"], {"leaked": True}, "deploy", ("media", "why", "deploy", True)),
        (["media"], {"by": "said"}, "deploy", ("media", "", "said")),
        (["media"], {"by": ""}, "deploy", ("media", "", "deploy")),
        (["media"], {}, "é" * 1_000, ("media", "", "é" * 80)),
        (["media"], {}, "", ("media", "")),
    ],
)
def test_a_header_says_who_asks_where_the_message_does_not(
    arguments: list[str], options: dict[str, Any], by: str, meant: tuple[str | bool, ...]
) -> None:
    raw = sent("rotator.rotate", args=arguments, kwargs=options, headers={"rotator_by": by})
    assert read(raw).arguments == meant


@pytest.mark.parametrize("by", [5, None, ["x"], {"x": 1}, "x" * 1_001])
def test_a_header_that_is_no_short_text_is_refused(by: object) -> None:
    assert kind_of(sent("rotator.rotate", args=["media"], headers={"rotator_by": by})).startswith(
        "form.headers.rotator_by: "
    )


def test_a_header_says_nothing_to_other_tasks() -> None:
    assert read(sent("rotator.tick", headers={"rotator_by": "deploy"})).arguments == ()
    assert read(sent("rotator.reconcile", args=["media"], headers={"rotator_by": "x"})).arguments == ("media",)


def test_the_options_that_change_nothing_are_taken() -> None:
    raw = sent(
        "rotator.tick", priority=9, expires=60, shadow="a name", headers={"traceparent": "00"}, ignore_result=True
    )
    taken = read(raw)
    assert taken.expires
    assert taken.expires > datetime.now(UTC)


@pytest.mark.parametrize("options", [{"leaked": "yes"}, {"leaked": 1}, {"by": 5}, {"by": None}, {"grace": "0s"}])
def test_what_is_no_flag_and_no_name_is_refused(options: dict[str, Any]) -> None:
    assert kind_of(sent("rotator.rotate", args=["media"], kwargs=options)) == "arguments"


@pytest.mark.parametrize("encoding", ["utf-8", None])
def test_a_body_without_base64_is_taken(encoding: str | None) -> None:
    document = message()
    document["properties"]["body_encoding"] = encoding
    document["body"] = json.dumps([["media"], {}, embed()])
    assert read(item(document)).arguments == ("media", "")


def test_what_celery_is_handed_is_made_anew() -> None:
    document = message() | {"more": CANARY}
    document["headers"] |= {"more": CANARY, "shadow": CANARY, "argsrepr": CANARY, "stamps": {CANARY: 1}}
    document["properties"] |= {"reply_to": CANARY, "delivery_tag": CANARY, "delivery_info": {"routing_key": CANARY}}
    handed = read(item(document)).encode("a-queue")
    assert CANARY.encode() not in handed
    known = json.loads(handed)
    assert known["properties"]["delivery_info"] == {"exchange": "", "routing_key": "a-queue"}
    assert json.loads(base64.b64decode(known["body"])) == [["media", "asked"], {}, embed()]


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(raw: bytes) -> None:
    kind_of(raw)


@given(JSON)
def test_any_json_is_refused(document: object) -> None:
    kind_of(item(document))


@given(st.data())
def test_any_change_of_a_message_is_taken_or_refused(data: st.DataObject) -> None:
    """What is taken is the same when it is read again, as it is when it comes back from a worker that was killed."""
    document: Any = message()
    place = data.draw(st.sampled_from([document, document["headers"], document["properties"]]))
    place[data.draw(st.sampled_from(sorted(place)))] = data.draw(JSON)
    if data.draw(st.booleans()):
        document["body"] = body(data.draw(st.lists(JSON, max_size=4)))
    with suppress(Refused):
        taken = read(item(document))
        again = taken.encode("queue")
        assert len(again) < LONGEST_ITEM / 10
        assert read(again) == taken


def sent(task: str, **options: Any) -> bytes:
    """What lies on the queue after Celery has sent a message."""
    with Celery(broker="memory://", set_as_current=False) as app, app.connection_for_write() as connection:
        app.send_task(task, connection=connection, **options)
        channel: Any = connection.default_channel
        return item(channel._get("celery"))  # noqa: SLF001 - there is no other way to see it
