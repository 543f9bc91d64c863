"""Full-size pictures, all flat out, readers and writer killed all the time: lent slots hold, one cell does not."""

from __future__ import annotations

import os
import platform
import signal
from collections.abc import Callable

import pytest

from appliance.ipc.run_folder import RunFolder
from tests.ipc.storm import Outcome, Weather, call_director, storm
from tests.ipc.ways import CHANNEL
from tests.rig import wait_for

Figure = Callable[[str, str], None]


def told(outcome: Outcome) -> str:
    readers = ", ".join(
        f"{name} {reads:,}" + (f" and {outcome.retries[name]:,} given up" if outcome.retries[name] else "")
        for name, reads in outcome.reads.items()
    )
    return (
        f"{outcome.total:,} reads ({readers}) of {outcome.published:,} pictures, {outcome.kills} readers and "
        f"{outcome.writer_restarts} writers killed, {outcome.torn:,} torn, {outcome.refused} refused, "
        f"{outcome.no_free_slot} without a free slot, {outcome.seconds:g} s"
    )


@pytest.mark.timeout(240)
def test_in_a_storm_of_kills_no_lent_picture_is_torn_and_the_writer_always_has_a_free_slot(figure: Figure) -> None:
    outcome = storm(20_000, kills=300)
    figure("storm, slots lent", told(outcome))
    assert outcome.total >= 20_000
    assert outcome.kills >= 300
    assert outcome.writer_restarts >= 20
    assert min(outcome.reads.values()) > 0
    assert (outcome.torn, outcome.refused, outcome.no_free_slot) == (0, 0, 0)


@pytest.mark.timeout(120)
def test_in_the_same_storm_the_ancestors_one_cell_shows_torn_pictures(figure: Figure) -> None:
    """Else the test above proves nothing."""
    outcome = storm(1500, way="cell", at_most_s=60)
    figure("storm, the ancestor's one cell", told(outcome))
    assert outcome.torn > 0


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a seqlock without barriers holds on x86 alone")
@pytest.mark.timeout(60)
@pytest.mark.parametrize(("way", "words"), [("seqlock", "a seqlock"), ("ring", "a ring of 5 seqlocks")])
def test_in_the_same_storm_seqlocks_show_none_but_who_is_slow_gives_up_reads(
    figure: Figure, way: str, words: str
) -> None:
    outcome = storm(1500, way=way, at_most_s=5)
    figure(f"storm, {words}", told(outcome))
    assert outcome.torn == 0


@pytest.mark.parametrize("how", ["its director is killed", "who wanted it is gone"])
def test_nobody_outlives_a_storm(folder: RunFolder, how: str) -> None:
    lifeline, ours = os.pipe()
    director = call_director(folder, Weather(10**9, 0, "lent", 0, 1, 600), lifeline)
    os.close(lifeline)
    try:
        wait_for("everybody sits", 30, folder.seat(CHANNEL, "mortal").exists)
        if how == "its director is killed":
            director.kill()
    finally:
        os.close(ours)
    director.communicate(timeout=30)  # its pipes end when the last of its cast is gone
    assert director.returncode == (-signal.SIGKILL if how == "its director is killed" else 0)
    assert folder.path.exists() == (how == "its director is killed")
