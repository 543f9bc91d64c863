"""An appliance and its broker while somebody visits every few seconds, whoever dies; and when all is whole again."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection
from dataclasses import dataclass, field

from tests.chaos.viewer import Viewer
from tests.chaos.visits import CAMERA, KeenEar, Witness
from tests.rig import Appliance, Broker, wait_for

PROMISE_S = 5.0
LIMIT_S = 3 * PROMISE_S
START_S = 60.0
BROKER = "broker"
STAGES = ("capture.front_door", "capture", "inference", "controller", "gateway")


@dataclass
class House:
    porch: Appliance
    broker: Broker
    ear: KeenEar
    viewer: Viewer
    witness: Witness
    began: float = field(default_factory=time.time)

    @property
    def hub(self) -> str:
        """Return the topic that the controller's will is on."""
        return f"porchlight/{self.porch.instance}/status"

    @property
    def camera(self) -> str:
        return f"porchlight/{self.porch.instance}/{CAMERA}/status"

    @property
    def picture(self) -> str:
        """Return the topic that the gateway's will is on."""
        return f"porchlight/{self.porch.instance}/picture/status"

    def stage(self, name: str) -> str:
        return f"porchlight/{self.porch.instance}/stage/{name}/status"

    def kill(self, name: str) -> float:
        """Kill a stage or the broker, and return when; a broker stays away until `mend`."""
        if name == BROKER:
            process = self.broker._process
            if process is not None:
                process.kill()
                process.wait()
                self.broker._process = None
            return time.time()
        return self.signal(name, signal.SIGKILL)

    def signal(self, name: str, number: int) -> float:
        pid = wait_for(f"{name} lives", START_S, lambda: self.porch.pid_of(name))
        moment = time.time()
        os.kill(pid, number)
        return moment

    def mend(self) -> None:
        if self.broker._process is None:
            self.broker.start()

    def is_whole(self, since: float, killed: Collection[str]) -> bool:
        """Whether everything is back: all stages run, the camera is believed, pictures flow, and whoever had to say
        that he is there has said so since then.
        """
        return (
            self.viewer.last > since
            and all(self._is_said(topic, since if topic in self._to_say(killed) else 0) for topic in self._all())
            and self.porch.get("/healthz")[0] == 200
            and self.porch.state() != "unknown"
            and all(self.porch.pid_of(stage) for stage in STAGES)
        )

    def whole_again(self, since: float, killed: Collection[str]) -> float:
        """Wait until it is whole, and return how long that took, in seconds."""
        wait_for(f"whole again after {killed}", LIMIT_S, lambda: self.is_whole(since, killed))
        return time.time() - since

    def see_a_visit(self) -> None:
        """Wait until somebody comes who was not there yet."""
        before = len(self.witness.visits)
        came = "person_entered"
        wait_for("a visit", LIMIT_S, lambda: any(key[0] == came for key, _ in self.witness.visits[before:]))

    def is_offline(self, topic: str, since: float) -> bool:
        """Whether it was said to be unavailable since then, also if it is back."""
        return "offline" in self.ear.live(topic, since)

    def close(self) -> None:
        self.viewer.stop()
        self.witness.stop()

    def _all(self) -> tuple[str, ...]:
        return self.hub, self.camera, self.picture, *(self.stage(name) for name in STAGES if "." not in name)

    def _to_say(self, killed: Collection[str]) -> set[str]:
        """Return the topics on which somebody must say anew that he is there."""
        topics = {self.picture} if {"gateway", BROKER}.intersection(killed) else set()
        if {"controller", BROKER}.intersection(killed):
            return topics | set(self._all()) - {self.picture}
        return topics | ({self.camera} if killed and set(killed) != {"gateway"} else set())

    def _is_said(self, topic: str, since: float) -> bool:
        if self.ear.last(topic) != "online":
            return False
        return not since or self.ear.live(topic, since)[-1:] == ["online"]
