"""More than a real server takes: on raft, in memory, and in the words of other storages and of proxies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.vault.answers import errors, token
from tests.contract.vault.conftest import Connect
from tests.records import MINUTE, NOW, create, current, empty, request, retiring
from tests.wire import Wire, answer
from worker.adapters.vault.kv import VaultAccess, VaultStore, connect
from worker.clock import SystemClock
from worker.errors import VaultRefused, VaultTooLarge, VaultUnavailable
from worker.rotation.changes.rotation import requested
from worker.rotation.record import Record, encode
from worker.rotation.records import RecordStore
from worker.rotation.size import MOST_STRINGS, see_that_it_fits
from worker.sandbox.servers import start_vault
from worker.secret import Secret


@pytest.fixture(scope="module")
def raft(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultStore]:
    server = start_vault(tmp_path_factory.mktemp("raft"), persistent=True)
    try:
        store = connect(VaultAccess(server.address, token=server.root_token), "secret", SystemClock(), deadline=30)
        yield store
        store.close()
    finally:
        server.stop()


def test_raft_says_that_an_entry_is_too_large(raft: VaultStore) -> None:
    with pytest.raises(VaultTooLarge, match="more than Vault takes") as caught:
        raft.write("large", {"texts": ["x" * 600_000] * 2}, 0)
    assert caught.value.exit_code == 1
    assert raft.read("large").version == 0


def test_too_many_names_or_texts_are_too_large(store: VaultStore, path: str) -> None:
    with pytest.raises(VaultTooLarge):
        store.write(path, {"texts": ["x"] * 20_000}, 0)
    assert store.read(path).version == 0


def test_a_record_that_may_begin_a_rotation_is_taken(raft: VaultStore, tmp_path: Path) -> None:
    """With as many strings as are allowed, and then the requests that may come meanwhile."""
    del tmp_path
    record = _at_the_limit()
    see_that_it_fits(record)
    store = RecordStore(raft, "state", SystemClock())
    loaded = store.change(store.load("media", "apps/media"), lambda _: record)
    for number in range(32):
        more = request(f"message-{number}")
        loaded = store.change(loaded, lambda known, more=more: requested(known, more))  # type: ignore[misc]
    assert len(store.load("media", "apps/media").record.requests) == 32


def _at_the_limit() -> Record:
    record = empty()
    record = Record(
        target=record.target, path=record.path, current=current(), retiring=tuple(retiring(f"R{n}") for n in range(19))
    )
    while _strings(encode(record)) < MOST_STRINGS - 20:
        number = len(record.unconfirmed_creates)
        more = create(3, ago=MINUTE, rotation_id=f"rotation-{number}")
        record = Record(
            target=record.target,
            path=record.path,
            current=record.current,
            retiring=record.retiring,
            unconfirmed_creates=(*record.unconfirmed_creates, more),
        )
    assert record.retiring[0].retire_after < NOW
    return record


def _strings(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_strings, value.values()))
    return sum(map(_strings, value)) if isinstance(value, list) else isinstance(value, str)


KEY = "logical/a26fa07c-1ec6-d453-8051-29622713f275/4cd1/versions/d2f/" + "ab" * 64
WORDS = {
    "raft": (500, f"put failed due to value being too large, max value size for key {KEY} is 1048576, got 1048669"),
    "raft of OpenBao": (
        500,
        "1 error occurred:\n\t* put failed due to value being too large; got 156 bytes, max 1048576",
    ),
    "Consul": (500, "Unexpected response code: 413 (Value exceeds 524288 byte limit)"),
    "etcd": (500, "etcdserver: request is too large"),
    "DynamoDB": (500, "ValidationException: Item size has exceeded the maximum allowed size"),
    "MySQL": (500, "Error 1153: Got a packet bigger than 'max_allowed_packet' bytes"),
    "strings": (400, "refused JSON input due to high complexity: exceeded maximum number of strings"),
    "a string": (500, "JSON string value exceeds allowed length"),
    "a body": (413, "failed to parse JSON input: http: request body too large"),
}


@pytest.mark.parametrize(("status", "words"), WORDS.values(), ids=list(WORDS))
def test_it_is_told_by_its_words(connected: Connect, status: int, words: str) -> None:
    with Wire(token(), errors(status, words)) as wire, pytest.raises(VaultTooLarge) as caught:
        connected(wire.url, token=Secret("s")).write("app", {"a": "b"}, 0)
    assert KEY not in str(caught.value)


def test_a_proxy_that_takes_no_such_body_says_it_by_its_status(connected: Connect) -> None:
    page = answer(413, b"<html>413 Request Entity Too Large</html>", {"Content-Type": "text/html"})
    with Wire(token(), page) as wire, pytest.raises(VaultTooLarge):
        connected(wire.url, token=Secret("s")).write("app", {"a": "b"}, 0)


@pytest.mark.parametrize(
    ("status", "words", "error"),
    [(500, "internal error", VaultUnavailable), (400, "something else", VaultRefused)],
)
def test_other_errors_are_still_what_they_are(
    connected: Connect, status: int, words: str, error: type[Exception]
) -> None:
    with Wire(token(), errors(status, words)) as wire, pytest.raises(error):
        connected(wire.url, token=Secret("s")).write("app", {"a": "b"}, 0)
