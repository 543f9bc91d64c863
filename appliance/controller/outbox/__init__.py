"""What was told and is not acknowledged yet: it outlives a killed process (journal) and a power cut (store)."""

from appliance.controller.outbox.event import Acknowledged, Event
from appliance.controller.outbox.outbox import Outbox

__all__ = ["Acknowledged", "Event", "Outbox"]
