"""The figures of all stages, for Prometheus and for a collector: the same ones, by the rules of each."""

from __future__ import annotations

import itertools
import math
import os
import time
from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from appliance import __version__
from appliance.config import Settings
from appliance.gateway import metrics
from appliance.gateway.metrics import Exposition, otlp_data, prometheus_name
from appliance.ipc.heartbeat import HeartbeatFile, read_heartbeats
from appliance.messages import Health, Heartbeat, Histogram
from appliance.stage import Pulse
from appliance.telemetry.collector import resource
from appliance.telemetry.metrics import METRICS, Kind
from tests.gateway.loops import asynchronous
from tests.gateway.test_web import TOKEN, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from appliance.ipc.run_folder import RunFolder

INFERENCE = Histogram((0.005, 0.1, 2.5), (1, 0, 4, 2), 12.5)
SINCE_NS = 1_790_000_000_123_456_789
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
SAID: dict[str, dict[str, Any]] = {
    "supervisor": {"counters": {"restarts.inference": 2, "memory_bytes": 5.0}},
    "capture": {"counters": {"restarts.capture.porch": 1}},
    "capture.porch": {
        "counters": {
            "frames_captured": 100, "frames_published": 90, "fps": 9.9, "unusable.stale": 3, "unusable.broken": 1,
            "lost.inference": 4, "lost.gateway": 0, "cpu_seconds.user": 1.5, "cpu_seconds.system": 0.25,
            "memory_bytes": 50_000_000, "spans_lost": 7,
        },
        "histograms": {"capture_seconds": Histogram((0.01,), (90, 0), 0.5)},
    },
    "inference": {
        "counters": {"frames_inferred.porch": 80, "detections.porch": 12, "inference_ms.porch": 41.0},
        "histograms": {"inference_seconds.porch": INFERENCE},
    },
    "controller": {
        "counters": {
            "transitions.porch.tracking": 2, "transitions.porch.standby": 1, "alarm_transitions.armed_away": 1,
            "watching.porch": True, "persons.porch": 2, "mqtt_connected": 1, "mqtt_connections": 3, "outbox": 5,
        },
    },
    "gateway": {"counters": {"viewers.porch": 1, "mqtt_connected": 0}},
}  # fmt: skip
"""What the processes say of themselves, each in its heartbeat."""


@pytest.fixture
def beating(folder: RunFolder) -> RunFolder:
    for name, said in SAID.items():
        beat = Heartbeat(name, Health.RUNNING, time.monotonic_ns(), SINCE_NS, **said)
        HeartbeatFile(folder, name).write(beat)
    return folder


Sample = tuple[str, frozenset[tuple[str, str]]]


