"""SIGSTOP of any one stage while somebody visits: a hang is noticed, told and replaced, and who wakes tears nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator

import pytest

from appliance.mqtt.clients import WILL_DELAY_S
from tests.chaos.conftest import Build
from tests.chaos.house import CHAIN, LIMIT_S, SEEN_LEAST, STAGES, House
from tests.chaos.visits import account
from tests.rig import wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

SILENCE_S = 3
"""The least that can be set; 10 unless it is."""
HANG_SHOWS_S = 4.5
"""Three missed beats, and the looks between them."""
NAP_S = 1.5
"""Shorter than the silence that is allowed."""

Figure = Callable[[str, str], None]


def hang(house: House, name: str) -> tuple[int, float]:
    """Stop a stage in its tracks; return its process, and when."""
    pid = wait_for(f"{name} lives", LIMIT_S, lambda: house.porch.pid_of(name))
    return pid, house.signal(name, signal.SIGSTOP)


def check_availability(house: House, name: str, hung: float, back: float) -> None:
    """What was said to be unavailable while a stage hung, and was replaced.

    A hanging controller's connection is open until the supervisor ends it; then the will takes its delay, and the next
    controller is there sooner. So does the gateway's picture; that the gateway is not running is told by the
    controller. That the controller hangs is told by the gateway, but not as soon as it is replaced here.
    """
    if name in CHAIN:
        assert house.is_offline(house.camera, hung)
    else:
        assert not house.is_offline(house.camera, hung)
    if name in {"capture", "inference", "gateway"}:
        assert house.is_offline(house.stage(name), hung)
    for topic in (house.picture,) if name == "controller" else (house.hub, house.picture):
        if back < SILENCE_S + WILL_DELAY_S or name in CHAIN:
            assert not house.is_offline(topic, hung)


def test_a_stage_that_hangs_is_replaced_and_no_visit_is_lost_or_told_twice(house: Build, figure: Figure) -> None:
    one = house(supervisor={"silence_seconds": SILENCE_S})
    for name in STAGES:
        pid, hung = hang(one, name)
        wait_for(f"{name} is replaced", SILENCE_S + LIMIT_S, lambda: one.porch.pid_of(name) not in {None, pid})  # noqa: B023
        noticed = time.time() - hung
        back = one.whole_again()
        check_availability(one, name, hung, back)
        dark = [heard.at - hung for heard in one.ear.all(one.camera, hung) if heard.payload == b"offline"]
        told = f"camera unavailable after {dark[0]:.2f} s, " if dark else "camera available all along, "
        figure(f"SIGSTOP {name}", f"{told}replaced after {noticed:.2f} s, whole again after {back:.2f} s")
        one.see_a_visit()
    figure("SIGSTOP of each stage", str(account(one.witness, one.ear)))


def test_a_controller_that_hangs_is_shown_unavailable_until_it_is_replaced(house: Build, figure: Figure) -> None:
    one = house()
    pid, hung = hang(one, "controller")
    wait_for("unavailable", 3 * HANG_SHOWS_S, lambda: one.is_offline(one.hub, hung))
    shown = time.time() - hung
    wait_for("it is replaced", 3 * LIMIT_S, lambda: one.porch.pid_of("controller") not in {None, pid})
    one.whole_again(time.time())
    wait_for("available", LIMIT_S, lambda: one.ear.last(one.hub) == "online")
    figure("SIGSTOP controller, as it is delivered", f"unavailable after {shown:.1f} s, until it was replaced")
    one.see_a_visit()
    account(one.witness, one.ear)


def test_who_hangs_for_a_moment_goes_on_where_he_was(house: Build, figure: Figure) -> None:
    one = house()
    for name in STAGES:
        pid, hung = one.porch.pid_of(name), time.time()
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        wait_for("a moment", NAP_S + 1, lambda: time.time() - hung > NAP_S)  # noqa: B023
        os.kill(pid, signal.SIGCONT)
        one.whole_again(time.time())
        one.see_a_visit()
        assert one.porch.pid_of(name) == pid
        # The supervisor had no reason to tell of anything, and nobody else had.
        assert not [topic for topic in (one.hub, one.camera, one.picture) if one.is_offline(topic, hung)]
    figure(f"SIGSTOP of each stage for {NAP_S} s", str(account(one.witness, one.ear)))


@pytest.fixture
def orphan(house: Build) -> Iterator[tuple[House, int]]:
    """A camera's process that hangs, and whose supervisor was killed meanwhile: nobody is left to end it."""
    one = house()
    pid, _ = hang(one, "capture.front_door")
    one.kill("capture")
    wait_for("there is a new one", LIMIT_S, lambda: set(one.porch.pids("--camera", "front_door")) - {pid})
    yield one, pid
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    one.whole_again(time.time())
    wait_for("enough pictures to speak of", LIMIT_S, lambda: one.viewer.seen > SEEN_LEAST)


def test_an_orphan_that_wakes_beside_its_successor_ends_and_tears_nothing(
    orphan: tuple[House, int], figure: Figure
) -> None:
    one, pid = orphan
    wait_for("unavailable", LIMIT_S, lambda: one.is_offline(one.camera, one.struck["capture.front_door"]))
    os.kill(pid, signal.SIGCONT)
    back = one.whole_again(time.time())
    wait_for("it has ended", LIMIT_S, lambda: pid not in one.porch.pids("--camera", "front_door"))
    one.see_a_visit()
    figure("capture killed while its camera hung: whole again after the camera woke", f"{back:.2f} s")
    account(one.witness, one.ear)


def test_an_orphan_that_never_wakes_is_replaced_too(orphan: tuple[House, int]) -> None:
    one, _ = orphan
    one.whole_again()
