"""The gateway tells of a controller that hangs, and of nothing else."""

from __future__ import annotations

from appliance.gateway.witness import PATIENCE_S, Witness
from appliance.messages import Health, Heartbeat


class Scene:
    """A witness, what it said, and a broker that may be away."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.can_send = True
        self.now_s = 100.0
        self._beat_ns = 1
        self.witness = Witness(self._publish, self.now_s)

    def _publish(self, word: str) -> bool:
        if self.can_send:
            self.said.append(word)
        return self.can_send

    def wait(self, seconds: float, *, beating: bool, connected: bool = True, gone: bool = False) -> None:
        for _ in range(round(seconds * 2)):
            self.now_s += 0.5
            self._beat_ns += 500_000_000 if beating else 0
            facts = {"mqtt": "connected" if connected else "disconnected"}
            beat = Heartbeat("controller", Health.RUNNING, self._beat_ns, 0, facts=facts)
            self.witness.look({} if gone else {"controller": beat}, self.now_s)


def test_nothing_is_said_of_a_controller_that_beats() -> None:
    scene = Scene()
    scene.wait(60, beating=True)
    assert scene.said == []


def test_one_that_hangs_is_said_to_be_offline_once() -> None:
    scene = Scene()
    scene.wait(5, beating=True)
    scene.wait(PATIENCE_S, beating=False)
    assert scene.said == []
    scene.wait(20, beating=False)
    assert scene.said == ["offline"]


def test_one_that_is_replaced_in_time_is_not_mentioned() -> None:
    scene = Scene()
    scene.wait(5, beating=True)
    scene.wait(PATIENCE_S - 1, beating=False, gone=True)
    scene.wait(5, beating=True)
    assert scene.said == []


def test_one_that_is_back_is_online_when_it_has_its_broker_again() -> None:
    scene = Scene()
    scene.wait(5, beating=False)
    scene.wait(5, beating=True, connected=False)
    assert scene.said == ["offline"]
    scene.wait(1, beating=True)
    assert scene.said == ["offline", "online"]


def test_what_cannot_be_sent_is_sent_as_soon_as_it_can() -> None:
    scene = Scene()
    scene.can_send = False
    scene.wait(10, beating=False)
    scene.can_send = True
    scene.wait(1, beating=False)
    assert scene.said == ["offline"]
    scene.can_send = False
    scene.wait(5, beating=True)
    scene.can_send = True
    scene.wait(1, beating=True)
    assert scene.said == ["offline", "online"]


def test_nothing_is_said_of_a_controller_that_has_not_started_yet() -> None:
    scene = Scene()
    scene.wait(60, beating=False, gone=True)
    assert scene.said == []


def test_a_gateway_that_starts_beside_a_controller_that_hangs_tells_of_it() -> None:
    scene = Scene()
    scene.wait(PATIENCE_S + 1, beating=False)
    assert scene.said == ["offline"]
