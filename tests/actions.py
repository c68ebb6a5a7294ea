"""Actions for a script's rules that only tests take; those of the self-test are in worker/selftest/actions.py."""

from __future__ import annotations

from dataclasses import replace

from worker.sandbox.wire import Delivery, Response
from worker.selftest.actions import change
from worker.selftest.script import Action, Exchange


def redirect(base: str) -> Action:
    """Send the client to another host, as a standby Vault does (307, same path)."""

    def action(exchange: Exchange) -> Response:
        target = exchange.request.target if exchange.request else "/"
        return Response(307, headers=(("Location", base + target),))

    return action


def truncate() -> Action:
    """Pass on the first half of the answer, as if it were all of it; for AFTER."""
    return change(lambda whole: replace(whole, body=whole.body[: len(whole.body) // 2]))


def drip(interval: float) -> Action:
    """Pass the answer on byte by byte, one every ``interval`` seconds; for AFTER."""
    return change(lambda whole: replace(whole, delivery=Delivery(interval=interval)))
