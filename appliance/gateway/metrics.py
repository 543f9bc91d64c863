"""The figures of all stages, as their heartbeats have them, for Prometheus to fetch and for a collector to be sent.

Counted once, in the stage; read here for both. Nothing is kept here: a gateway that starts anew loses nothing.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector as PrometheusCollector

from appliance import __version__
from appliance.ipc.heartbeat import read_heartbeats
from appliance.messages import Histogram
from appliance.telemetry.collector import resource
from appliance.telemetry.delivery import FIGURES_THREAD, GOODBYE_S, SdkLog
from appliance.telemetry.metrics import METRICS, Kind, Metric, points

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from appliance.config import Settings
    from appliance.ipc.run_folder import RunFolder
    from appliance.messages import Heartbeat
    from appliance.telemetry.collector import Collector

log = logging.getLogger(__name__)

INTERVAL_S = 60.0
"""OpenTelemetry's own default; OTEL_METRIC_EXPORT_INTERVAL has another, in milliseconds."""
_UNITS = {"s": "seconds", "By": "bytes"}


class Exposition(PrometheusCollector):
    """What Prometheus is given."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def render(self, accept: str) -> tuple[bytes, str]:
        """Return the text and its content type, in the format that the scraper asks for."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type

    def describe(self) -> list[Any]:
        """Nothing beforehand: what there is depends on who beats."""
        return []

    def collect(self) -> Iterator[Any]:
        """Return the metrics as they are now."""
        beats = read_heartbeats(self._folder)
        yield InfoMetricFamily("porchlight_build", "What is running.", {"version": __version__})
        for metric in METRICS:
            yield _family(metric, beats)


def prometheus_name(metric: Metric) -> str:
    """Return the name by OpenTelemetry's rules for Prometheus, without a counter's _total."""
    name, unit = metric.name.replace(".", "_"), _UNITS.get(metric.unit, "")
    return f"{name}_{unit}" if unit and not name.endswith(unit) else name


def _family(metric: Metric, beats: Mapping[str, Heartbeat]) -> Any:
    name, found = prometheus_name(metric), list(points(metric, beats))
    keys = sorted({key for point in found for key in point.attributes})
    labels = [key.replace(".", "_") for key in keys]
    if metric.kind is Kind.HISTOGRAM:
        histograms = HistogramMetricFamily(name, metric.text, labels=labels)
        for point in found:
            if isinstance(point.value, Histogram):
                values = [point.attributes.get(key, "") for key in keys]
                histograms.add_metric(values, _buckets(point.value), point.value.sum)
        return histograms
    family = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
    plain: Any = family(name, metric.text, labels=labels)
    for point in found:
        plain.add_metric([point.attributes.get(key, "") for key in keys], point.value)
    return plain


def _buckets(histogram: Histogram) -> list[tuple[str, int]]:
    """Return Prometheus' cumulative ones."""
    total, buckets = 0, []
    for bound, count in zip((*histogram.bounds, float("inf")), histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else repr(bound), total))
    return buckets


class Reporter:
    """Sends the same to a collector, from a thread of its own, every INTERVAL_S."""

    def __init__(self, to: Collector, settings: Settings, folder: RunFolder) -> None:
        self._to = to
        self._settings = settings
        self._folder = folder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=FIGURES_THREAD, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send once more, for as long as GOODBYE_S."""
        self._stop.set()
        self._thread.join(GOODBYE_S)

    def _work(self) -> None:
        sdk_log = SdkLog(self._to, "figures for the ")
        try:
            exporter, about = self._to.exporter("metrics"), resource(self._settings, "")
        except Exception as error:  # noqa: BLE001 -- whatever is wrong there, nobody else suffers
            log.error("no metrics: %s cannot be spoken to: %s", self._to.told, error)  # noqa: TRY400
            return
        last = False
        while not last:
            last = self._stop.wait(_interval_s())
            sdk_log.sent(lambda: exporter.export(otlp_data(read_heartbeats(self._folder), about)))


def otlp_data(beats: Mapping[str, Heartbeat], about: Any) -> Any:
    """Return the SDK's MetricsData of what the heartbeats say; `about` is the SDK's Resource."""
    from opentelemetry.sdk.metrics import export as sdk
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope

    now_ns = time.time_ns()
    cumulative = sdk.AggregationTemporality.CUMULATIVE
    made = []
    for metric in METRICS:
        data: list[Any] = []
        for attributes, value, since_ns in points(metric, beats):
            times = (since_ns, now_ns)
            if isinstance(value, Histogram):
                unknown: Any = None  # the least and the most are not kept; the protocol lets them be left out
                counts, bounds = value.counts, value.bounds
                data.append(
                    sdk.HistogramDataPoint(attributes, *times, sum(counts), value.sum, counts, bounds, unknown, unknown)
                )
            else:
                data.append(sdk.NumberDataPoint(attributes, *times, value))
        if not data:
            continue
        points_of: Any
        match metric.kind:
            case Kind.HISTOGRAM:
                points_of = sdk.Histogram(data, cumulative)
            case Kind.COUNTER:
                points_of = sdk.Sum(data, cumulative, is_monotonic=True)
            case Kind.GAUGE:
                points_of = sdk.Gauge(data)
        made.append(sdk.Metric(metric.name, metric.text, metric.unit, points_of))
    scope = sdk.ScopeMetrics(InstrumentationScope("porchlight", __version__), made, "")
    return sdk.MetricsData([sdk.ResourceMetrics(about, [scope], "")])


def _interval_s() -> float:
    try:
        return max(0.1, float(os.environ["OTEL_METRIC_EXPORT_INTERVAL"]) / 1000)
    except (KeyError, ValueError):
        return INTERVAL_S
