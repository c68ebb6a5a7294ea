"""Reports of errors to Sentry: what is logged as an error, as it stands in the log, and nothing that is not there.

No integration of the SDK is used, nothing is patched, and no exception is handed over: a report has no variables, no
requests and no breadcrumbs. The traceback in it is the log's, which has no values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from structlog.typing import EventDict

from worker import __version__
from worker.logs.redaction import Redactor
from worker.secret import Secret
from worker.service.telemetry.trouble import Trouble

if TYPE_CHECKING:
    from sentry_sdk import Client
    from sentry_sdk.types import Event as Report
    from sentry_sdk.types import Hint

GOODBYE = 3.0
"""Seconds for reports that wait when the worker ends."""

_LEVELS = {"error": "error", "critical": "fatal"}
_TAGS = ("event", "target", "kind", "account")
_ELSEWHERE = ("timestamp", "level", "logger", *_TAGS)
_HINT = "See SENTRY_DSN, and whether its host can be reached; what could not be sent is in the log."


class ErrorReports:
    """A structlog processor behind the redactor, for the log's own events; changes nothing, and never waits."""

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._trouble = Trouble("error reports", _HINT)
        self._client: Client | None = None

    def open(self, dsn: Secret | None, worker: str) -> None:
        """Begin to send, where there is a DSN. Raises nothing: trouble is logged."""
        if dsn is None:
            return
        try:
            self._client = _client(dsn.reveal(), worker, self._scrubbed, self._trouble)
        except ModuleNotFoundError:
            self._trouble.note(well=False, why="SENTRY_DSN is set, but hostup-rotator[sentry] is not installed")
        except ValueError:  # BadDsn, whose text quotes it
            self._trouble.note(well=False, why="SENTRY_DSN is no DSN")

    def __call__(self, logger: object, method: str, event_dict: EventDict) -> EventDict:
        """Report a line that is an error."""
        del logger, method
        if self._client and event_dict.get("level") in _LEVELS:
            try:
                self._client.capture_event(_report(event_dict))
            except Exception as error:  # noqa: BLE001 - a defect of the SDK must not end what is logged here
                self._trouble.note(well=False, why=f"the SDK failed ({type(error).__name__}); rotations go on")
        return event_dict

    def close(self) -> None:
        """Send what waits, for a moment."""
        if self._client:
            self._client.close(timeout=GOODBYE)

    def _scrubbed(self, report: Report, hint: Hint) -> Report:
        """Once more: the SDK adds something of its own to what the log's redaction has seen."""
        del hint
        scrubbed: Any = self._redactor(None, "", dict(report))
        return scrubbed  # type: ignore[no-any-return]  # a mapping of the same shape


def _client(dsn: str, worker: str, scrub: Any, trouble: Trouble) -> Client:
    """Raises ModuleNotFoundError, ValueError."""
    import sentry_sdk  # noqa: PLC0415 - loaded where it is used only
    from sentry_sdk.transport import HttpTransport  # noqa: PLC0415 - as above

    class Transport(HttpTransport):
        """The SDK's, which tells how it goes."""

        def on_dropped_event(self, _reason: str) -> None:
            trouble.note(well=False)

    return sentry_sdk.Client(
        dsn=dsn,
        release=__version__,
        server_name=worker,
        transport=Transport,
        before_send=scrub,
        default_integrations=False,
        auto_enabling_integrations=False,
        auto_session_tracking=False,
        include_local_variables=False,
        include_source_context=False,
        max_request_body_size="never",
        max_breadcrumbs=0,
        send_client_reports=False,
        propagate_traces=False,
        spotlight=False,
        debug=False,
    )


def _report(line: Mapping[str, Any]) -> Report:
    """A line of the log as Sentry has it; alike is what is the same event, and the same kind of error at one place."""
    event, kind = str(line.get("event", "")), str(line.get("kind", ""))
    report: Any = {
        "level": _LEVELS[str(line["level"])],
        "logger": str(line.get("logger", "worker")),
        "message": ": ".join(filter(None, (event, str(line.get("error", ""))))),
        "tags": {name: str(line[name]) for name in _TAGS if line.get(name)},
        "extra": {name: value for name, value in line.items() if name not in _ELSEWHERE},
        "fingerprint": [event, kind, _place(str(line.get("exception", "")))],
    }
    return report  # type: ignore[no-any-return]  # a TypedDict, built by its names


def _place(traceback: str) -> str:
    """The line of code that a traceback ends in."""
    places = [line.strip() for line in traceback.splitlines() if line.lstrip().startswith('File "')]
    return places[-1] if places else ""
