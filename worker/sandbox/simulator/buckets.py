"""Buckets and objects in memory: as much of S3 as a small app needs (put, get, list, head, delete of any SDK)."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl, unquote
from xml.sax.saxutils import escape

from worker.sandbox.simulator.behaviour import OWNER
from worker.sandbox.simulator.spoil import XML
from worker.sandbox.wire import Request, Response

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
PAGE = 1000
"""Most keys in one listing, as S3 has it."""
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object."""

    body: bytes = field(repr=False)
    content_type: str
    metadata: tuple[tuple[str, str], ...]
    at: datetime

    @property
    def etag(self) -> str:
        """The quoted MD5, as S3 has it."""
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'

    def headers(self) -> tuple[tuple[str, str], ...]:
        """What GET and HEAD answer about it."""
        return (
            ("Content-Type", self.content_type),
            ("Content-Length", str(len(self.body))),
            ("ETag", self.etag),
            ("Last-Modified", format_datetime(self.at, usegmt=True)),
            *self.metadata,
        )


class S3Error(Exception):
    """A refusal: its status and S3's code for it."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(frozen=True, slots=True)
class Buckets:
    """All buckets; ``answer`` carries out one authorized request."""

    _buckets: dict[str, tuple[datetime, dict[str, Stored]]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def usage(self) -> tuple[int, int, int]:
        """How many buckets, objects and bytes there are."""
        with self._lock:
            objects = [stored for _, bucket in self._buckets.values() for stored in bucket.values()]
            return len(self._buckets), len(objects), sum(len(stored.body) for stored in objects)

    def answer(self, request: Request) -> Response:
        """Carry out a request for a bucket or an object; raises S3Error."""
        bucket, _, key = unquote(request.path.lstrip("/")).partition("/")
        with self._lock:
            return self._of_object(request, bucket, key) if key else self._of_bucket(request, bucket)

    def listing(self, owner: str = OWNER) -> Response:
        """The answer to ListBuckets; ``anonymous`` owns none."""
        with self._lock:
            made = {name: at for name, (at, _) in self._buckets.items()} if owner == OWNER else {}
        buckets = "".join(
            f"<Bucket><Name>{escape(name)}</Name><CreationDate>{_iso(at)}</CreationDate></Bucket>"
            for name, at in sorted(made.items())
        )
        return _xml(
            f"<ListAllMyBucketsResult {NAMESPACE}><Owner><ID>{owner}</ID><DisplayName>{owner}</DisplayName></Owner>"
            f"<Buckets>{buckets}</Buckets></ListAllMyBucketsResult>"
        )

    def _of_bucket(self, request: Request, name: str) -> Response:
        if request.method == "PUT":
            self._buckets.setdefault(name, (datetime.now(UTC), {}))
            return Response(200, headers=(("Location", f"/{name}"),))
        objects = self._objects(name)
        match request.method:
            case "HEAD":
                return Response(200)
            case "GET":
                return _xml(_list_objects(name, objects, dict(parse_qsl(request.query, keep_blank_values=True))))
            case "DELETE" if objects:
                raise S3Error(409, "BucketNotEmpty")
            case "DELETE":
                del self._buckets[name]
                return Response(204)
            case _:
                raise S3Error(405, "MethodNotAllowed")

    def _of_object(self, request: Request, bucket: str, key: str) -> Response:
        objects = self._objects(bucket)
        if request.method == "PUT":
            stored = objects[key] = _store(request)
            return Response(200, headers=(("ETag", stored.etag),))
        if request.method == "DELETE":
            objects.pop(key, None)
            return Response(204)
        found = objects.get(key)
        if found is None:
            raise S3Error(404, "NoSuchKey")
        match request.method:
            case "GET":
                return _whole_or_part(found, request.headers.get("range", ""))
            case "HEAD":
                return Response(200, b"", found.headers())
            case _:
                raise S3Error(405, "MethodNotAllowed")

    def _objects(self, bucket: str) -> dict[str, Stored]:
        if bucket not in self._buckets:
            raise S3Error(404, "NoSuchBucket")
        return self._buckets[bucket][1]


def _store(request: Request) -> Stored:
    if "x-amz-copy-source" in request.headers or "uploadId" in dict(parse_qsl(request.query)):
        raise S3Error(501, "NotImplemented")  # copies, multipart uploads
    in_chunks = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
    body = b"".join(_chunks(request.body)) if in_chunks else request.body
    metadata = tuple((n, v) for n, v in request.headers.items() if n.startswith("x-amz-meta-"))
    kind = request.headers.get("content-type", "binary/octet-stream")
    return Stored(body, kind, metadata, datetime.now(UTC))


def _chunks(body: bytes) -> Iterator[bytes]:
    """What a body of ``STREAMING-...`` holds; the chunks' own signatures and the trailer are not checked."""
    rest = body
    while True:
        size, found, rest = rest.partition(b"\r\n")
        try:
            length = int(size.partition(b";")[0], 16)
        except ValueError:
            raise S3Error(400, "IncompleteBody") from None
        if not found or len(rest) < length:
            raise S3Error(400, "IncompleteBody")
        if length == 0:
            return
        yield rest[:length]
        rest = rest[length + len(b"\r\n") :]


