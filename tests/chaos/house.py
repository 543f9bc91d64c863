"""An appliance and its broker while somebody visits every few seconds, whoever dies; and when all is whole again."""

from __future__ import annotations

import os
import signal
import statistics
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from tests.chaos.viewer import Viewer
from tests.chaos.visits import CAMERA, KeenEar, Witness
from tests.rig import Appliance, Broker, wait_for

PROMISE_S = 5.0
LIMIT_S = 3 * PROMISE_S
START_S = 60.0
SEEN_LEAST = 10
"""Pictures, or none of them being torn says nothing."""
BROKER = "broker"
CHAIN = ("capture.front_door", "capture", "inference")
"""Without them the camera cannot see."""
STAGES = (*CHAIN, "controller", "gateway")


@dataclass
class House:
    porch: Appliance
    broker: Broker
    ear: KeenEar
    viewer: Viewer
    witness: Witness
    struck: dict[str, float] = field(default_factory=dict)
    """When each was killed or stopped last (time.time())."""
    mended: float = field(default_factory=time.time)
    """When the broker was there again; at first, when we began."""

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
            self.struck[BROKER] = time.time()
            return self.struck[BROKER]
        return self.signal(name, signal.SIGKILL)

    def signal(self, name: str, number: int) -> float:
        pid = wait_for(f"{name} lives", START_S, lambda: self.porch.pid_of(name))
        self.struck[name] = time.time()
        os.kill(pid, number)
        return self.struck[name]

    def mend(self) -> None:
        if self.broker._process is None:
            self.mended = time.time()
            self.broker.start()

    def is_whole(self, since: float) -> bool:
        """Whether everything is back: all stages run, the camera is believed, pictures flow, and whoever had to say
        anew that he is there has said so.
        """
        return (
            self.viewer.last > since
            and all(self._is_said(topic, who) for topic, who in self._says().items())
            and self.porch.get("/healthz")[0] == 200
            and self.porch.state() != "unknown"
            and all(self.porch.pid_of(stage) for stage in STAGES)
        )

    def whole_again(self, since: float = 0) -> float:
        """Wait until it is whole, and return how long that took in seconds: since then, or since the last blow."""
        since = since or max(self.mended, *self.struck.values())
        wait_for(f"whole again after {self.struck} and {since}", LIMIT_S, lambda: self.is_whole(since))
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

    def _says(self) -> dict[str, set[str]]:
        """Return the topics that must say online, and after whose death they have to say it anew."""
        stages = (name for name in STAGES if "." not in name)
        return {
            self.hub: {"controller", BROKER},
            self.camera: {*CHAIN, "controller", BROKER},
            self.picture: {"gateway", BROKER},
            **{self.stage(name): {"controller", BROKER} for name in stages},
        }

    def _is_said(self, topic: str, who: set[str]) -> bool:
        if self.ear.last(topic) != "online":
            return False
        blows = {moment: name for name, moment in self.struck.items() if name in who}
        if not blows or "online" in self.ear.live(topic, max(blows))[-1:]:
            return True
        # Who was back at the broker before our ear was is heard as if it were of old.
        return blows[max(blows)] == BROKER and self._is_connected("gateway" if topic == self.picture else "controller")

    def _is_connected(self, stage: str) -> bool:
        """Whether it has connected to the broker since that is back."""
        lines = (line for line in self.porch.log_text().splitlines() if f" {stage}: MQTT: connected" in line)
        return any(datetime.fromisoformat(line[:23]).timestamp() >= self.mended for line in lines)


def keeping(folder: Path) -> str:
    """Return the lines with which a broker writes down at once whatever changes."""
    return f"persistence true\npersistence_location {folder}/\nautosave_interval 1\nautosave_on_changes true"


def in_words(seconds: list[float]) -> str:
    return f"{statistics.median(seconds):.2f} s (median), {max(seconds):.2f} s at most"
