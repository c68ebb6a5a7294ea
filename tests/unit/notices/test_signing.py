"""Signatures are those of Standard Webhooks: its own example is valid, and nothing near it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.reports import headers
from worker.notices.signing import TOLERANCE, NotSigned, signed, signed_id, signing_secret

SECRET = signing_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
ID, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
AT = datetime.fromtimestamp(1614265330, UTC)
RIGHT = signed(SECRET, ID, AT, BODY)


def test_the_standards_own_example() -> None:
    assert RIGHT["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_what_another_signer_signs_is_valid() -> None:
    assert signed_id(SECRET, headers(BODY, sent_id=ID, at=AT.timestamp(), secret=SECRET.reveal()), AT, BODY) == ID


@pytest.mark.parametrize("off", [-1, 0, 1])
def test_it_holds_for_five_minutes_both_ways(off: int) -> None:
    for sign in (-1, 1):
        now = AT + sign * (TOLERANCE + timedelta(seconds=off))
        if off > 0:
            with pytest.raises(NotSigned, match="five minutes"):
                signed_id(SECRET, RIGHT, now, BODY)
        else:
            assert signed_id(SECRET, RIGHT, now, BODY) == ID


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": ""},
        {"webhook-id": "a b"},
        {"webhook-id": "x" * 257},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "1614265330.0"},
        {"webhook-timestamp": "\N{ARABIC-INDIC DIGIT ONE}"},
        {"webhook-timestamp": "9" * 5_000},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,\udc80"},
        {"webhook-signature": RIGHT["webhook-signature"].removeprefix("v1,")},
    ],
)
def test_anything_else_is_not_signed(changed: dict[str, str]) -> None:
    with pytest.raises(NotSigned):
        signed_id(SECRET, RIGHT | changed, AT, BODY)


def test_a_sender_that_changes_its_secret_signs_with_both() -> None:
    both = RIGHT | {"webhook-signature": f"v1,old {RIGHT['webhook-signature']}"}
    assert signed_id(SECRET, both, AT, BODY) == ID