def _whole_or_part(found: Stored, wanted: str) -> Response:
    """The answer to a GET, of one range of bytes if such a one is asked for."""
    part = _RANGE.fullmatch(wanted)
    if part is None:
        return Response(200, found.body, found.headers())
    size, first = len(found.body), int(part[1])
    last = min(int(part[2] or size), size - 1)
    if first > last:
        raise S3Error(416, "InvalidRange")
    body = found.body[first : last + 1]
    about = tuple(each for each in found.headers() if each[0] != "Content-Length")
    return Response(206, body, (*about, ("Content-Range", f"bytes {first}-{last}/{size}")))


def _list_objects(bucket: str, objects: Mapping[str, Stored], query: Mapping[str, str]) -> str:
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    after = max(query.get("continuation-token", ""), query.get("start-after", ""), query.get("marker", ""))
    wished = query.get("max-keys", str(PAGE))
    if not wished.isdecimal():
        raise S3Error(400, "InvalidArgument")
    size = min(int(wished), PAGE)
    wanted = sorted(key for key in objects if key.startswith(prefix) and key > after)
    folders = sorted({folder for key in wanted if (folder := _folder(key, prefix, delimiter))})
    names = [key for key in wanted if not _folder(key, prefix, delimiter)]
    page, more = names[:size], len(names) > size
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    return (
        f"<ListBucketResult {NAMESPACE}><Name>{escape(bucket)}</Name><Prefix>{escape(prefix)}</Prefix>"
        f"<KeyCount>{len(page) + len(folders)}</KeyCount><MaxKeys>{size}</MaxKeys>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{''.join(_contents(objects, page))}"
        + "".join(f"<CommonPrefixes><Prefix>{escape(folder)}</Prefix></CommonPrefixes>" for folder in folders)
        + "</ListBucketResult>"
    )


def _contents(objects: Mapping[str, Stored], names: list[str]) -> Iterator[str]:
    for name in names:
        stored = objects[name]
        yield (
            f"<Contents><Key>{escape(name)}</Key><LastModified>{_iso(stored.at)}</LastModified>"
            f"<ETag>{escape(stored.etag)}</ETag><Size>{len(stored.body)}</Size>"
            f"<StorageClass>STANDARD</StorageClass></Contents>"
        )


def _folder(key: str, prefix: str, delimiter: str) -> str:
    rest = key.removeprefix(prefix)
    return prefix + rest.partition(delimiter)[0] + delimiter if delimiter and delimiter in rest else ""


def _xml(text: str) -> Response:
    return Response(200, f'<?xml version="1.0" encoding="UTF-8"?>{text}'.encode(), (XML,))


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
