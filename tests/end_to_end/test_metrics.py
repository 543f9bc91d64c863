"""The figures, at the two ways out: as a real Prometheus fetches them, and as a collector is sent them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from appliance.gateway.metrics import prometheus_name
from appliance.ipc.heartbeat import read_heartbeats
from appliance.ipc.run_folder import RunFolder
from appliance.telemetry.metrics import METRICS
from tests.deploy.test_observability import expressions
from tests.end_to_end.receiver import PROTOCOLS
from tests.rig import CLIP, MODEL, Appliance, Broker, Ear, clip_settings, free_port, need, need_program, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

Start = Callable[[dict[str, Any]], Appliance]
Figure = Callable[[str, str], None]
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]
"""Values by name and labels, of samples as Prometheus has them."""
TOKEN = "the-scraper-shows-this"
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
CAMERA = '{camera="front_door"}'
ALARMS = ("porchlight_alarm_duration_seconds_count", frozenset({("camera", "front_door")}))
NOTHING_TO_COUNT = {
    "porchlight_alarm_transitions_total",
    "porchlight_frames_undecodable_total",
    "porchlight_frames_unusable_total",
    "porchlight_stage_restarts_total",
    "porchlight_telemetry_lost_total",
}
"""Of what has not happened in this house there is no series."""
OF_THE_MOMENT = "porchlight_heartbeat_age_seconds"
"""How old a heartbeat is depends on who looks when: no two read the same."""
OF_THE_RESOURCE = "porchlight_build_info"
"""OTLP has the version in its resource."""


class Prometheus:
    """A real one, on a port of its own, that fetches an appliance's /metrics every second."""

    def __init__(self, folder: Path, porch: Appliance) -> None:
        self._program = need_program("prometheus", "prometheus")
        self._url = f"http://127.0.0.1:{free_port()}"
        self._folder = folder
        self._settings = folder / "prometheus.yaml"
        scrape = {
            "job_name": "porchlight",
            "scrape_interval": "1s",
            "scrape_timeout": "1s",
            "authorization": {"credentials": TOKEN},
            "static_configs": [{"targets": [porch.url.removeprefix("http://")]}],
        }
        self._settings.write_text(yaml.safe_dump({"scrape_configs": [scrape]}))

    @contextmanager
    def running(self) -> Iterator[None]:
        with (self._folder / "prometheus.log").open("ab") as log:
            process = subprocess.Popen(
                [
                    self._program,
                    f"--config.file={self._settings}",
                    f"--storage.tsdb.path={self._folder / 'prometheus'}",
                    f"--web.listen-address={self._url.removeprefix('http://')}",
                ],
                stdout=log,
                stderr=log,
            )
        try:
            yield
        finally:
            process.terminate()
            process.wait(20)

    def ask(self, query: str) -> list[Any]:
        """Return the result of an instant query; nothing while nobody answers."""
        address = f"{self._url}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                result: list[Any] = json.load(answer)["data"]["result"]
                return result
        except OSError:
            return []

    def value(self, query: str) -> float | None:
        """Return the one value that there is."""
        found = self.ask(query)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def now(self, query: str) -> float:
        found = self.value(query)
        assert found is not None, query
        return found

    def history(self, series: str) -> list[list[tuple[float, float]]]:
        """Return time and value of every sample of the last minutes, of each series."""
        return [[(at, float(value)) for at, value in one["values"]] for one in self.ask(f"{series}[5m]")]

    def becomes(self, query: str, value: float, seconds: float = 10) -> None:
        """Wait until the answer is `value`."""
        wait_for(f"{query} is {value:g}", seconds, lambda: self.value(query) == value)


