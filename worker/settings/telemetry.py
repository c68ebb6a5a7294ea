"""What is sent to who collects: traces and metrics by OTLP (the variables ``OTEL_*``), errors to Sentry.

Nothing here is a reason not to start: the variables are often set for all programs of a machine.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import unquote

from pydantic import BaseModel

from worker.secret import Secret
from worker.settings.environment import Variable
from worker.settings.proxies import login_secrets
from worker.settings.values import STRICT, SecretWord

_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_HEADERS = ("OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_METRICS_HEADERS")


class SentrySettings(BaseModel):
    """Where errors are reported; None: nowhere."""

    model_config = STRICT

    dsn: Annotated[SecretWord | None, Variable("SENTRY_DSN")] = None


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What is sent. ``protocol`` is one that is asked for and not spoken; ``dsn``: where errors are reported.

    ``secrets`` are in variables that the library reads itself.
    """

    traces: bool = False
    metrics: bool = False
    protocol: str = ""
    secrets: tuple[Secret, ...] = ()
    dsn: Secret | None = None

    def hidden(self) -> tuple[Secret, ...]:
        """Every secret in here; for redaction."""
        return (*self.secrets, *((self.dsn, *login_secrets(self.dsn.reveal())) if self.dsn else ()))


def telemetry(env: Mapping[str, str], dsn: Secret | None) -> Telemetry:
    """What the environment says, by the specification of OpenTelemetry: off unless an endpoint is set."""
    if env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return Telemetry(dsn=dsn)
    on = {signal: _is_on(signal, env) for signal in ("TRACES", "METRICS")}
    other = [protocol for signal in on if on[signal] and (protocol := _protocol(signal, env)) != "http/protobuf"]
    secrets = tuple(Secret(value) for value in dict.fromkeys(_header_values(env)) if value)
    return Telemetry(on["TRACES"], on["METRICS"], other[0] if other else "", secrets, dsn)


def _is_on(signal: str, env: Mapping[str, str]) -> bool:
    endpoint = env.get(f"OTEL_EXPORTER_OTLP_{signal}_ENDPOINT") or env.get(_ENDPOINT)
    return bool(endpoint) and env.get(f"OTEL_{signal}_EXPORTER", "otlp").strip().lower() in ("", "otlp")


def _protocol(signal: str, env: Mapping[str, str]) -> str:
    named = env.get(f"OTEL_EXPORTER_OTLP_{signal}_PROTOCOL") or env.get("OTEL_EXPORTER_OTLP_PROTOCOL")
    return (named or "http/protobuf").strip().lower()


def _header_values(env: Mapping[str, str]) -> Iterator[str]:
    """``name=value,name=value``, percent-encoded; of a value such as ``Bearer word`` the word by itself, too."""
    for header in ",".join(env.get(name, "") for name in _HEADERS).split(","):
        value = header.partition("=")[2].strip()
        yield value
        yield unquote(value)
        yield unquote(value).rpartition(" ")[2]
    for name in (_ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"):
        yield from (secret.reveal() for secret in login_secrets(env.get(name, "")))
