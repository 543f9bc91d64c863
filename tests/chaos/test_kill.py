"""kill -9 of any one part while somebody visits: all is back within seconds, and nobody is told a lie meanwhile."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.mqtt.connection import WILL_DELAY_S
from tests.chaos.conftest import Build
from tests.chaos.house import BROKER, LIMIT_S, STAGES, START_S, House
from tests.chaos.visits import account
from tests.rig import CLIP, MODEL, Appliance, Broker, clip_settings, need, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ROUNDS = 3
CHAIN = ("capture.front_door", "capture", "inference")
"""Without them the camera cannot see."""

Figure = Callable[[str, str], None]


def check_availability(house: House, name: str, killed: float, back: float) -> None:
    """What was said to be unavailable, and what was not, between a death and everything's being back."""
    if name in CHAIN:
        assert house.is_offline(house.camera, killed)
    else:
        assert not house.is_offline(house.camera, killed)
    if name in {"capture", "inference", "gateway"}:
        assert house.is_offline(house.stage(name), killed)
    # The wills are delayed: who is back in time was never away.
    for topic in (house.hub, house.picture):
        if back < WILL_DELAY_S or name in CHAIN:
            assert not house.is_offline(topic, killed)


@pytest.mark.parametrize("keeps", [False, True], ids=["broker_forgets", "broker_keeps"])
def test_whoever_is_killed_is_back_and_no_visit_is_lost_or_told_twice(
    house: Build, tmp_path: Path, keeps: bool, figure: Figure
) -> None:
    kept = f"persistence true\npersistence_location {tmp_path}/\nautosave_interval 1\nautosave_on_changes true"
    one = house(kept if keeps else "")
    times: dict[str, list[float]] = {name: [] for name in (*STAGES, BROKER)}
    for name in times:
        for _ in range(ROUNDS if name == BROKER or not keeps else 1):
            pid = one.porch.pid_of(name)
            killed = one.kill(name)
            one.mend()
            back = one.whole_again(killed, {name})
            check_availability(one, name, killed, back)
            if name == BROKER:
                assert any(heard.retain for heard in one.ear.all(one.hub, killed)) == keeps
            else:
                assert one.porch.pid_of(name) not in {None, pid}
            times[name].append(back)
            one.see_a_visit()
    told = account(one.witness, one.ear)
    broker = "a broker that keeps" if keeps else "a broker that forgets"
    for name, back in times.items():
        figure(f"kill -9 {name}, {broker}: whole again after", f"{statistics.median(back):.2f} s, most {max(back):.2f}")
    figure(f"kill -9 of each alone, {broker}", str(told))
    assert statistics.median(back for some in times.values() for back in some) < LIMIT_S


@pytest.mark.parametrize("name", ["controller", "gateway"])
def test_who_stays_away_is_told_by_the_will_and_not_before(house: Build, name: str, figure: Figure) -> None:
    """The supervisor is held, so that nobody is started again."""
    one = house()
    topic = one.hub if name == "controller" else one.picture
    assert one.porch.process is not None
    one.porch.process.send_signal(signal.SIGSTOP)
    killed = one.kill(name)
    wait_for("it is told", WILL_DELAY_S + LIMIT_S, lambda: one.is_offline(topic, killed))
    told = time.time() - killed
    assert told > WILL_DELAY_S - 1, "mosquitto counts in whole seconds"
    one.porch.process.send_signal(signal.SIGCONT)
    freed = time.time()
    one.whole_again(freed, {name})
    figure(f"kill -9 {name}, which stays away: unavailable after", f"{told:.2f} s")
    account(one.witness, one.ear)


def test_a_killed_supervisor_leaves_no_stage_behind_and_the_next_start_needs_no_cleaning(
    broker: Broker, appliance: Callable[[dict[str, Any]], Appliance]
) -> None:
    need(CLIP, MODEL)
    porch = appliance(clip_settings(broker.port, f"file://{CLIP}?loop=true"))
    wait_for("it sees", START_S, lambda: porch.state() != "unknown")
    assert porch.process is not None
    porch.process.kill()
    porch.process.wait()
    wait_for("every stage has ended", LIMIT_S, lambda: not porch.pids())
    porch.start()
    wait_for("it sees again", START_S, lambda: porch.state() != "unknown")
    assert porch.stop(signal.SIGINT) == 0
    assert not porch.run_folder.exists()
    assert not porch.pids()
