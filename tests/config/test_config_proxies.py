"""gateway.trusted_proxies: who needs no token, and that an open gateway has one or the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from appliance.config import ConfigError, load


def settings(folder: Path, gateway: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(f"gateway: {gateway}\n")
    return path


def test_a_proxy_takes_the_place_of_a_token(tmp_path: Path) -> None:
    path = settings(tmp_path, "{host: 0.0.0.0, trusted_proxies: [172.30.32.2, '::1']}")
    assert load(path, {}).gateway.trusted_proxies == ("172.30.32.2", "::1")


def test_the_environment_has_a_list_as_words(tmp_path: Path) -> None:
    path = settings(tmp_path, "{host: 0.0.0.0}")
    environ = {"PORCHLIGHT_GATEWAY__TRUSTED_PROXIES": "172.30.32.2, 10.0.0.1"}
    assert load(path, environ).gateway.trusted_proxies == ("172.30.32.2", "10.0.0.1")


@pytest.mark.parametrize("word", ["homeassistant", "172.30.32.0/23", "172.30.32"])
def test_what_is_no_address_is_refused_with_one_that_is(tmp_path: Path, word: str) -> None:
    with pytest.raises(ConfigError, match=rf'"{word}" is no IP address.*172\.30\.32\.2'):
        load(settings(tmp_path, f"{{trusted_proxies: [{word}]}}"), {})


def test_an_open_gateway_without_either_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no token guards it"):
        load(settings(tmp_path, "{host: 0.0.0.0}"), {})
