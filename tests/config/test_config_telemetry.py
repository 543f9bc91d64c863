"""What Porchlight says of itself: what is taken, what is said against the rest, and what is never shown."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from appliance.config import ConfigError, Settings, load
from appliance.config.telemetry import Telemetry

SECRET = "canary-5f1c"
ENDPOINT = "write http:// or https://, a host, and a port, such as http://collector:4317"
HEADERS = "write name=value in plain ASCII letters, with commas between several"
TRACE = "write http:// or https://, with {trace_id} where its id belongs"


def complaint(setting: str, value: Any) -> str:
    """Return what is said against this value."""
    with pytest.raises(ValidationError) as caught:
        Telemetry.model_validate({setting: value})
    (error,) = caught.value.errors()
    return str(error["msg"]).removeprefix("Value error, ")


def test_by_default_nothing_is_sent_anywhere_and_the_log_is_for_people() -> None:
    telemetry = Settings().telemetry
    assert (telemetry.otlp_endpoint, telemetry.otlp_headers, telemetry.otlp_ca_file) == (None, None, None)
    assert telemetry.trace_url is None
    assert (telemetry.log_level, telemetry.log_format) == ("info", "text")
    assert (telemetry.otlp_protocol, telemetry.trace_share) == ("auto", 0.0)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("log_format", "json"),
        ("otlp_endpoint", "http://collector:4317"),
        ("otlp_endpoint", "https://collector.example"),
        ("otlp_endpoint", "https://collector.example/otlp/"),
        ("otlp_endpoint", "http://[fe80::1]:4318"),
        ("otlp_endpoint", "HTTP://10.0.0.7:4317"),
        ("otlp_endpoint", None),
        ("otlp_protocol", "grpc"),
        ("otlp_protocol", "http/protobuf"),
        ("trace_share", 0.0),
        ("trace_share", 0.25),
        ("trace_share", 1.0),
        ("trace_url", "http://jaeger:16686/trace/{trace_id}"),
        ("trace_url", "https://grafana.example/explore?trace={trace_id}&tenant=home"),
    ],
)
def test_what_is_right_is_taken_as_it_is_written(setting: str, value: Any) -> None:
    assert getattr(Telemetry.model_validate({setting: value}), setting) == value


@pytest.mark.parametrize(
    "headers",
    [f"api-key={SECRET}", f"a={SECRET},b={SECRET}", f"a = {SECRET} , B2={SECRET}", f"a=b={SECRET}==", "a="],
)
def test_headers_are_names_and_values_with_commas_between_them(headers: str) -> None:
    taken = Telemetry.model_validate({"otlp_headers": headers})
    assert taken.otlp_headers is not None
    assert taken.otlp_headers.get_secret_value() == headers
    assert SECRET not in repr(taken)
    assert SECRET not in taken.model_dump_json()


@pytest.mark.parametrize(
    "endpoint",
    [
        "collector:4317", "collector", "grpc://collector:4317", "http://", "http://:4317", "http:collector",
        "http://collector:0", "http://collector:99999", "http://collector:port", "http://[::1", "//collector:4317",
    ],
)  # fmt: skip
def test_what_is_no_collectors_address_is_refused_with_one_that_is(endpoint: str) -> None:
    assert complaint("otlp_endpoint", endpoint) == f"is no address of a collector; {ENDPOINT}"


@pytest.mark.parametrize("login", [f"me:{SECRET}@", f"{SECRET}@", f":{SECRET}@", "@"])
def test_an_address_with_a_password_in_it_is_refused_and_the_place_for_it_named(login: str) -> None:
    said = complaint("otlp_endpoint", f"http://{login}collector:4317")
    assert said == "holds a user name or password; write them into telemetry.otlp_headers"


@pytest.mark.parametrize(
    "headers",
    [SECRET, f"={SECRET}", f"a={SECRET},", f",a={SECRET}", f"a={SECRET},{SECRET}", f"a b={SECRET}", f"ä={SECRET}",
     f"a:b={SECRET}", f"-={SECRET}"],
)  # fmt: skip
def test_what_is_no_list_of_headers_is_refused_without_being_shown(headers: str) -> None:
    assert complaint("otlp_headers", headers) == f"is no list of headers; {HEADERS}"
    with pytest.raises(ValidationError) as caught:
        Telemetry.model_validate({"otlp_headers": headers})
    assert SECRET not in str(caught.value)


def test_a_header_that_cannot_be_sent_is_refused() -> None:
    assert complaint("otlp_headers", "api-key=ключ").startswith("is no list of headers")


@pytest.mark.parametrize(
    "address",
    [
        "http://jaeger:16686/trace/", "jaeger:16686/trace/{trace_id}", "javascript:alert('{trace_id}')",
        "http://jaeger/{traceid}", "ftp://jaeger/{trace_id}", " http://jaeger/{trace_id}",
    ],
)  # fmt: skip
def test_what_does_not_name_a_trace_is_refused(address: str) -> None:
    assert complaint("trace_url", address) == f"is no address of a trace; {TRACE}"


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan"), float("inf"), "0.5", True, None])
def test_a_share_is_a_number_from_0_to_1(share: Any) -> None:
    with pytest.raises(ValidationError):
        Telemetry.model_validate({"trace_share": share})


@given(st.text(max_size=40))
def test_any_text_is_an_endpoint_or_refused_in_words(text: str) -> None:
    for setting in ("otlp_endpoint", "otlp_headers", "trace_url"):
        with contextlib.suppress(ValidationError):  # any other error would end the loader
            taken = getattr(Telemetry.model_validate({setting: text}), setting)
            assert (taken.get_secret_value() if setting == "otlp_headers" else taken) == text


# In the file, and in the environment


def problems(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, environ or {}, require_model=False)
    return [str(problem).removeprefix(f"{tmp_path}/") for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("log_format: xml", 'telemetry.log_format: is the text "xml"; write text or json'),
        (
            "otlp_endpoint: collector:4317",
            f"telemetry.otlp_endpoint: is no address of a collector; {ENDPOINT}",
        ),
        (
            f"otlp_endpoint: http://me:{SECRET}@collector:4317",
            "telemetry.otlp_endpoint: holds a user name or password; write them into telemetry.otlp_headers",
        ),
        ("otlp_protocol: http", 'telemetry.otlp_protocol: is the text "http"; write auto or grpc or http/protobuf'),
        (f"otlp_headers: {SECRET}", f"telemetry.otlp_headers: is no list of headers; {HEADERS}"),
        ("trace_share: 2", "telemetry.trace_share: is 2; write a number from 0 to 1"),
        ("trace_url: http://jaeger", f"telemetry.trace_url: is no address of a trace; {TRACE}"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_what_would_be_right(tmp_path: Path, line: str, said: str) -> None:
    assert problems(tmp_path, f"telemetry:\n  {line}\n") == [f"config.yaml:2: {said}"]


def test_headers_in_the_environment_are_a_secret_too(tmp_path: Path) -> None:
    name = "PORCHLIGHT_TELEMETRY__OTLP_HEADERS"
    taken = load(None, {name: f"api-key={SECRET}"}, require_model=False).telemetry.otlp_headers
    assert taken is not None
    assert taken.get_secret_value() == f"api-key={SECRET}"
    (said,) = problems(tmp_path, "", {name: SECRET})
    assert said == f"{name}: telemetry.otlp_headers: is no list of headers; {HEADERS}"


@pytest.mark.parametrize("headers", [[SECRET], {SECRET: SECRET}, f"a={SECRET}\nb={SECRET}", f"a={SECRET * 1000}"])
def test_headers_of_the_wrong_kind_are_refused_without_being_shown(tmp_path: Path, headers: Any) -> None:
    (said,) = problems(tmp_path, f"telemetry: {json.dumps({'otlp_headers': headers})}\n")
    assert "telemetry.otlp_headers" in said
    assert SECRET not in said
