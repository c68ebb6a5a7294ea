from __future__ import annotations

import hypothesis
import pytest
import structlog

hypothesis.settings.register_profile("untimed", deadline=None)  # a busy machine is no fault of the code
hypothesis.settings.load_profile("untimed")


@pytest.fixture(autouse=True)
def _quiet_logs() -> object:
    """Logs of the code under test go nowhere, unless a test configures them."""
    structlog.configure(processors=[structlog.testing.LogCapture()], cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()
