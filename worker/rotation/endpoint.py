"""The object storage's endpoint as HostUp named it first, or as a person accepted it: one document beside the records.

It holds what is accepted, since when and by whom, what was accepted before, and what HostUp names instead, if anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from worker.clock import Clock
from worker.errors import EndpointRefused, VaultCasMismatch
from worker.events import Event
from worker.rotation.fresh import see_that_it_is_there
from worker.rotation.ports import Document, EndpointNote, VaultPort
from worker.targets.account import DEFAULT_ACCOUNT, account_option, endpoint_table, named_for

KEPT_BEFORE = 20
FIRST_SIGHT = "first sight"
BY_A_PERSON = "a person"


def accept_hint(account: str = DEFAULT_ACCOUNT) -> str:
    """How a person says which endpoint of an account is right."""
    command = f"rotator accept-endpoint{account_option(account)} --yes"
    return f"See which one is right and run `{command}`, or set endpoint under {endpoint_table(account)}."


class EndpointNotes:
    """The :class:`worker.rotation.ports.EndpointNotesPort` in Vault; ``root`` is where the records lie.

    Every method raises VaultError, and RecordDeleted where the document was there and is not any more: then nobody
    knows what was accepted, and what HostUp names now is no first sight.
    """

    def __init__(self, vault: VaultPort, root: str, clock: Clock, mount: str, account: str = DEFAULT_ACCOUNT) -> None:
        self._vault = vault
        self._path = f"{root}/{named_for(account, '_endpoint', '/')}"
        self._account = account
        self._clock = clock
        self._mount = mount

    def accepted(self) -> EndpointNote | None:
        """See the port. Raises EndpointRefused for a document that says nothing of the kind."""
        return _note(self._read().data, accept_hint(self._account))

    def keep(self, endpoint: str, region: str | None) -> None:
        """See the port."""
        document = self._read()
        if document.data is None:
            with suppress(VaultCasMismatch):  # another worker saw it first
                self._write(document, _content(endpoint, region, self._now(), FIRST_SIGHT))
                _log("info", Event.ENDPOINT_NOTED, endpoint=endpoint)
        elif document.data.get("named_instead") or document.data.get("region") != region:
            with suppress(VaultCasMismatch):
                self._write(document, {**document.data, "region": region, "named_instead": None})

    def refuse(self, endpoint: str) -> None:
        """See the port."""
        document = self._read()
        if (document.data or {}).get("named_instead") != endpoint:
            with suppress(VaultCasMismatch):
                self._write(document, {**(document.data or {}), "named_instead": endpoint, "since": self._now()})

    def accept(self, endpoint: str, region: str | None) -> None:
        """A person accepts an endpoint; what was accepted before stays on record. Raises VaultCasMismatch.

        Also where the document was deleted: the person has decided anew.
        """
        document = self._vault.read(self._path)
        data = document.data or {}
        before = data.get("before")
        told = {name: data.get(name) for name in ("endpoint", "accepted_at", "accepted_by")}
        kept = [*(before if isinstance(before, list) else []), *([told] if told["endpoint"] else [])][-KEPT_BEFORE:]
        self._write(document, {**_content(endpoint, region, self._now(), BY_A_PERSON), "before": kept})
        _log("warning", Event.ENDPOINT_ACCEPTED, endpoint=endpoint, previous_endpoint=told["endpoint"])

    def _read(self) -> Document:
        return see_that_it_is_there(
            self._vault.read(self._path), self._mount, self._path, None, accept_hint(self._account)
        )

    def _write(self, document: Document, content: Mapping[str, object]) -> None:
        self._vault.write(self._path, content, document.version)

    def _now(self) -> str:
        return self._clock.now().isoformat(timespec="seconds")


def _content(endpoint: str, region: str | None, now: str, by: str) -> dict[str, Any]:
    return {
        "endpoint": endpoint,
        "region": region,
        "accepted_at": now,
        "accepted_by": by,
        "named_instead": None,
        "before": [],
    }


def _note(data: Mapping[str, object] | None, hint: str) -> EndpointNote | None:
    if data is None:
        return None
    endpoint, region, instead = (_text(data.get(name)) for name in ("endpoint", "region", "named_instead"))
    if endpoint is None:
        raise EndpointRefused("the note of the accepted object storage in Vault cannot be read", hint=hint)
    since, by = _text(data.get("accepted_at")) or "", _text(data.get("accepted_by")) or ""
    return EndpointNote(endpoint, region, since, by, instead)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _log(level: str, event: Event, **fields: object) -> None:
    import structlog  # noqa: PLC0415 - loading it takes longer than `rotator status TARGET` may take

    getattr(structlog.get_logger(__name__), level)(event, **fields)
