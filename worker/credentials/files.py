"""A key as the files that programs read: the forms of ``rotator render``. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping

from worker.credentials.formats import document, rclone, s3cmd, section, variables
from worker.credentials.keys import AppKey

Files = Mapping[str, str]
"""Texts by their names in one folder."""
Form = Callable[[AppKey], str]


def aws(key: AppKey) -> str:
    """``~/.aws/credentials`` (or AWS_SHARED_CREDENTIALS_FILE), which minio-go, restic and others read, too."""
    return section(
        "default",
        {
            "aws_access_key_id": key.access_key,
            "aws_secret_access_key": key.secret_key.reveal(),
            "endpoint_url": key.endpoint,
            "region": key.region,
        },
    )


def environment(key: AppKey) -> str:
    """``NAME=value`` in each line, for systemd's EnvironmentFile=, Compose's env_file, and ``set -a; . FILE``."""
    named = variables(key)
    section("", named)  # no value may be a line of its own
    return "\n".join(f"{name}={shlex.quote(value)}" for name, value in named.items())


def mc(key: AppKey) -> str:
    """The ``config.json`` of mc, in the folder that MC_CONFIG_DIR names; the alias is ``hostup``."""
    alias = {
        "url": key.endpoint,
        "accessKey": key.access_key,
        "secretKey": key.secret_key.reveal(),
        "api": "S3v4",
        "path": "auto",
    }
    return json.dumps({"version": "10", "aliases": {"hostup": alias}}, indent=2)


def pair(key: AppKey) -> Files:
    """A file for each half of the key, without an end of line, as programs that read such files expect it."""
    return {"access_key": key.access_key, "secret_key": key.secret_key.reveal()}


PAIR = "pair"
FORMS: Mapping[str, Form] = {
    "aws": aws,
    "rclone": rclone,
    "s3cmd": s3cmd,
    "mc": mc,
    "env": environment,
    "json": document,
}
"""The forms of one file, by the names of ``--format``; :data:`PAIR` is the one of several."""


def text(form: str, key: AppKey) -> str:
    """The content of one file. Raises CredentialsUnusable for a value that would be a line of its own."""
    return FORMS[form](key) + "\n"
