"""A notice in the forms that its receivers take: JSON, Slack, Teams, ntfy. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from worker.notices.notice import Notice

_JSON = {"Content-Type": "application/json; charset=utf-8"}
_LOUD, _NORMAL = "high", "default"


@dataclass(frozen=True, slots=True)
class Form:
    """A body, and the headers that go with it."""

    headers: Mapping[str, str]
    body: bytes


def plain(notice: Notice) -> Form:
    """All fields, as one JSON object."""
    return Form(_JSON, notice.body())


def slack(notice: Notice) -> Form:
    """For an incoming webhook of Slack, or what takes the same (Mattermost, Rocket.Chat)."""
    text = "\n".join((f"*{_escaped(notice.title)}*", *map(_escaped, notice.lines())))
    return Form(_JSON, json.dumps({"text": text}).encode())


def teams(notice: Notice) -> Form:
    """For a workflow of Microsoft Teams that is started by a webhook: a message with one adaptive card."""
    title = {"type": "TextBlock", "text": notice.title, "weight": "Bolder", "wrap": True}
    lines = [{"type": "TextBlock", "text": line, "wrap": True, "spacing": "None"} for line in notice.lines()]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [title, *lines],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return Form(_JSON, json.dumps({"type": "message", "attachments": [attachment]}).encode())


def ntfy(notice: Notice) -> Form:
    """For a topic of ntfy: text, with the title and how loud it is as headers."""
    title = notice.title.encode("ascii", "replace").decode()
    headers = {
        "Content-Type": "text/plain; charset=utf-8",
        "Title": title,
        "Priority": _NORMAL if notice.is_good else _LOUD,
        "Tags": "white_check_mark" if notice.is_good else "warning",
    }
    return Form(headers, "\n".join(notice.lines()).encode("utf-8", "backslashreplace"))


FORMS: Mapping[str, Callable[[Notice], Form]] = {"webhook": plain, "slack": slack, "teams": teams, "ntfy": ntfy}
"""The kinds of channels that go by HTTP."""


def _escaped(text: str) -> str:
    """What Slack takes for a command, a link or a mention is shown as it is."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
