"""Notices by real channels: once, also with several workers; later, where a channel fails; and in nobody's way."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
import redis
from structlog.testing import capture_logs

from tests.integration.noticing import ForwardClock, noticing, web
from tests.servers import wait_until
from tests.wire import Heard, Step, Wire, answer, drip, raw, reset, silence
from worker.adapters.redis.keys import outbox, outbox_due
from worker.adapters.redis.outbox import KEPT, MOST
from worker.notices.notice import Notice
from worker.service.notices.courier import HELD

HOUR = timedelta(hours=1)
BROKEN: dict[str, Step] = {
    "500": answer(500),
    "redirect": answer(302, headers={"Location": "http://127.0.0.1:1/elsewhere"}),
    "reset": reset(),
    "silence": silence(),
    "slow": drip(raw(200, b"x" * 500), 0.05),
    "flood": answer(200, b"x" * (5 * 1024 * 1024)),
}


def notices(wire: Wire) -> list[dict[str, Any]]:
    return [json.loads(heard.body) for heard in wire.heard]


def test_what_is_told_arrives_at_once_and_leaves_nothing_behind(client: redis.Redis) -> None:
    with Wire(answer(204)) as wire, noticing(client, {"hook": web(wire.url, ForwardClock())}) as worker:
        worker.say("secret.published", rotation_id="r-1", access_key="AK")
        wait_until(lambda: worker.outcomes("hook", "sent") == 1, "it is sent", 2.0)
        (notice,) = notices(wire)
        assert (notice["event"], notice["target"], notice["owner"]) == ("published", "media", "team-media")
        wait_until(lambda: client.exists(outbox("hook"), outbox_due("hook")) == 0, "the outbox is empty")


def test_a_row_of_failures_seen_by_two_workers_is_one_notice_and_then_one_that_it_is_over(client: redis.Redis) -> None:
    clock = ForwardClock()
    with (
        Wire(answer(200)) as wire,
        noticing(client, {"hook": web(wire.url, clock)}, clock) as one,
        noticing(client, {"hook": web(wire.url, clock)}, clock) as two,
    ):
        for _ in range(5):
            one.say("rotation.failed", error="no")
            two.say("rotation.failed", error="no")
        one.say("rotation.failed", target="backup", error="no")
        two.say("secret.published", target="backup", rotation_id="marker")
        wait_until(lambda: len(wire.heard) == 3, "one for each target, and the marker")
        two.say("rotation.succeeded")
        one.say("rotation.succeeded")
        wait_until(lambda: len(wire.heard) == 4, "it is over, told once")
        one.say("rotation.failed", error="again")
        wait_until(lambda: len(wire.heard) == 5, "a new row")
    told = [(notice["event"], notice["target"]) for notice in notices(wire)]
    assert sorted(told[:3]) == [("failed", "backup"), ("failed", "media"), ("published", "backup")]
    assert told[3:] == [("recovered", "media"), ("failed", "media")]


@pytest.mark.parametrize("kind", BROKEN)
def test_what_a_broken_channel_did_not_take_comes_later_under_the_same_id(client: redis.Redis, kind: str) -> None:
    clock = ForwardClock()
    with Wire(BROKEN[kind]) as wire, noticing(client, {"hook": web(wire.url, clock, 0.5)}, clock) as worker:
        worker.say("key.died")
        wait_until(lambda: worker.outcomes("hook", "failed") == 1, "it fails")
        wait_until(lambda: float(client.zscore(outbox_due("hook"), _only(client)) or 0) > 0, "it waits")
        first = wire.heard[0]
        wire.script(answer(200))
        clock.ahead += HELD
        wait_until(lambda: worker.outcomes("hook", "sent") == 1, "it is sent")
        assert _id(wire.heard[-1]) == _id(first)


def _id(heard: Heard) -> str:
    return str(json.loads(heard.body)["id"])


def _only(client: redis.Redis) -> str:
    return str(next(iter(client.hgetall(outbox("hook"))), ""))


def test_a_channel_that_hangs_holds_up_no_other(client: redis.Redis) -> None:
    clock = ForwardClock()
    with Wire(silence()) as dead, Wire(answer(200)) as well:
        ways = {"dead": web(dead.url, clock, 5.0), "well": web(well.url, clock)}
        with noticing(client, ways, clock) as worker:
            for number in range(20):
                worker.say("secret.published", rotation_id=str(number))
            wait_until(lambda: worker.outcomes("well", "sent") == 20, "all are sent by the other", 2.0)


def test_another_worker_sends_what_one_left(client: redis.Redis) -> None:
    clock = ForwardClock()
    with Wire(answer(503)) as wire:
        with noticing(client, {"hook": web(wire.url, clock)}, clock) as gone:
            gone.say("conflict.found")
            wait_until(lambda: gone.outcomes("hook", "failed") == 1, "it fails")
        wire.script(answer(200))
        clock.ahead += HELD
        with noticing(client, {"hook": web(wire.url, clock)}, clock) as heir:
            wait_until(lambda: heir.outcomes("hook", "sent") == 1, "the other one sends it")


def test_after_a_day_it_is_given_up_and_told_in_the_log(client: redis.Redis) -> None:
    clock = ForwardClock()
    with capture_logs() as logs, Wire(answer(500)) as wire:
        with noticing(client, {"hook": web(wire.url, clock)}, clock) as worker:
            worker.say("key.died")
            for tries in range(1, 60):
                wait_until(lambda tries=tries: worker.outcomes("hook", "failed") >= tries, "a try")  # type: ignore[misc]
                if worker.outcomes("hook", "dropped"):
                    break
                clock.ahead += HOUR * 1.5
            wait_until(lambda: worker.outcomes("hook", "dropped") == 1, "it is given up")
        assert client.exists(outbox("hook")) == 0
    postponed = [line["log_level"] for line in logs if line["event"] == "notice.postponed"]
    assert (postponed.count("warning"), len(postponed) > 10) == (1, True), "said once for a row"
    (last,) = [line for line in logs if line["event"] == "notice.failed"]
    assert (last["channel"], last["about"], last["error"]) == ("hook", "died", "it answered 500")


def test_without_redis_it_is_sent_all_the_same_and_tried_again(away: redis.Redis) -> None:
    clock = ForwardClock()
    with Wire(answer(500), answer(200)) as wire, noticing(away, {"hook": web(wire.url, clock)}, clock) as worker:
        worker.say("rotation.failed")
        wait_until(lambda: worker.outcomes("hook", "failed") == 1, "it fails")
        worker.say("rotation.failed")
        clock.ahead += HOUR
        wait_until(lambda: worker.outcomes("hook", "sent") == 1, "it is sent")
        worker.say("rotation.succeeded")
        wait_until(lambda: worker.outcomes("hook", "sent") == 2, "it is over")
    assert [notice["event"] for notice in notices(wire)] == ["failed", "failed", "recovered"]


def test_an_outbox_is_bounded_and_goes_with_its_channel(client: redis.Redis) -> None:
    clock = ForwardClock()
    with Wire(silence()) as wire, noticing(client, {"hook": web(wire.url, clock, 2.0)}, clock) as worker:
        for number in range(MOST + 200):
            worker.say("secret.published", rotation_id=str(number))
        wait_until(lambda: worker.outcomes("hook", "dropped") > 0, "what is too much is dropped")
        assert client.zcard(outbox_due("hook")) <= MOST
        assert 0 < client.ttl(outbox("hook")) <= KEPT.total_seconds()
        assert 0 < client.ttl(outbox_due("hook")) <= KEPT.total_seconds()


FORGED = {
    "no json": "x" * 100,
    "too long": json.dumps({"id": "f" * 32, "what": "y" * 100_000}),
    "another form": json.dumps({"id": "f" * 32, "url": "http://127.0.0.1:1"}),
    "another event": json.dumps({"id": "f" * 32, "event": "lie", "at": "", "log": "", "since": "", "tries": 0}),
}


@pytest.mark.parametrize("kind", FORGED)
def test_what_no_worker_wrote_is_dropped(client: redis.Redis, kind: str) -> None:
    client.hset(outbox("hook"), "f" * 32, FORGED[kind])
    client.zadd(outbox_due("hook"), {"f" * 32: 9e15})
    with capture_logs() as logs, Wire(answer(200)) as wire:
        with noticing(client, {"hook": web(wire.url, ForwardClock())}):
            wait_until(lambda: client.exists(outbox("hook"), outbox_due("hook")) == 0, "it is gone")
        assert wire.heard == []
    assert "redis.repaired" in [line["event"] for line in logs]


@pytest.mark.parametrize("target", ["nobody", "media"])
def test_a_forged_notice_of_a_right_form_goes_where_all_go_and_says_what_is_configured(
    client: redis.Redis, target: str
) -> None:
    clock = ForwardClock()
    forged = Notice(id="f" * 32, event="died", at="now", log="x", target=target).document()  # type: ignore[arg-type]
    del forged["title"]
    text = json.dumps({**forged, "since": clock.now().isoformat(), "tries": 0})
    client.hset(outbox("hook"), "f" * 32, text)
    client.zadd(outbox_due("hook"), {"f" * 32: 0})
    with Wire(answer(200)) as wire, noticing(client, {"hook": web(wire.url, clock)}, clock) as worker:
        wait_until(lambda: len(worker.meter.seen) == 1, "it is dealt with")
        assert worker.meter.seen == [("hook", "sent" if target == "media" else "dropped")]
        assert len(wire.heard) == (1 if target == "media" else 0)


def test_keys_of_another_type_are_made_anew(client: redis.Redis) -> None:
    client.set(outbox("hook"), "x")
    client.lpush(outbox_due("hook"), "x")
    with Wire(answer(200)) as wire, noticing(client, {"hook": web(wire.url, ForwardClock())}) as worker:
        worker.say("key.died")
        wait_until(lambda: worker.outcomes("hook", "sent") == 1, "it is sent")
