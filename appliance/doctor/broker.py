"""Can the MQTT broker be had."""

from __future__ import annotations

from typing import TYPE_CHECKING

from appliance.doctor.finding import Finding, ok, warning
from appliance.mqtt.credentials import CredentialsError, password_of
from appliance.mqtt.diagnosis import obstacle

if TYPE_CHECKING:
    from appliance.config import Mqtt

SUBJECT = "MQTT broker"


def examine(settings: Mqtt) -> list[Finding]:
    """Return whether it answers; the password is not tried. Waits for the network, some seconds at most."""
    where = f"{settings.host}:{settings.port}"
    if not settings.enabled:
        return [ok(SUBJECT, "is switched off (mqtt.enabled): Home Assistant is told nothing")]
    try:
        password_of(settings)
    except CredentialsError as error:
        return [warning(SUBJECT, str(error), "write the password into the first line of that file")]
    found = obstacle(settings)
    if not found:
        return [ok(SUBJECT, f"{where} answers" + (" by TLS" if settings.tls.enabled else ""))]
    text, _, remedy = found.partition("; ")
    return [warning(SUBJECT, f"{where} {text}", remedy or "look at the broker's log")]
