"""A key in the forms that programs read. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from datetime import datetime

from worker.credentials.keys import AppKey, expiration
from worker.errors import CredentialsUnusable

Format = Callable[[AppKey, datetime], str]
Timeless = Callable[[AppKey], str]


def process(key: AppKey, now: datetime) -> str:
    """What ``credential_process`` answers (AWS SDKs and Tools Reference Guide, "Process credential provider")."""
    until = expiration(now, key.grace)
    return json.dumps(
        {
            "Version": 1,
            "AccessKeyId": key.access_key,
            "SecretAccessKey": key.secret_key.reveal(),
            "Expiration": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


def container(key: AppKey, now: datetime) -> str:
    """What a container credentials endpoint answers. ``Token`` has to be there and empty (docs/facts.md)."""
    return json.dumps({**json.loads(process(key, now)), "Token": ""})


def document(key: AppKey) -> str:
    """All that the secret holds, under its own names."""
    return json.dumps(dict(key.fields), indent=2)


def environment(key: AppKey) -> str:
    """Lines for a shell to read, ``export AWS_ACCESS_KEY_ID=...`` (``eval "$(...)"``)."""
    return "\n".join(f"export {name}={shlex.quote(value)}" for name, value in variables(key).items())


def variables(key: AppKey) -> Mapping[str, str]:
    """The environment variables that the AWS SDKs, restic and the like read."""
    named = {
        "AWS_ACCESS_KEY_ID": key.access_key,
        "AWS_SECRET_ACCESS_KEY": key.secret_key.reveal(),
        "AWS_ENDPOINT_URL_S3": key.endpoint,
        "AWS_REGION": key.region,
        "AWS_DEFAULT_REGION": key.region,
    }
    return {name: value for name, value in named.items() if value}


def rclone(key: AppKey) -> str:
    """A section of rclone.conf (rclone's page "Amazon S3", provider Ceph)."""
    return section(
        "hostup",
        {
            "type": "s3",
            "provider": "Ceph",
            "access_key_id": key.access_key,
            "secret_access_key": key.secret_key.reveal(),
            "endpoint": key.endpoint,
            "region": key.region,
        },
    )


def s3cmd(key: AppKey) -> str:
    """An s3cfg; buckets are asked for by path, as the certificate of a gateway need not hold their names."""
    host = key.endpoint.removeprefix("https://").removeprefix("http://")
    return section(
        "default",
        {
            "access_key": key.access_key,
            "secret_key": key.secret_key.reveal(),
            "host_base": host,
            "host_bucket": host,
            "bucket_location": key.region,
            "use_https": "False" if key.endpoint.startswith("http://") else "True",
        },
    )


def mc(key: AppKey) -> str:
    """What ``mc alias import NAME`` reads."""
    return json.dumps(
        {
            "url": key.endpoint,
            "accessKey": key.access_key,
            "secretKey": key.secret_key.reveal(),
            "api": "S3v4",
            "path": "auto",
        }
    )


def section(name: str, values: Mapping[str, str]) -> str:
    """A section of an INI file. Raises CredentialsUnusable for what would be read as a line of its own."""
    odd = [key for key, value in values.items() if not value.isprintable()]
    if odd:
        raise CredentialsUnusable(f"{odd[0]} holds a control character", hint="Look at the secret in Vault.")
    return "\n".join([f"[{name}]", *(f"{key} = {value}" for key, value in values.items() if value)])


def _at_any_time(form: Timeless) -> Format:
    return lambda key, _: form(key)


FORMATS: Mapping[str, Format] = {
    "process": process,
    "env": _at_any_time(environment),
    "json": _at_any_time(document),
    "rclone": _at_any_time(rclone),
    "s3cmd": _at_any_time(s3cmd),
    "mc": _at_any_time(mc),
    "restic": _at_any_time(environment),
}
"""By the names of ``--format``."""
