"""To the collector: settings before variables, nothing loads where there is none, nobody waits, no secret is told."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from appliance.config import Settings
from appliance.telemetry.collector import Collector, collector, resource, share

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
HERE = {ENDPOINT: "http://collector:4318"}


def settings(**telemetry: Any) -> Settings:
    return Settings.model_validate({"instance": "home", "telemetry": telemetry})


def found(environ: dict[str, str], signal: str = "traces", **telemetry: Any) -> Collector:
    to = collector(settings(**telemetry), environ, signal)
    assert to is not None
    return to


# Whether there is one


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {ENDPOINT: ""},
        {PROTOCOL: "grpc"},
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://collector:4318/v1/metrics"},
    ],
)
def test_where_no_address_is_set_there_is_no_collector(environ: dict[str, str]) -> None:
    assert collector(settings(), environ) is None


@pytest.mark.parametrize("given", [{}, {"otlp_endpoint": "http://collector:4317"}])
@pytest.mark.parametrize("value", ["true", "TRUE", " true "])
def test_a_disabled_sdk_is_no_collector_whatever_the_settings_say(given: dict[str, str], value: str) -> None:
    environ = {**HERE, "OTEL_SDK_DISABLED": value}
    assert collector(settings(**given), environ) is collector(settings(**given), environ, "metrics") is None


@pytest.mark.parametrize("value", ["", "false", "0", "1", "yes"])
def test_only_true_disables_it(value: str) -> None:
    assert collector(settings(), {**HERE, "OTEL_SDK_DISABLED": value}) is not None


@pytest.mark.parametrize("value", ["none", "NONE", "console"])
def test_a_signal_that_is_not_wanted_leaves_the_other_one(value: str) -> None:
    environ = {**HERE, "OTEL_TRACES_EXPORTER": value}
    assert collector(settings(otlp_endpoint="http://collector:4317"), environ) is None
    assert found(environ, "metrics").told == "http://collector:4318 (http/protobuf)"


@pytest.mark.parametrize("value", ["", "otlp", "OTLP"])
def test_otlp_is_the_exporter_that_there_is(value: str) -> None:
    assert collector(settings(), {**HERE, "OTEL_TRACES_EXPORTER": value}) is not None


def test_otlp_among_other_exporters_is_still_otlp() -> None:
    assert collector(settings(), {**HERE, "OTEL_TRACES_EXPORTER": "console,otlp"}) is not None


# Where it is


def test_the_settings_go_before_the_variables() -> None:
    environ = {ENDPOINT: "http://variable:4318", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://own:4318/v1/traces"}
    to = found(environ, otlp_endpoint="http://setting:4317")
    assert (to.endpoint, to.protocol, to.told) == ("http://setting:4317", "grpc", "http://setting:4317 (grpc)")


def test_a_variables_address_is_left_to_the_sdk_which_knows_its_rules() -> None:
    assert found({ENDPOINT: "http://variable:4317"}).endpoint is None
    own = {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://own:4318/x"}
    assert (found(own).endpoint, found(own).told) == (None, "http://own:4318 (http/protobuf)")


def test_a_signals_own_variable_goes_before_the_common_one() -> None:
    environ = {**HERE, "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://figures:4317"}
    assert found(environ, "metrics").told == "http://figures:4317 (grpc)"
    assert found(environ, "traces").told == "http://collector:4318 (http/protobuf)"


@pytest.mark.parametrize("login", ["me:canary@", "canary@"])
def test_no_login_in_a_variables_address_is_told(login: str) -> None:
    assert found({ENDPOINT: f"http://{login}collector:4317"}).told == "http://collector:4317 (grpc)"


# How it is spoken to


@pytest.mark.parametrize(
    ("endpoint", "protocol"),
    [
        ("http://collector:4317", "grpc"),
        ("https://collector:4317", "grpc"),
        ("http://[::1]:4317", "grpc"),
        ("http://collector:4318", "http/protobuf"),
        ("https://collector", "http/protobuf"),
        ("https://collector:443/otlp", "http/protobuf"),
    ],
)
def test_the_port_tells_the_protocol_where_nobody_does(endpoint: str, protocol: str) -> None:
    assert found({}, otlp_endpoint=endpoint).protocol == protocol
    assert found({ENDPOINT: endpoint}).protocol == protocol


@pytest.mark.parametrize("said", ["grpc", "http/protobuf"])
@pytest.mark.parametrize("endpoint", ["http://collector:4317", "http://collector:4318"])
def test_the_protocol_that_is_named_is_spoken(said: str, endpoint: str) -> None:
    other = {"grpc": "http/protobuf", "http/protobuf": "grpc"}[said]
    assert found({PROTOCOL: other}, otlp_endpoint=endpoint, otlp_protocol=said).protocol == said
    assert found({PROTOCOL: said}, otlp_endpoint=endpoint).protocol == said
    own = {PROTOCOL: other, "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL": said}
    assert found(own, "metrics", otlp_endpoint=endpoint).protocol == said
    assert found(own, "traces", otlp_endpoint=endpoint).protocol == other


@pytest.mark.parametrize("said", ["http/json", "HTTP", ""])
def test_a_protocol_that_we_have_not_is_not_spoken(said: str) -> None:
    assert found({**HERE, PROTOCOL: said}).protocol == "http/protobuf"


@pytest.mark.parametrize(
    "endpoint",
    [
        "http://collector:4317",
        pytest.param("http://collector:99999"),
    ],
)
def test_auto_is_never_a_protocol_to_speak(endpoint: str) -> None:
    assert found({ENDPOINT: endpoint, PROTOCOL: "grpc"}).protocol == "grpc"


def test_an_address_without_a_scheme_is_grpcs() -> None:
    to = found({ENDPOINT: "collector:4317"})
    assert to.protocol == "grpc"
    assert "collector:4317" in to.told


def test_headers_are_lower_case_names_with_their_values() -> None:
    to = found(HERE, otlp_headers="API-Key = abc==, tenant=home")
    assert to.headers == {"api-key": "abc==", "tenant": "home"}
    assert found(HERE).headers is None  # then the SDK looks into the environment


def test_a_home_folders_certificate_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert found(HERE, otlp_ca_file="~/ca.pem").ca_file == "/home/me/ca.pem"
    assert found(HERE).ca_file is None


@pytest.mark.parametrize("signal", ["traces", "metrics"])
@pytest.mark.parametrize("base", ["http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/otlp"])
def test_over_http_each_signal_has_its_own_path_below_the_address(signal: str, base: str) -> None:
    exporter = found({}, signal, otlp_endpoint=base).exporter(signal)
    assert exporter._endpoint == f"{base.rstrip('/')}/v1/{signal}"
    exporter.shutdown()


def test_a_certificate_that_is_not_there_is_an_error_of_the_system() -> None:
    to = found({}, otlp_endpoint="https://127.0.0.1:4317", otlp_ca_file="/nonexistent/ca.pem")
    with pytest.raises(FileNotFoundError):
        to.exporter("traces")


# How much of it


@pytest.mark.parametrize(
    ("sampler", "argument", "expected"),
    [
        (None, None, 0.0),
        ("", None, 0.0),
        ("always_off", None, 0.0),
        ("always_on", None, 1.0),
        ("parentbased_always_on", None, 1.0),
        ("parentbased_always_off", None, 0.0),
        ("traceidratio", "0.25", 0.25),
        (" ParentBased_TraceIdRatio ", "0.25", 0.25),
        ("traceidratio", None, 1.0),
        ("traceidratio", "much", 1.0),
        ("traceidratio", "7", 1.0),
        ("traceidratio", "-7", 0.0),
        ("traceidratio", "nan", 0.0),
        ("always_on", "0.25", 1.0),
        ("jaeger_remote", None, 0.0),
    ],
)
def test_the_share_is_the_samplers_where_the_settings_have_none(
    sampler: str | None, argument: str | None, expected: float
) -> None:
    given = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": argument}
    environ = {name: value for name, value in given.items() if value is not None}
    assert share(settings(), environ) == expected


def test_a_share_in_the_settings_goes_before_the_sampler() -> None:
    assert share(settings(trace_share=0.5), {"OTEL_TRACES_SAMPLER": "always_on"}) == 0.5


# Who is speaking


@pytest.mark.parametrize(
    ("stage", "name"),
    [("inference", "porchlight-inference"), ("capture.porch", "porchlight-capture"), ("", "porchlight")],
)
def test_a_stage_says_who_it_is(stage: str, name: str) -> None:
    from appliance import __version__

    about = resource(settings(), stage).attributes
    assert about["service.name"] == name
    assert about["service.namespace"] == "porchlight"
    assert about["service.instance.id"] == "home"
    assert about["service.version"] == __version__


def test_variables_go_before_what_we_say_of_ourselves(monkeypatch: pytest.MonkeyPatch) -> None:
    attributes = "service.namespace=garden,host.name=attic,service.name=unheard"
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", attributes)
    monkeypatch.setenv("OTEL_SERVICE_NAME", "mine")
    about = resource(settings(), "gateway").attributes
    assert (about["service.namespace"], about["host.name"], about["service.name"]) == ("garden", "attic", "mine")
    assert about["service.instance.id"] == "home"


# What is loaded


def loaded_after(code: str) -> set[str]:
    """Return which of the SDK's and gRPC's packages a fresh interpreter has after this."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    code += "\nimport sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environ)
    return set(done.stdout.split()) & {"opentelemetry", "grpc", "google", "requests"}


