"""A house with visits, for whoever kills something in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.house import SEEN_LEAST, START_S, House
from tests.chaos.viewer import Viewer
from tests.chaos.visits import KeenEar, Witness, visiting_clip, visiting_settings
from tests.rig import Appliance, Broker, wait_for

Build = Callable[..., House]


@pytest.fixture
def house(tmp_path: Path, appliance: Callable[[dict[str, Any]], Appliance]) -> Iterator[Build]:
    """Makes a house of a broker's folder, lines of its configuration and more settings, and checks its pictures."""
    made: list[House] = []
    brokers: list[Broker] = []

    def build(extra: str = "", **more: Any) -> House:
        clip = visiting_clip(tmp_path / "visits.mp4")
        broker = Broker(tmp_path, extra=extra)
        brokers.append(broker)
        broker.start()
        porch = appliance(visiting_settings(broker.port, clip, **more))
        one = House(porch, broker, KeenEar(broker.port), Viewer(porch.url, clip), Witness(porch.instance))
        made.append(one)
        wait_for("all is well", START_S, lambda: one.is_whole(one.mended))
        one.see_a_visit()
        return one

    yield build
    for one in made:
        one.close()
        one.ear.close()
    for broker in brokers:
        broker.stop()
    for one in made:
        assert one.viewer.torn == []
        assert one.viewer.seen > SEEN_LEAST, "enough pictures to speak of"