def scrape(porch: Appliance, accept: str = "") -> str:
    request = urllib.request.Request(f"{porch.url}/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
    if accept:
        request.add_header("Accept", accept)
    with urllib.request.urlopen(request, timeout=5) as answer:
        text: str = answer.read().decode()
        return text


def openmetrics(text: str) -> Any:
    return parse_openmetrics(text)  # type: ignore[no-untyped-call]


def series(families: Any) -> Series:
    """Return the samples of all families that have any; a label without a value is no label."""
    return {
        (sample.name, frozenset((key, value) for key, value in sample.labels.items() if value)): sample.value
        for family in families
        for sample in family.samples
        if sample.name not in (OF_THE_MOMENT, OF_THE_RESOURCE)
    }


@contextmanager
def a_viewer(url: str) -> Iterator[None]:
    """Somebody watches the live picture meanwhile."""
    seen, stop = threading.Event(), threading.Event()

    async def watch() -> None:
        async with aiohttp.ClientSession() as session, session.ws_connect(f"{url}/ws?token={TOKEN}") as socket:
            while not stop.is_set():
                await asyncio.wait_for(socket.receive(), 30)
                seen.set()

    thread = threading.Thread(target=lambda: asyncio.run(watch()))
    thread.start()
    try:
        assert seen.wait(20), "no picture came"
        yield
    finally:
        stop.set()
        thread.join(35)


def begun(appliance: Start, broker: Broker, **more: Any) -> Appliance:
    need(CLIP, MODEL)
    porch = appliance(clip_settings(broker.port, f"file://{CLIP}", gateway={"token": TOKEN}, **more))
    wait_for("the clip has begun", 30, lambda: "I420" in porch.log_text())
    return porch


def events(event_type: str, *ears: Ear) -> dict[str, Any]:
    """Return the camera's events of this type by when they happened: an ear that comes back may hear one twice."""
    told = [heard.json() for ear in ears for heard in ear.all("/front_door/event")]
    return {event["timestamp"]: event for event in told if event["event_type"] == event_type}


def test_what_prometheus_knows_is_what_happened(
    broker: Broker, ear: Ear, appliance: Start, tmp_path: Path, figure: Figure
) -> None:
    """Two visits; the broker is away from within the first to within the second. Then two stages are killed."""
    need_program("promtool", "prometheus")
    porch = begun(appliance, broker)
    prometheus = Prometheus(tmp_path, porch)
    with prometheus.running():
        prometheus.becomes("up", 1, 20)
        frames_are_those_of_the_heartbeat(prometheus, porch)
        with a_viewer(porch.url):
            prometheus.becomes(f"porchlight_viewers{CAMERA}", 1)
        prometheus.becomes(f"porchlight_viewers{CAMERA}", 0, 40)

        wait_for("somebody came", 40, lambda: events("person_entered", ear))
        prometheus.becomes(f"porchlight_alarm_duration_seconds_count{CAMERA}", 1)
        promtool_has_nothing_to_say(porch)
        prometheus.becomes("sum(porchlight_mqtt_connected)", 2)
        broker.stop()
        prometheus.becomes("sum(porchlight_mqtt_connected)", 0)
        wait_for("somebody came again", 40, lambda: porch.log_text().count("validation -> tracking") == 2)
        prometheus.becomes("porchlight_outbox_events", 2)
        broker.start()
        back = Ear(broker.port)
        try:
            wait_for("it is told", 30, lambda: len(events("person_entered", ear, back)) == 2)
        finally:
            back.close()
        entered = events("person_entered", ear, back)
        assert ["replayed" in event for event in entered.values()] == [False, True]

        prometheus.becomes('porchlight_mqtt_connections_total{stage="controller"}', 2)
        prometheus.becomes('porchlight_mqtt_connections_total{stage="gateway"}', 2)
        prometheus.becomes("porchlight_outbox_events", 0)
        prometheus.becomes(f"porchlight_camera_watching{CAMERA}", 1)
        transitions_are_those_of_the_log(prometheus, porch)
        assert prometheus.now('porchlight_sentry_transitions_total{state="tracking"}') == len(entered)
        prompt = [event for event in entered.values() if "replayed" not in event]
        assert prometheus.now(f"porchlight_alarm_duration_seconds_count{CAMERA}") == len(prompt)
        assert prometheus.now("max(porchlight_heartbeat_age_seconds)") < 3
        decided_s = sum(event["latency_ms"] for event in prompt) / 1000
        assert prometheus.now("porchlight_alarm_duration_seconds_sum") >= decided_s
        what_is_counted_only_grows(prometheus, figure)
        the_dashboard_has_something_to_show(prometheus)

        # The gateway keeps no figures: with another one, none is lost.
        kill(porch, "gateway")
        prometheus.becomes('porchlight_stage_restarts_total{stage="gateway"}', 1)
        prometheus.becomes("up", 1)
        assert prometheus.now("resets(porchlight_frames_captured_total[5m])") == 0
        assert prometheus.now('porchlight_sentry_transitions_total{state="tracking"}') == len(entered)
        kill(porch, "inference")
        prometheus.becomes('porchlight_stage_restarts_total{stage="inference"}', 1, 20)
        prometheus.becomes("resets(porchlight_frames_inferred_total[5m])", 1, 20)


def promtool_has_nothing_to_say(porch: Appliance) -> None:
    promtool = need_program("promtool", "prometheus")
    said = subprocess.run(
        [promtool, "check", "metrics"], input=scrape(porch).encode(), capture_output=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, b"", b"")
    # It cannot read OpenMetrics; that format's own parser can, and Prometheus asks for it.
    assert scrape(porch, OPENMETRICS).endswith("# EOF\n")
    wait_for(
        "the same figures in both formats",
        10,
        lambda: series(openmetrics(scrape(porch, OPENMETRICS))) == series(parse_text(scrape(porch))),
    )


def frames_are_those_of_the_heartbeat(prometheus: Prometheus, porch: Appliance) -> None:
    """Between two looks at the heartbeat a scrape has what lies between them."""

    def captured() -> float:
        return read_heartbeats(RunFolder(porch.instance))["capture.front_door"].counters["frames_captured"]

    def scraped() -> list[float]:
        histories = prometheus.history(f"porchlight_frames_captured_total{CAMERA}")
        return [value for history in histories for at, value in history if at > began]

    before, began = captured(), time.time()
    between = wait_for("a scrape", 10, scraped)
    assert before <= between[0] <= captured()
    assert captured() > 0


def transitions_are_those_of_the_log(prometheus: Prometheus, porch: Appliance) -> None:
    """The log has a line for each: the count of those is the other opinion."""

    def logged() -> dict[str, float]:
        text = porch.log_text()
        counts = {state: text.count(f" -> {state} (frame") for state in ("standby", "validation", "tracking")}
        return {state: count for state, count in counts.items() if count}

    def counted() -> dict[str, float]:
        return {
            one["metric"]["state"]: float(one["value"][1])
            for one in prometheus.ask("porchlight_sentry_transitions_total")
        }

    wait_for("transitions as in the log", 10, lambda: counted() == logged())


def what_is_counted_only_grows(prometheus: Prometheus, figure: Figure) -> None:
    seen = {}
    for counter in ("frames_captured", "frames_published", "frames_inferred", "detections"):
        (samples,) = prometheus.history(f"porchlight_{counter}_total")
        values = [value for _, value in samples]
        assert values == sorted(values), counter
        assert values[-1] > 0, counter
        seen[counter] = values[-1]
    assert prometheus.now("porchlight_frames_captured_total - on (camera) porchlight_frames_published_total") >= 0
    figure("prometheus", ", ".join(f"{what} {value:g}" for what, value in seen.items()))


def the_dashboard_has_something_to_show(prometheus: Prometheus) -> None:
    asked = [(one, prometheus.ask(one)) for one in expressions()]
    empty = {name for one, answer in asked if not answer for name in re.findall(r"porchlight_\w+", one)}
    assert empty <= NOTHING_TO_COUNT


def kill(porch: Appliance, stage: str) -> None:
    pid = porch.pid_of(stage)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)


