"""What receivers get, and that a signature is what the page says."""

from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from tests.docs.pages import page
from tests.records import NOW
from worker.notices.forms import ntfy, plain, slack, teams
from worker.notices.letter import mail
from worker.notices.notice import Kind, Notice
from worker.notices.signing import signed, signing_secret

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
NOTICE = Notice(
    id="a" * 32,
    event=Kind.FAILED,
    at=NOW.isoformat(),
    log="rotation.failed",
    target="media",
    what="<!channel> said & done",
    hint="Wait.",
    request_id="q-1",
)
GOOD = Notice(id="b" * 32, event=Kind.PUBLISHED, at=NOW.isoformat(), log="secret.published", target="media")


def test_a_webhook_gets_all_fields_as_json() -> None:
    made = plain(NOTICE)
    assert json.loads(made.body) == NOTICE.document()
    assert made.headers["Content-Type"].startswith("application/json")


def test_slack_gets_a_text_in_which_nothing_is_a_mention() -> None:
    text = json.loads(slack(NOTICE).body)["text"]
    assert text.startswith("*The rotation of media failed*\n&lt;!channel&gt; said &amp; done\nWait.\n")
    assert "requestId: q-1" in text


def test_teams_gets_an_adaptive_card() -> None:
    (attachment,) = json.loads(teams(NOTICE).body)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert attachment["content"]["body"][0]["text"] == "The rotation of media failed"


def test_ntfy_gets_text_with_a_title_and_how_loud_it_is() -> None:
    assert ntfy(NOTICE).headers["Title"] == "The rotation of media failed"
    assert (ntfy(NOTICE).headers["Priority"], ntfy(GOOD).headers["Priority"]) == ("high", "default")
    assert "q-1" in ntfy(NOTICE).body.decode()


def test_a_mail_says_what_happened_in_its_subject() -> None:
    made = mail(NOTICE, "rotator@example.com", ("ops@example.com", "boss@example.com"))
    assert made["Subject"] == "[rotator] The rotation of media failed"
    assert made["To"] == "ops@example.com, boss@example.com"
    assert NOTICE.id in made["Message-ID"]
    assert "<!channel> said & done" in made.get_content()


def verify(headers: dict[str, str], body: bytes, now: float) -> bool:
    """By the example in docs/notices.md."""
    (code,) = [code for code in page("notices.md").code if code.language == "python"]
    assert len([line for line in code.text.splitlines() if line]) <= 14
    names: dict[str, object] = {}
    exec(compile(code.text, "docs/notices.md", "exec"), names)
    return names["is_genuine"](SECRET, headers, body, now)  # type: ignore[no-any-return, operator]  # a function


def test_the_example_of_the_page_takes_a_signature_and_refuses_all_others() -> None:
    body, at = NOTICE.body(), NOW.timestamp()
    headers = signed(signing_secret(SECRET), NOTICE.id, NOW, body)
    assert verify(headers, body, at)
    assert not verify(headers, body + b" ", at)
    assert not verify(headers, body, at + 301)
    assert not verify(headers, body, at - 301)
    assert not verify({**headers, "webhook-id": "c" * 32}, body, at)
    assert not verify({**headers, "webhook-timestamp": str(int(at) + 1)}, body, at)
    assert not verify({}, body, at)
    other = signing_secret("whsec_" + base64.b64encode(bytes(32)).decode())
    assert not verify(signed(other, NOTICE.id, NOW, body), body, at)
    assert signed(signing_secret(SECRET), NOTICE.id, NOW + timedelta(seconds=1), body) != headers


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_dG9vIHNob3J0", SECRET.removeprefix("whsec_"), "whsec_***" * 9])
def test_a_secret_that_is_none_is_refused_and_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="openssl rand") as caught:
        signing_secret(text)
    assert not text or text == "whsec_" or text not in str(caught.value)
