"""What the probe makes of every answer of the object storage: the table of facts.md, "Ceph's object gateway"."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import LOOPBACK_PEM, Heard, Step, Wire, answer, cut, drip, raw, reset, silence
from worker.adapters.http.client import HttpClient, new_client
from worker.adapters.s3.probe import StorageProbe
from worker.errors import StorageError
from worker.rotation.ports import Life, Probe
from worker.secret import Secret

ACCESS_KEY = "AKIAEXAMPLE"
SECRET = Secret("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
REGION = "eu-north-1"
AMZ_ID = {"x-amz-request-id": "tx000001-0065-1-default"}
S3_NAMESPACE = ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'

LONG = 30.0
"""Seconds that no test waits for."""

SHORT = 1.0
"""Seconds: the deadline where its passing is what counts."""

Ask = Callable[[StorageProbe], Probe]


def works(probe: StorageProbe) -> Probe:
    return probe.works(ACCESS_KEY, SECRET)


def lives(probe: StorageProbe) -> Probe:
    return probe.lives(ACCESS_KEY)


def refusal(code: str, status: int = 403, namespace: str = "") -> Step:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error{namespace}><Code>{code}</Code><HostId>x</HostId></Error>'
    return answer(status, text.encode(), AMZ_ID)


def listing(owner: str, namespace: str = S3_NAMESPACE, status: int = 200) -> Step:
    text = f"<ListAllMyBucketsResult{namespace}>{owner}<Buckets/></ListAllMyBucketsResult>"
    return answer(status, text.encode(), AMZ_ID)


OWNED = "<Owner><ID>user$one</ID><DisplayName>One</DisplayName></Owner>"
ANONYMOUS = "<Owner><ID>anonymous</ID><DisplayName/></Owner>"


def probed(client: HttpClient, ask: Ask, *steps: Step, deadline: float = LONG) -> tuple[Probe, list[Heard]]:
    with Wire(*steps) as wire:
        probe = ask(StorageProbe(client, wire.url, REGION, deadline=deadline))
    return probe, wire.heard


@pytest.mark.parametrize(
    ("steps", "life", "code", "words"),
    [
        ([listing(OWNED)], Life.ALIVE, None, ""),
        ([listing(OWNED, namespace="")], Life.ALIVE, None, ""),
        ([refusal("InvalidAccessKeyId")], Life.DEAD, "InvalidAccessKeyId", "not know this key"),
        ([refusal("InvalidAccessKeyId", namespace=S3_NAMESPACE)], Life.DEAD, "InvalidAccessKeyId", ""),
        ([refusal("SignatureDoesNotMatch")], Life.DEAD, "SignatureDoesNotMatch", "this secret does not open it"),
        ([refusal("AccessDenied"), refusal("SignatureDoesNotMatch")], Life.ALIVE, "AccessDenied", "may not list"),
        ([refusal("AccessDenied"), refusal("InvalidAccessKeyId")], Life.DEAD, "AccessDenied", "is gone"),
        ([refusal("AccessDenied"), refusal("AccessDenied")], Life.DEAD, "AccessDenied", "is gone"),
        ([refusal("AccessDenied"), refusal("InternalError", 500)], Life.UNKNOWN, "InternalError", "500"),
        ([refusal("AccessDenied"), listing(OWNED)], Life.UNKNOWN, None, "took a wrong secret"),
        ([refusal("AccessDenied"), cut(b"")], Life.UNKNOWN, None, "no answer"),
    ],
)
def test_does_it_work(client: HttpClient, steps: list[Step], life: Life, code: str | None, words: str) -> None:
    probe, heard = probed(client, works, *steps)
    assert (probe.life, probe.code) == (life, code)
    assert words in probe.detail
    assert len(heard) == len(steps)


@pytest.mark.parametrize(
    ("step", "life", "code"),
    [
        (refusal("SignatureDoesNotMatch"), Life.ALIVE, "SignatureDoesNotMatch"),
        (refusal("InvalidAccessKeyId"), Life.DEAD, "InvalidAccessKeyId"),
        (refusal("AccessDenied"), Life.DEAD, "AccessDenied"),
        (listing(OWNED), Life.UNKNOWN, None),
    ],
)
def test_does_it_live(client: HttpClient, step: Step, life: Life, code: str | None) -> None:
    probe, heard = probed(client, lives, step)
    assert (probe.life, probe.code, probe.request_id) == (life, code, AMZ_ID["x-amz-request-id"])
    assert len(heard) == 1


@pytest.mark.parametrize("ask", [works, lives])
@pytest.mark.parametrize(
    ("step", "words"),
    [
        (listing(ANONYMOUS), "without the owner"),
        (listing("<Owner><ID> Anonymous </ID></Owner>"), "without the owner"),
        (listing("<Owner><ID>  </ID></Owner>"), "without the owner"),
        (listing("<Owner/>"), "without the owner"),
        (listing(""), "without the owner"),
        (listing(OWNED, status=206), "without the owner"),
        (answer(200, f"<html>{OWNED}</html>".encode()), "without the owner"),
        (answer(200, b"<ListAllMyBucketsResult>" + OWNED.encode()), "without the owner"),
        (answer(200, b""), "without the owner"),
        (answer(200, b"\x00\xff"), "without the owner"),
        (answer(200, b"<!DOCTYPE x><ListAllMyBucketsResult>" + OWNED.encode() + b"</ListAllMyBucketsResult>"), "owner"),
        (answer(200, b'<?xml version="1.0" encoding="no-such"?><a/>'), "without the owner"),
        (listing(OWNED + " " * 2_100_000), "without the owner"),
        (refusal("RequestTimeTooSkewed"), "clock"),
        (refusal("UserSuspended"), "suspended"),
        (refusal("InvalidArgument", 400), "InvalidArgument"),
        (refusal("AuthorizationHeaderMalformed", 400), "region"),
        (refusal("SlowDown", 503), "503 SlowDown"),
        (refusal("InternalError", 500), "500 InternalError"),
        (refusal("InvalidAccessKeyId", 400), "400 InvalidAccessKeyId"),
        (refusal("AccessDenied", 503), "503 AccessDenied"),
        (refusal("SignatureDoesNotMatch", 200), "without the owner"),
        (refusal("no code & no xml"), "without an S3 error code"),
        (refusal("two words"), "without an S3 error code"),
        (refusal("x" * 65), "without an S3 error code"),
        (answer(403, b"<html>Forbidden: AccessDenied</html>"), "without an S3 error code"),
        (answer(403, b"<Error><Inner><Code>InvalidAccessKeyId</Code></Inner></Error>"), "without an S3 error code"),
        (answer(404, b""), "404"),
        (answer(502, b"<html>"), "502"),
        (refusal("TemporaryRedirect", 307), "redirect"),
    ],
)
def test_everything_else_says_nothing(client: HttpClient, ask: Ask, step: Step, words: str) -> None:
    probe, heard = probed(client, ask, step)
    assert probe.life is Life.UNKNOWN
    assert words in probe.detail
    assert probe.status
    assert len(heard) == 1


@pytest.mark.parametrize("ask", [works, lives])
class TestNoAnswer:
    @pytest.mark.parametrize(
        "step", [cut(b""), cut(b"HTTP/1.1 403 Forb"), cut(raw(200, b"<a/>")[:-2]), cut(b"not http\r\n\r\n"), reset()]
    )
    def test_cut(self, client: HttpClient, ask: Ask, step: Step) -> None:
        probe, _ = probed(client, ask, step)
        assert (probe.life, probe.status, probe.code, probe.request_id) == (Life.UNKNOWN, None, None, None)
        assert "no answer" in probe.detail

    @pytest.mark.parametrize(
        "step",
        [silence(), drip(raw(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>" + b" " * 100), SHORT / 30)],
        ids=["silence", "dripping"],
    )
    def test_the_deadline_is_for_the_call_as_a_whole(self, client: HttpClient, ask: Ask, step: Step) -> None:
        probe, _ = probed(client, ask, step, deadline=SHORT)
        assert (probe.life, probe.status) == (Life.UNKNOWN, None)
        assert "no whole response in time" in probe.detail

    def test_refused_connection(self, client: HttpClient, ask: Ask) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            probe = ask(StorageProbe(client, f"http://127.0.0.1:{closed.getsockname()[1]}", REGION, deadline=LONG))
        assert probe.life is Life.UNKNOWN
        assert "the connection was refused" in probe.detail

    def test_self_signed_certificate(self, client: HttpClient, ask: Ask) -> None:
        with Wire(listing(OWNED), tls=True) as wire:
            probe = ask(StorageProbe(client, wire.url, REGION, deadline=LONG))
        assert (probe.life, wire.heard) == (Life.UNKNOWN, [])

    def test_a_redirect_is_not_followed(self, client: HttpClient, ask: Ask) -> None:
        with Wire(listing(OWNED)) as other:
            probe, _ = probed(client, ask, answer(307, b"", {"Location": other.url}))
        assert (probe.life, other.heard) == (Life.UNKNOWN, [])

    @pytest.mark.parametrize(("account", "table"), [("default", "[storage]"), ("media", "[[account]] media")])
    def test_a_redirect_names_the_table_of_its_account(
        self, client: HttpClient, ask: Ask, account: str, table: str
    ) -> None:
        with Wire(answer(307, b"", {"Location": "/"})) as wire:
            probe = ask(StorageProbe(client, wire.url, REGION, deadline=LONG, account=account))
        assert f"check the endpoint under {table}" in probe.detail

    def test_a_name_that_cannot_be_a_key(self, client: HttpClient, ask: Ask) -> None:  # noqa: ARG002 - both asked
        with Wire(listing(OWNED)) as wire:
            probe = StorageProbe(client, wire.url, REGION, deadline=LONG)
            said = [probe.lives(name) for name in ("", "a\r\nb", "å", "\ud800", "x" * 257)]
            said.append(probe.works(ACCESS_KEY, Secret("\ud800")))
        assert {one.life for one in said} == {Life.UNKNOWN}
        assert wire.heard == []


def test_trusted_certificate() -> None:
    with Wire(listing(OWNED), tls=True) as wire, new_client(ca_file=str(LOOPBACK_PEM)) as trusting:
        assert works(StorageProbe(trusting, wire.url, REGION, deadline=LONG)).life is Life.ALIVE


@pytest.mark.parametrize("strange", ["", "x" * 129, "bl\x85nk"])
def test_a_strange_request_id_is_none(client: HttpClient, strange: str) -> None:
    probe, _ = probed(client, lives, answer(403, b"", {"x-amz-request-id": strange}))
    assert probe.request_id is None


@pytest.mark.parametrize("endpoint", ["", "s3.hostup.se", "http://s3.hostup.se", "https://u:hunter2@h", "https://h:0"])
def test_a_bad_endpoint(client: HttpClient, endpoint: str) -> None:
    with pytest.raises(StorageError, match="endpoint") as caught:
        StorageProbe(client, endpoint, REGION, deadline=LONG)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("region", ["", "two words", "å", "x/y", "x\n"])
def test_a_bad_region(client: HttpClient, region: str) -> None:
    with pytest.raises(StorageError, match="region"):
        StorageProbe(client, "https://s3.hostup.se", region, deadline=LONG)


PIECES = (
    *("<Error>", "</Error>", "<Code>", "</Code>", "<ListAllMyBucketsResult>", "</ListAllMyBucketsResult>"),
    *("<Owner>", "<ID>", "</ID>", "</Owner>", "AccessDenied", "anonymous", "x"),
    *("<!DOCTYPE a [", "]>", "&x;", "<![CDATA[", "\x00", "<?xml version='1.0' encoding='utf-16'?>"),
)
XMLISH = st.lists(st.sampled_from(PIECES), max_size=12).map(lambda parts: "".join(parts).encode())


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Wire]:
    with Wire(answer(200)) as wire:
        yield wire


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no fault
@given(
    body=st.binary(max_size=200) | XMLISH,
    status=st.sampled_from([200, 301, 400, 403, 404, 500, 599]),
    amz_id=st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=200),
)
def test_no_answer_makes_it_raise(client: HttpClient, fuzzed: Wire, body: bytes, status: int, amz_id: str) -> None:
    fuzzed.script(answer(status, body, {"x-amz-request-id": amz_id}))
    probe = works(StorageProbe(client, fuzzed.url, REGION, deadline=LONG))
    assert probe.status == status
    assert probe.life is not Life.ALIVE or (status == 200 and b"<ID>" in body)
    assert probe.life is not Life.DEAD or (status == 403 and b"<Code>" in body)