def test_what_has_not_happened_yet_is_zero_and_not_absent(broker: Broker, ear: Ear, appliance: Start) -> None:
    """Prometheus sees an increase between two samples: the first restart, and the first alarm, need a 0 before them."""
    found = series(parse_text(scrape(begun(appliance, broker))))
    stage, camera = frozenset({("stage", "inference")}), frozenset({("camera", "front_door")})
    assert found.get(("porchlight_stage_restarts_total", stage)) == 0
    assert found.get(("porchlight_sentry_transitions_total", camera | {("state", "tracking")})) == 0
    assert found.get(ALARMS) == 0


@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_a_collector_is_sent_what_prometheus_would_have_found(
    broker: Broker, ear: Ear, appliance: Start, monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    monkeypatch.setenv("OTEL_METRIC_EXPORT_INTERVAL", "500")
    with PROTOCOLS[protocol]() as receiver:
        porch = begun(appliance, broker, telemetry={"otlp_endpoint": receiver.url, "otlp_protocol": protocol})
        wait_for("somebody came", 40, lambda: events("person_entered", ear))
        fetched: list[Series] = []

        def common() -> Series | None:
            fetched.append(series(parse_text(scrape(porch))))
            sent = [told(request) for request in receiver.metrics[-4:]]
            return next((one for one in sent if one.get(ALARMS) and one in fetched), None)

        both = wait_for("the same figures both ways", 20, common)
        assert both[ALARMS] == 1
        names = {name for name, _ in both}
        histograms = [prometheus_name(metric) for metric in METRICS if metric.kind.name == "HISTOGRAM"]
        assert names >= {f"{name}_{part}" for name in histograms for part in ("bucket", "sum", "count")}
        assert "porchlight_process_cpu_time_seconds_total" in names
        (about,) = {
            tuple((pair.key, pair.value.string_value) for pair in group.resource.attributes)
            for request in receiver.metrics
            for group in request.resource_metrics
        }
        assert dict(about)["service.instance.id"] == porch.instance


def told(request: Any) -> Series:
    """Return the samples that Prometheus would have of an OTLP request, by its own rules."""
    found: Series = {}
    names = {metric.name: prometheus_name(metric) for metric in METRICS}
    for group in request.resource_metrics:
        for metric in (metric for scope in group.scope_metrics for metric in scope.metrics):
            name = names[metric.name]
            if name == OF_THE_MOMENT:
                continue
            kind = metric.WhichOneof("data")
            for point in getattr(metric, kind).data_points:
                labels = {(pair.key.replace(".", "_"), pair.value.string_value) for pair in point.attributes}
                if kind == "histogram":
                    found |= buckets(name, labels, point)
                else:
                    found[f"{name}_total" if kind == "sum" else name, frozenset(labels)] = point.as_double
    return found


def buckets(name: str, labels: set[tuple[str, str]], point: Any) -> Series:
    """OTLP counts each bucket alone, Prometheus with all below it."""
    found: Series = {(f"{name}_sum", frozenset(labels)): point.sum, (f"{name}_count", frozenset(labels)): point.count}
    total = 0
    for bound, count in zip((*map(repr, point.explicit_bounds), "+Inf"), point.bucket_counts, strict=True):
        total += count
        found[f"{name}_bucket", frozenset({*labels, ("le", bound)})] = total
    assert total == point.count
    return found
