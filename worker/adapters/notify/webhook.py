"""Notices by HTTP: webhooks, Slack, Teams, ntfy. No redirect is followed, and nothing of an answer is believed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from worker.adapters.http.client import HttpClient
from worker.adapters.http.deadline import within
from worker.adapters.http.messages import NoResponse, Request
from worker.clock import Clock
from worker.errors import NotDelivered
from worker.notices.forms import Form
from worker.notices.notice import Notice
from worker.notices.signing import signed
from worker.settings.credential import Credential

_TAKEN = range(200, 300)
_REDIRECTS = range(300, 400)


@dataclass(frozen=True, slots=True)
class WebhookWay:
    """Posts each notice; ``secret`` signs it, ``token`` goes into ``Authorization``."""

    http: HttpClient = field(repr=False)
    clock: Clock
    url: Credential = field(repr=False)
    form: Callable[[Notice], Form]
    timeout: float
    secret: Credential | None = field(default=None, repr=False)
    token: Credential | None = field(default=None, repr=False)

    def deliver(self, notice: Notice) -> None:
        """See :class:`worker.notices.notice.Way`."""
        try:
            with within(self.timeout):
                answer = self.http.send(self._request(notice), fresh=True)
        except NoResponse as error:
            raise NotDelivered(error.reason, hint="See that the address is right, and who listens there.") from None
        if answer.status in _REDIRECTS:
            raise NotDelivered(
                f"it answered with a redirect ({answer.status})", hint="None is followed: give the address it leads to."
            )
        if answer.status not in _TAKEN:
            raise NotDelivered(f"it answered {answer.status}", hint="See the receiver's own log.")

    def _request(self, notice: Notice) -> Request:
        made = self.form(notice)
        headers = dict(made.headers)
        if self.secret:
            headers |= signed(self.secret.current(), notice.id, self.clock.now(), made.body)
        if self.token:
            headers["Authorization"] = f"Bearer {self.token.current().reveal()}"
        return Request("POST", self.url.current().reveal(), headers, made.body)
