"""``[metrics]``: where a worker answers Prometheus and probes, and what it tells of single targets."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, PlainValidator

from worker.settings.environment import Variable
from worker.settings.problems import kind_of, show_text
from worker.settings.values import STRICT

Detail = Literal["all", "troubled", "none"]

EXAMPLE = "127.0.0.1:9786"


@dataclass(frozen=True, slots=True)
class Listen:
    """Where to listen: an address of this machine and a port; port 0 is any free one."""

    host: str
    port: int

    @property
    def is_ipv6(self) -> bool:
        """Whether the address is one of IPv6."""
        return isinstance(ip_address(self.host), IPv6Address)

    def __str__(self) -> str:
        """As it is set."""
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


def _listen(value: object) -> Listen | None:
    if value is None or isinstance(value, Listen):
        return value
    if not isinstance(value, str):
        raise ValueError(f'must be a text in quotes such as "{EXAMPLE}", not {kind_of(value)}')  # noqa: TRY004 - pydantic's
    if not value:
        return None
    try:
        parts = urlsplit(f"//{value}")
        host, port = str(ip_address(parts.hostname or "")), parts.port
    except ValueError:
        host, port = "", None
    if port is None or value not in (f"{host}:{port}", f"[{host}]:{port}"):
        raise ValueError(
            f"{show_text(value)} is no address to listen at; allowed are an IP address and a port, such as {EXAMPLE} "
            "or [::1]:9786, and nothing, which turns it off"
        )
    return Listen(host, port)


def _detail(value: str) -> str:
    if value in get_args(Detail):
        return value
    raise ValueError(f"{show_text(value)} is not known; allowed are {', '.join(get_args(Detail))}")


ListenAt = Annotated[Listen | None, PlainValidator(_listen)]
"""Where to listen, as it is set; None is off."""


class MetricsSettings(BaseModel):
    """``[metrics]``. ``listen``: None is off. ``targets``: of which targets there are series of their own."""

    model_config = STRICT

    listen: Annotated[ListenAt, Variable("ROTATOR_METRICS_LISTEN", EXAMPLE)] = None
    targets: Annotated[str, AfterValidator(_detail)] = "all"
