"""What doctor says of the MQTT broker."""

from __future__ import annotations

from pathlib import Path

from appliance.config import Mqtt
from appliance.doctor import broker
from appliance.doctor.finding import Finding, Level
from tests.mqtt.broker_doubles import Double, serves
from tests.rig import free_port


def found(**settings: object) -> Finding:
    (finding,) = broker.examine(Mqtt.model_validate({"host": "127.0.0.1", **settings}))
    return finding


def test_a_broker_that_answers_is_well() -> None:
    with Double(serves) as double:
        finding = found(port=double.port)
    assert (finding.level, finding.text) == (Level.OK, f"127.0.0.1:{double.port} answers")


def test_one_that_is_not_there_is_a_warning_with_what_to_do() -> None:
    port = free_port()
    finding = found(port=port)
    assert finding.level is Level.WARNING
    assert finding.text == f"127.0.0.1:{port} nobody listens there"
    assert finding.remedy == "is the broker running, and mqtt.port right?"


def test_a_password_file_that_is_not_there_is_told_before_anything_else(tmp_path: Path) -> None:
    finding = found(username="porch", password_file=str(tmp_path / "none"))
    assert finding.level is Level.WARNING
    assert f"mqtt.password_file: {tmp_path / 'none'}: No such file" in finding.text


def test_tls_settings_that_make_none_are_told(tmp_path: Path) -> None:
    finding = found(tls={"enabled": True, "ca_file": str(tmp_path / "none.pem")})
    assert finding.level is Level.WARNING
    assert "mqtt.tls.ca_file" in finding.text


def test_mqtt_that_is_switched_off_is_well() -> None:
    assert found(enabled=False).level is Level.OK
