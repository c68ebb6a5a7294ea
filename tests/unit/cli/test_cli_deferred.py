"""requests is not loaded before it is used, and then it is the real one."""

from __future__ import annotations

import subprocess
import sys

import pytest

BEGINNING = """
import sys
from worker.cli.deferred import defer_requests
defer_requests()
import hvac, worker.adapters.vault.opening
assert "urllib3" not in sys.modules
"""
USES = {
    "a name": "import requests; assert requests.Session().headers",
    "a name in it": "from requests import Session; assert Session().headers",
    "an exception": "import requests.exceptions as found; assert issubclass(found.ConnectionError, OSError)",
    "a part": "import requests.adapters; assert requests.adapters.HTTPAdapter()",
    "hvac's own session": "assert hvac.Client(url='http://127.0.0.1:1').adapter.session.headers",
    "an error of hvac's": """
import requests
try:
    hvac.Client(url='http://127.0.0.1:1').sys.read_health_status()
except requests.exceptions.ConnectionError:
    pass
""",
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_it_is_there_when_it_is_used(use: str) -> None:
    code = f"{BEGINNING}\n{use}\nassert sys.modules['requests'].__version__"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_one_that_is_loaded_already_stays() -> None:
    code = "import requests, sys\nfrom worker.cli.deferred import defer_requests\ndefer_requests()\nassert requests.get"
    code += "\nassert sys.modules['requests'] is requests"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
