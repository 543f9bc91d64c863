"""kill -9 of any one part while somebody visits: all is back within seconds, and nobody is told a lie meanwhile."""

from __future__ import annotations

import signal
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from appliance.gateway.witness import PATIENCE_S
from appliance.mqtt.clients import WILL_DELAY_S
from tests.chaos.conftest import Build
from tests.chaos.house import BROKER, CHAIN, LIMIT_S, STAGES, START_S, House, in_words, keeping
from tests.chaos.visits import account
from tests.rig import CLIP, MODEL, Appliance, Broker, clip_settings, need, wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

ROUNDS = 2

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
    one = house(keeping(tmp_path) if keeps else "")
    broker = "a broker that keeps" if keeps else "a broker that forgets"
    times: list[float] = []
    for name in (*STAGES, BROKER):
        some = []
        for _ in range(ROUNDS if name == BROKER or not keeps else 1):
            pid = one.porch.pid_of(name)
            killed = one.kill(name)
            one.mend()
            back = one.whole_again(killed)
            check_availability(one, name, killed, back)
            if name == BROKER and keeps:
                assert any(heard.retain for heard in one.ear.all(one.hub, killed)), "it has kept nothing"
            if name != BROKER:
                assert one.porch.pid_of(name) not in {None, pid}
            some.append(back)
            one.see_a_visit()
        figure(f"kill -9 {name}, {broker}", f"whole again after {in_words(some)}")
        times += some
    told = account(one.witness, one.ear)
    figure(f"kill -9 of each alone, {broker}", f"whole again after {in_words(times)}; {told}")
    assert statistics.median(times) < LIMIT_S


@pytest.mark.parametrize("name", ["controller", "gateway"])
def test_who_stays_away_is_told_of_and_not_too_soon(house: Build, name: str, figure: Figure) -> None:
    """The supervisor is held, so that nobody is started again. Of the gateway its will tells; of the controller the
    gateway does, sooner.
    """
    least_s = PATIENCE_S if name == "controller" else WILL_DELAY_S
    one = house()
    topic = one.hub if name == "controller" else one.picture
    assert one.porch.process is not None
    one.porch.process.send_signal(signal.SIGSTOP)
    killed = one.kill(name)
    wait_for("it is told", WILL_DELAY_S + LIMIT_S, lambda: one.is_offline(topic, killed))
    told = time.time() - killed
    one.porch.process.send_signal(signal.SIGCONT)
    assert told > least_s - 1, "mosquitto counts in whole seconds, and a heartbeat is up to one old"
    one.whole_again()
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
