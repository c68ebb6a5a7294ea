"""Does a key work, does it live? One signed ``GET /`` (ListBuckets), and what Ceph's gateway means by its answers.

The verdicts are those of docs/facts.md, "Ceph's object gateway". Two things are proof: a 200 that names the key's
owner, and which of three refusals comes. Everything else says nothing about the key.

Imported only where a key is probed: botocore's signer takes a while to load.
"""

from __future__ import annotations

import re
import secrets
import time
from dataclasses import dataclass
from http import HTTPStatus
from xml.etree.ElementTree import Element, ParseError

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from worker.adapters.http.client import HttpClient
from worker.adapters.http.deadline import within
from worker.adapters.http.messages import NoResponse, Request, Response
from worker.errors import StorageError
from worker.meter import NO_ANSWER, NO_METER, Meter
from worker.rotation.ports import SKEWED, SUSPENDED, WRONG_SECRET, Life, Probe
from worker.secret import Secret
from worker.settings.address import address_problem
from worker.targets.account import DEFAULT_ACCOUNT, endpoint_table

LONGEST_NAME = 256
LONGEST_REQUEST_ID = 128
LONGEST_XML = 2 * 1024 * 1024
"""Bytes; a list of a thousand buckets has about 150 KiB, and Ceph lets a user have a thousand unless told otherwise."""

ACCESS_DENIED = "AccessDenied"
NO_SUCH_KEY = "InvalidAccessKeyId"

_SUCCESS, _REDIRECT = 2, 3
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_REGION = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SAYS_NOTHING = {
    SKEWED: "this machine's clock is off by more than 15 minutes",
    SUSPENDED: "the storage's user is suspended, whatever the key",
    "InvalidArgument": "the storage could not read the signature",
    "AuthorizationHeaderMalformed": "the storage wants another region: check storage.region",
}


@dataclass(frozen=True, slots=True)
class _StorageResponse:
    """What one response says: HTTP status, S3 error code, the storage's request id, and the owner that a 200 names."""

    status: int | None = None
    code: str | None = None
    request_id: str | None = None
    owner: str | None = None
    trouble: str = ""

    def refused_with(self, *codes: str) -> bool:
        return self.status == HTTPStatus.FORBIDDEN and self.code in codes

    def as_probe(self, life: Life, detail: str = "") -> Probe:
        return Probe(life, self.status, self.code, self.request_id, detail)

    def as_unknown(self, account: str) -> Probe:
        return self.as_probe(Life.UNKNOWN, self.trouble or self._why(account))

    def _why(self, account: str) -> str:
        if self.code in _SAYS_NOTHING:
            return f"{self.code}: {_SAYS_NOTHING[self.code]}"
        if (self.status or 0) // 100 == _REDIRECT:
            check = f"check the endpoint under {endpoint_table(account)}"
            return f"the storage answered {self.status}, a redirect, which is not followed: {check}"
        if (self.status or 0) // 100 == _SUCCESS:
            return f"the storage answered {self.status} without the owner of this key, which proves nothing"
        return f"the storage answered {self.status} {self.code or 'without an S3 error code'}, which proves nothing"


