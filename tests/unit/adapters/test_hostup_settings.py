"""Which addresses and API keys the HostUp client accepts."""

from __future__ import annotations

import pytest

from tests.unit.adapters.hostup_answering import hostup
from worker.adapters.hostup.client import HostUpClient
from worker.adapters.http.client import HttpClient
from worker.errors import ConfigurationError
from worker.secret import Secret
from worker.settings.credential import Credential


class TestSettings:
    @pytest.mark.parametrize(
        "url",
        [
            "https://cloud.hostup.se",
            "https://cloud.hostup.se:8443/base/",
            "http://127.0.0.1:1",
            "http://[::1]:1",
            "http://localhost",
        ],
    )
    def test_good_address(self, client: HttpClient, url: str) -> None:
        hostup(client, url)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "cloud.hostup.se",
            "http://cloud.hostup.se",
            "http://127.0.0.1.example.org",
            "http://10.0.0.1",
            "ftp://127.0.0.1",
            "https://",
            "https://a..b",
            "https://" + "a" * 64,
            "https://has blank",
            "https://h:0",
            "https://h:65536",
            "https://h:x",
            "https://[::1",
            "https://user:hunter2@h",
            "https://h?",
            "https://h/#",
            "https://xn--/",
            "https://h\n",
        ],
    )
    def test_bad_address(self, client: HttpClient, url: str) -> None:
        with pytest.raises(ConfigurationError, match=r"hostup\.base_url") as caught:
            hostup(client, url)
        assert "hunter2" not in str(caught.value)

    @pytest.mark.parametrize("value", ["", "a b", "a\nX-Other: 1", "nyckel-åäö", "\ud800"])
    def test_an_api_key_that_is_no_header(self, client: HttpClient, value: str) -> None:
        with pytest.raises(ConfigurationError, match="HOSTUP_API_KEY") as caught:
            HostUpClient(client, "https://h", Credential(Secret(value)), create_deadline=1, deadline=1)
        assert not value or value not in str(caught.value)