OPEN = """
import os
from appliance.config import Settings
from appliance.telemetry import Tracer, collector, delivery
settings = Settings.model_validate({"telemetry": TELEMETRY})
to = collector.collector(settings, os.environ)
tracer = Tracer(None if to is None else print, collector.share(settings, os.environ))
tracer.leaf("wait", tracer.begin(), 1, 2)
if to is not None:
    to.exporter("traces")
"""


@pytest.mark.parametrize(
    "module",
    [
        "appliance.cli",
        "appliance.supervisor",
        "appliance.capture.service",
        "appliance.inference.service",
        "appliance.controller.service",
        "appliance.gateway.service",
        "appliance.doctor.command",
    ],
)
def test_without_a_collector_no_stage_loads_anything_of_opentelemetry(module: str) -> None:
    assert loaded_after(f"import {module}" + OPEN.replace("TELEMETRY", "{}")) == set()


@pytest.mark.parametrize(
    ("protocol", "loaded", "unloaded"), [("grpc", "grpc", "requests"), ("http/protobuf", "requests", "grpc")]
)
def test_with_one_only_its_own_protocol_is_loaded(protocol: str, loaded: str, unloaded: str) -> None:
    telemetry = {"otlp_endpoint": "http://127.0.0.1:9", "otlp_protocol": protocol}
    found_there = loaded_after(OPEN.replace("TELEMETRY", repr(telemetry)))
    assert {"opentelemetry", loaded} <= found_there
    assert unloaded not in found_there