class StorageProbe:
    """Asks the object storage about keys, over one shared :class:`.HttpClient`; safe for use by many threads.

    ``deadline`` is in seconds and for one signed call; :meth:`works` makes two where the first leaves it open. The
    clock in the signature is this machine's. Raises StorageError when ``endpoint`` is neither https nor this machine,
    or when ``region`` is not one word.
    """

    def __init__(
        self,
        client: HttpClient,
        endpoint: str,
        region: str,
        *,
        deadline: float,
        meter: Meter = NO_METER,
        account: str = DEFAULT_ACCOUNT,
    ) -> None:
        problem, table = address_problem(endpoint), endpoint_table(account)
        if problem:
            hint = f"Set endpoint under {table}, or ask HostUp why its status page names such an address."
            raise StorageError(f"The object storage's endpoint {problem}", hint=hint)
        if not _REGION.fullmatch(region):
            raise StorageError("The object storage's region is not one word", hint=f"Set region under {table}.")
        self._client = client
        self._url = endpoint.rstrip("/") + "/"
        self._region = region
        self._deadline = deadline
        self._meter = meter
        self._account = account

    def works(self, access_key: str, secret_key: Secret) -> Probe:
        """Whether this key with this secret opens the storage; never raises for an answer or its absence."""
        response = self._ask(access_key, secret_key)
        if response.owner:
            return response.as_probe(Life.ALIVE)
        if response.refused_with(NO_SUCH_KEY):
            return response.as_probe(Life.DEAD, "the storage does not know this key")
        if response.refused_with(WRONG_SECRET):
            return response.as_probe(Life.DEAD, "the key exists, but this secret does not open it")
        if response.refused_with(ACCESS_DENIED):
            return self._told_apart(access_key, response)
        return response.as_unknown(self._account)

    def lives(self, access_key: str) -> Probe:
        """Whether this key exists, asked with a wrong secret; never raises for an answer or its absence."""
        response = self._ask(access_key, _wrong_secret())
        if response.refused_with(WRONG_SECRET):
            return response.as_probe(Life.ALIVE)
        if response.refused_with(NO_SUCH_KEY, ACCESS_DENIED):
            return response.as_probe(Life.DEAD)
        if response.owner:
            return response.as_probe(Life.UNKNOWN, "the storage took a wrong secret, so it proves nothing")
        return response.as_unknown(self._account)

    def _told_apart(self, access_key: str, denied: _StorageResponse) -> Probe:
        # a living key that may not list its buckets, and one removed under load, both answer AccessDenied
        life = self.lives(access_key)
        if life.life is Life.ALIVE:
            return denied.as_probe(Life.ALIVE, "the key works, but may not list buckets")
        if life.life is Life.DEAD:
            return denied.as_probe(Life.DEAD, f"AccessDenied, and {life.code} with a wrong secret: the key is gone")
        return life

    def _ask(self, access_key: str, secret_key: Secret) -> _StorageResponse:
        if not _is_signable(access_key, secret_key):
            return _StorageResponse(trouble="no key has such a name or such a secret; nothing was sent")
        request = Request("GET", self._url, _signature(self._url, access_key, secret_key, self._region))
        began, code = time.monotonic(), NO_ANSWER
        try:
            with within(self._deadline):
                response = self._client.send(request)
            code = str(response.status)
        except NoResponse as failure:
            return _StorageResponse(trouble=f"no answer from the storage: {failure.reason}")
        finally:
            self._meter.called("storage", "probe", code, time.monotonic() - began, self._account)
        return _read(response)


def _signature(url: str, access_key: str, secret_key: Secret, region: str) -> dict[str, str]:
    """The headers of a Signature V4 for a GET; ``x-amz-content-sha256`` is among them, which Ceph insists on."""
    signed = AWSRequest(method="GET", url=url)
    S3SigV4Auth(Credentials(access_key, secret_key.reveal()), "s3", region).add_auth(signed)
    return dict(signed.headers.items())


def _read(response: Response) -> _StorageResponse:
    request_id = response.headers.get("x-amz-request-id", "").strip()
    known = request_id and request_id.isprintable() and len(request_id) <= LONGEST_REQUEST_ID
    root = _parse(response.body)
    code = _text(root, "Error", "{*}Code")
    owner = _text(root, "ListAllMyBucketsResult", "{*}Owner/{*}ID")
    return _StorageResponse(
        status=response.status,
        code=code if _CODE.fullmatch(code) else None,
        request_id=request_id if known else None,
        # without an Authorization header Ceph answers 200 to anybody, and calls the owner "anonymous"
        owner=owner if response.status == HTTPStatus.OK and owner.casefold() != "anonymous" else None,
    )


def _parse(body: bytes) -> Element | None:
    if len(body) > LONGEST_XML:
        return None
    try:
        root: Element = ElementTree.fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, LookupError):  # the last two: an encoding Python cannot read
        return None
    return root


def _text(root: Element | None, root_name: str, path: str) -> str:
    """The text at ``path`` below a root of this name, in whatever namespace; empty when there is none."""
    if root is None or root.tag.rpartition("}")[2] != root_name:
        return ""
    return (root.findtext(path) or "").strip()


def _is_signable(access_key: str, secret_key: Secret) -> bool:
    # what is not printable cannot stand in a header, and a lone surrogate cannot even be signed
    named = 0 < len(access_key) <= LONGEST_NAME and access_key.isascii() and access_key.isprintable()
    return named and secret_key.reveal().isprintable()


def _wrong_secret() -> Secret:
    return Secret(secrets.token_hex(20))