def families_in(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def scraped(folder: RunFolder) -> dict[str, Any]:
    """Return the families by name, as Prometheus' own client reads them."""
    body, content_type = Exposition(folder).render("")
    assert content_type.startswith("text/plain; version=0.0.4")
    return families_in(body.decode())


def value_of(families: Mapping[str, Any], name: str, **labels: str) -> float:
    samples = [one for family in families.values() for one in family.samples if one.name == name]
    (value,) = [one.value for one in samples if one.labels == labels]
    return float(value)


# For Prometheus


def test_each_metric_is_there_with_its_kind_and_its_meaning(beating: RunFolder) -> None:
    kinds = {Kind.COUNTER: "counter", Kind.GAUGE: "gauge", Kind.HISTOGRAM: "histogram"}
    families = scraped(beating)
    for metric in METRICS:
        family = families.pop(prometheus_name(metric))
        assert (family.type, family.documentation) == (kinds[metric.kind], metric.text)
    assert families.keys() == {"porchlight_build_info"}
    assert value_of(scraped(beating), "porchlight_build_info", version=__version__) == 1


@pytest.mark.parametrize(
    ("name", "labels", "value"),
    [
        ("porchlight_frames_captured_total", {"camera": "porch"}, 100),
        ("porchlight_frames_published_total", {"camera": "porch"}, 90),
        ("porchlight_frames_unusable_total", {"camera": "porch", "reason": "stale"}, 3),
        ("porchlight_frames_lost_total", {"camera": "porch", "consumer": "inference"}, 4),
        ("porchlight_frames_lost_total", {"camera": "porch", "consumer": "gateway"}, 0),
        ("porchlight_frames_inferred_total", {"camera": "porch"}, 80),
        ("porchlight_detections_total", {"camera": "porch"}, 12),
        ("porchlight_sentry_transitions_total", {"camera": "porch", "state": "tracking"}, 2),
        ("porchlight_alarm_transitions_total", {"state": "armed_away"}, 1),
        ("porchlight_camera_watching", {"camera": "porch"}, 1),
        ("porchlight_camera_persons", {"camera": "porch"}, 2),
        ("porchlight_mqtt_connected", {"stage": "controller"}, 1),
        ("porchlight_mqtt_connected", {"stage": "gateway"}, 0),
        ("porchlight_mqtt_connections_total", {"stage": "controller"}, 3),
        ("porchlight_outbox_events", {"stage": "controller"}, 5),
        ("porchlight_viewers", {"camera": "porch"}, 1),
        ("porchlight_stage_restarts_total", {"stage": "inference", "camera": ""}, 2),
        ("porchlight_stage_restarts_total", {"stage": "capture", "camera": "porch"}, 1),
        ("porchlight_telemetry_lost_total", {"stage": "capture", "camera": "porch"}, 7),
        ("porchlight_process_memory_usage_bytes", {"stage": "supervisor", "camera": ""}, 5),
        ("porchlight_process_memory_usage_bytes", {"stage": "capture", "camera": "porch"}, 50_000_000),
        ("porchlight_process_cpu_time_seconds_total", {"stage": "capture", "camera": "porch", "cpu_mode": "user"}, 1.5),
        ("porchlight_inference_duration_seconds_count", {"camera": "porch"}, 7),
        ("porchlight_inference_duration_seconds_sum", {"camera": "porch"}, 12.5),
        ("porchlight_capture_duration_seconds_count", {"camera": "porch"}, 90),
    ],
)
def test_what_a_stage_has_counted_is_what_is_scraped(
    beating: RunFolder, name: str, labels: dict[str, str], value: float
) -> None:
    assert value_of(scraped(beating), name, **labels) == value


def test_names_carry_their_units_and_no_unit_twice() -> None:
    for metric in METRICS:
        name = prometheus_name(metric)
        units = {"s": "seconds", "By": "bytes"}
        if metric.unit in units:
            assert name.endswith(f"_{units[metric.unit]}")
        else:
            assert name == metric.name.replace(".", "_")
        assert all(before != after for before, after in itertools.pairwise(name.split("_")))
        assert not name.endswith("_total")


def test_no_series_is_told_twice(beating: RunFolder) -> None:
    samples = [
        (one.name, *sorted(one.labels.items())) for family in scraped(beating).values() for one in family.samples
    ]
    assert len(set(samples)) == len(samples) > 40


def test_buckets_are_cumulative_up_to_infinity_which_is_the_count(beating: RunFolder) -> None:
    (family,) = [one for name, one in scraped(beating).items() if name == "porchlight_inference_duration_seconds"]
    buckets = [(one.labels["le"], one.value) for one in family.samples if one.name.endswith("_bucket")]
    assert buckets == [("0.005", 1), ("0.1", 1), ("2.5", 5), ("+Inf", 7)]


def test_every_histogram_ascends(beating: RunFolder) -> None:
    for family in scraped(beating).values():
        if family.type == "histogram":
            buckets = [one for one in family.samples if one.name.endswith("_bucket")]
            assert sorted(float(one.labels["le"]) for one in buckets) == [float(one.labels["le"]) for one in buckets]
            assert sorted(one.value for one in buckets) == [one.value for one in buckets]
            assert not buckets or math.isinf(float(buckets[-1].labels["le"]))


def test_a_scraper_that_asks_for_openmetrics_gets_it_whole(beating: RunFolder) -> None:
    body, content_type = Exposition(beating).render(OPENMETRICS)
    assert content_type.startswith("application/openmetrics-text")
    parsed: Any = openmetrics.text_string_to_metric_families
    families = {family.name: family for family in parsed(body.decode())}
    assert families["porchlight_build"].type == "info"
    assert value_of(families, "porchlight_frames_captured_total", camera="porch") == 100
    assert families.keys() >= {prometheus_name(metric) for metric in METRICS}


def test_before_any_stage_beats_there_is_nothing_but_what_is_running(folder: RunFolder) -> None:
    samples = [one.name for family in scraped(folder).values() for one in family.samples]
    assert samples == ["porchlight_build_info"]


def test_a_stage_that_is_silent_is_still_there_and_grows_old(folder: RunFolder) -> None:
    long_ago = time.monotonic_ns() - 3600 * 10**9
    HeartbeatFile(folder, "inference").write(Heartbeat("inference", Health.RUNNING, long_ago, 1))
    assert value_of(scraped(folder), "porchlight_heartbeat_age_seconds", stage="inference") >= 3600


def test_a_new_life_of_a_stage_is_scraped_at_once(beating: RunFolder) -> None:
    exposition = Exposition(beating)
    exposition.render("")
    pulse = Pulse(HeartbeatFile(beating, "inference"), "inference")
    pulse.count("frames_inferred.porch")
    pulse.beat(now=True)
    families = families_in(exposition.render("")[0].decode())
    assert value_of(families, "porchlight_frames_inferred_total", camera="porch") == 1


# At the gateway


@asynchronous
async def test_the_gateway_serves_them(beating: RunFolder) -> None:
    async with serving(beating) as served:
        status, headers, body = await served.get("/metrics")
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert value_of(families_in(body.decode()), "porchlight_frames_captured_total", camera="porch") == 100
        _, headers, body = await served.get("/metrics", headers={"Accept": OPENMETRICS})
        assert headers["Content-Type"].startswith("application/openmetrics-text")
        assert body.endswith(b"# EOF\n")


@asynchronous
async def test_whoever_has_no_token_gets_no_figures(beating: RunFolder) -> None:
    async with serving(beating, token=SecretStr(TOKEN)) as served:
        for shown in ({}, {"Authorization": "Bearer wrong"}):
            status, _, body = await served.get("/metrics", headers=shown)
            assert status == 401
            assert b"porchlight_" not in body
        assert (await served.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"}))[0] == 200
        assert (await served.get(f"/metrics?token={TOKEN}"))[0] == 200


@asynchronous
async def test_without_a_token_no_other_sites_page_gets_figures(beating: RunFolder) -> None:
    async with serving(beating) as served:
        assert (await served.get("/metrics", headers={"Origin": "https://evil.example"}))[0] == 403


# For a collector


def sent(folder: RunFolder) -> Any:
    """Return what the official encoder makes of it: ResourceMetrics."""
    about = resource(Settings(instance="home"), "")
    (one,) = encode_metrics(otlp_data(read_heartbeats(folder), about)).resource_metrics
    return one


def by_name(folder: RunFolder) -> dict[str, Any]:
    (scope,) = sent(folder).scope_metrics
    assert (scope.scope.name, scope.scope.version) == ("porchlight", __version__)
    return {metric.name: metric for metric in scope.metrics}


def attributes_of(point: Any) -> dict[str, str]:
    return {one.key: one.value.string_value for one in point.attributes}


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)


def test_a_collector_gets_each_metric_that_has_a_value_under_its_own_name_and_unit(beating: RunFolder) -> None:
    found = by_name(beating)
    catalogue = {metric.name: metric for metric in METRICS}
    unsaid = {"porchlight.alarm.duration", "porchlight.queue.duration", "porchlight.outbox.lost"}
    assert found.keys() == catalogue.keys() - unsaid - {"porchlight.frames.undecodable"}
    for name, metric in found.items():
        assert (metric.unit, metric.description) == (catalogue[name].unit, catalogue[name].text)


def test_each_has_its_kind_and_what_grows_is_cumulative(beating: RunFolder) -> None:
    cumulative = 2  # AGGREGATION_TEMPORALITY_CUMULATIVE
    kinds = {metric.name: metric.kind for metric in METRICS}
    for name, metric in by_name(beating).items():
        match kinds[name]:
            case Kind.COUNTER:
                assert (metric.sum.is_monotonic, metric.sum.aggregation_temporality) == (True, cumulative)
            case Kind.GAUGE:
                assert metric.WhichOneof("data") == "gauge"
            case Kind.HISTOGRAM:
                assert metric.histogram.aggregation_temporality == cumulative


def test_a_counter_says_of_what_since_when_and_until_now(beating: RunFolder) -> None:
    before_ns = time.time_ns()
    points = by_name(beating)["porchlight.frames.unusable"].sum.data_points
    assert sorted((attributes_of(point)["reason"], point.as_double) for point in points) == [
        ("broken", 1),
        ("stale", 3),
    ]
    for point in points:
        assert attributes_of(point)["camera"] == "porch"
        assert point.start_time_unix_nano == SINCE_NS
        assert before_ns <= point.time_unix_nano <= time.time_ns()


def test_a_histogram_has_its_buckets_and_neither_least_nor_most(beating: RunFolder) -> None:
    (point,) = by_name(beating)["porchlight.inference.duration"].histogram.data_points
    assert tuple(point.bucket_counts) == INFERENCE.counts
    assert tuple(point.explicit_bounds) == INFERENCE.bounds
    assert (point.count, point.sum) == (7, 12.5)
    assert (point.HasField("min"), point.HasField("max")) == (False, False)
    assert (attributes_of(point), point.start_time_unix_nano) == ({"camera": "porch"}, SINCE_NS)


def test_both_ways_tell_the_same_values(beating: RunFolder) -> None:
    families, names = scraped(beating), {metric.name: metric for metric in METRICS}
    compared = 0
    for name, metric in by_name(beating).items():
        kind = names[name].kind
        if kind is Kind.HISTOGRAM or name == "porchlight.heartbeat.age":
            continue
        data = metric.sum if kind is Kind.COUNTER else metric.gauge
        told = sorted(point.as_double for point in data.data_points)
        scraped_ = sorted(one.value for one in families[prometheus_name(names[name])].samples)
        assert told == scraped_
        compared += 1
    assert compared > 15


def test_the_resource_is_the_appliance(beating: RunFolder) -> None:
    about = {one.key: one.value.string_value for one in sent(beating).resource.attributes}
    assert (about["service.name"], about["service.instance.id"]) == ("porchlight", "home")


def test_before_any_stage_beats_nothing_is_sent(folder: RunFolder) -> None:
    assert by_name(folder) == {}


@pytest.mark.parametrize(
    ("milliseconds", "seconds"),
    [("5000", 5.0), ("1", 0.1), ("-5", 0.1), ("often", metrics.INTERVAL_S), ("", metrics.INTERVAL_S)],
)
def test_the_interval_is_opentelemetrys_variable(
    monkeypatch: pytest.MonkeyPatch, milliseconds: str, seconds: float
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", milliseconds)
    assert metrics._interval_s() == seconds
    monkeypatch.delenv("OTEL_METRIC_EXPORT_INTERVAL")
    assert metrics._interval_s() == metrics.INTERVAL_S
