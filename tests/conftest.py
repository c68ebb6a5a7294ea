from __future__ import annotations

import pytest
import structlog


@pytest.fixture(autouse=True)
def _quiet_logs() -> object:
    """Logs of the code under test go nowhere, unless a test configures them."""
    structlog.configure(processors=[structlog.testing.LogCapture()], cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()
