"""What each process tells of itself: log lines, figures, traces."""

from appliance.telemetry.logs import RepeatedFault, Sparing, finish_logs, set_up_logs
from appliance.telemetry.rate import Rate
from appliance.telemetry.tally import Tally
from appliance.telemetry.tracing import Span, Tracer

__all__ = ["Rate", "RepeatedFault", "Span", "Sparing", "Tally", "Tracer", "finish_logs", "set_up_logs"]
