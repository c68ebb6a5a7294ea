from __future__ import annotations

from collections.abc import Iterator

import pytest
import structlog

from tests.chaos.shop import log_to_the_trial
from worker.selftest.stand import Bench, start_bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Real servers that all trials of this test process share; each trial has its own paths and databases."""
    folder = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as environment, start_bench(folder) as started:
        # nothing here speaks TLS, and loading the system's authorities would be a third of a trial
        environment.setenv("SSL_CERT_DIR", str(folder))
        yield started


@pytest.fixture
def logs_to_trials() -> Iterator[None]:
    """Lines of workers in this process become part of their trial's evidence, with nothing redacted."""
    structlog.configure(processors=[log_to_the_trial], cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()
