"""A notice as an e-mail. Pure; apart from the other forms, because loading what makes e-mails takes its time."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime, localtime

from worker.clock import moment
from worker.notices.notice import Notice


def mail(notice: Notice, sender: str, to: tuple[str, ...]) -> EmailMessage:
    """An e-mail in plain text. Its message id is that of the notice, so that a second delivery is seen as such."""
    message = EmailMessage()
    message["Subject"] = f"[rotator] {notice.title}"
    message["From"] = sender
    message["To"] = ", ".join(to)
    message["Date"] = format_datetime(moment(notice.at) or localtime())
    message["Message-ID"] = f"<{notice.id}@hostup-rotator.invalid>"
    message["Auto-Submitted"] = "auto-generated"
    if not notice.is_good:
        message["Importance"] = "high"
    text = "\n".join((notice.title + ".", "", *notice.lines(), ""))
    message.set_content(text.encode("utf-8", "backslashreplace").decode())
    return message
