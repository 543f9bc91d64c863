"""Which version of MQTT is spoken, and when the other one is tried: a broker may not say that it does not know ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from paho.mqtt.enums import MQTTProtocolVersion

if TYPE_CHECKING:
    from appliance.config import Mqtt

V5, V311 = MQTTProtocolVersion.MQTTv5, MQTTProtocolVersion.MQTTv311
TRIED_IN_VAIN = 2
"""After so many connections that end before the broker's answer, it may be one that does not know MQTT 5."""
ANSWER_S = 5.0
"""A broker that has not answered by then will not."""


class Versions:
    """5 first, 3.1.1 where the broker seems not to know it, and 5 again. Another than was asked for is never tried.

    What returns a bool notes what happened, and says whether `current` is another one by now.
    """

    def __init__(self, settings: Mqtt) -> None:
        self.current = V311 if settings.protocol == "3.1.1" else V5
        self._may_change = settings.protocol == "auto"
        self._vain = self._silences = 0

    @property
    def patience_s(self) -> float:
        """How long to wait for the broker's answer. It may take its time while it starts: more of it each time."""
        return ANSWER_S * 2.0 ** min(self._silences, 3)

    def taken(self) -> None:
        """The broker speaks this version."""
        self._vain = self._silences = 0

    def refused(self) -> bool:
        """The broker says that it does not know this version."""
        return self._change()

    def unanswered(self) -> bool:
        """The broker takes the connection and does not answer: some do not even refuse what they do not know."""
        if self._may_change:
            self._silences += 1
        return self._change()

    def in_vain(self) -> bool:
        """A connection ended before the broker's answer."""
        self._vain += 1
        return self._vain >= TRIED_IN_VAIN and self._change()

    def lost(self) -> bool:
        """A connection ended that was well: the broker may only have been starting when it did not take version 5, or
        it is a newer one by now.
        """
        return self.current == V311 and self._change()

    def _change(self) -> bool:
        if self._may_change:
            self._vain = 0
            self.current = V311 if self.current == V5 else V5
        return self._may_change
