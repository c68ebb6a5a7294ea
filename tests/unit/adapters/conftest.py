"""What the tests of the adapters share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from worker.adapters.http.client import HttpClient, new_client


@pytest.fixture(scope="module")
def client() -> Iterator[HttpClient]:
    with new_client() as made:
        yield made
