"""Several parts killed one after the other while somebody visits, and a broker that is away for a minute: no visit is
lost or told twice, and all is whole again within seconds.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.chaos.conftest import Build
from tests.chaos.house import BROKER, LIMIT_S, STAGES, House, in_words, keeping
from tests.chaos.visits import account
from tests.rig import wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(420)]

ROUNDS = 2
GAP_S = 0.3
"""From one death to the next: nobody is back yet."""
GAP_MOST_S = 0.8
SCHEDULES = 30
KILLS = (3, 6)
AWAY_S = 60.0

Figure = Callable[[str, str], None]


def test_broker_and_controller_die_together(house: Build, figure: Figure) -> None:
    one = house()
    for pair in itertools.permutations(("controller", BROKER)):
        back = []
        for _ in range(ROUNDS):
            for name in pair:
                one.kill(name)
                time.sleep(GAP_S)
            one.mend()
            back.append(one.whole_again())
            one.see_a_visit()
        figure(f"kill -9 {', then '.join(pair)}", f"whole again after {in_words(back)}")
    figure("kill -9 of broker and controller together", str(account(one.witness, one.ear)))


@pytest.mark.parametrize("remembers", [False, True], ids=["broker_forgets", "broker_keeps"])
def test_thirty_random_schedules_lose_nothing(house: Build, tmp_path: Path, remembers: bool, figure: Figure) -> None:
    """Half of them with each kind of broker; each begins when somebody comes. Who dies again and again waits a second
    at most: a household's would wait longer, but nobody dies there 130 times in a few minutes.
    """
    one = house(keeping(tmp_path) if remembers else "", supervisor={"restart_seconds_max": 1.0})
    kills, back = 0, []
    for seed in range(SCHEDULES // 2 * remembers, SCHEDULES // 2 * (1 + remembers)):
        chance = random.Random(seed)
        one.see_a_visit()
        killed = _kill_some(one, chance)
        print(f"seed {seed}: {' '.join(killed)}")
        kills += len(killed)
        back.append(one.whole_again())
    one.see_a_visit()
    told = account(one.witness, one.ear)
    broker = "a broker that keeps" if remembers else "a broker that forgets"
    figure(f"{len(back)} random schedules, {broker}, {kills} kills", f"whole again after {in_words(back)}; {told}")
    assert "version 3.1.1" not in one.porch.log_text(), "a broker that dies knows MQTT 5 nevertheless"


def _kill_some(house: House, chance: random.Random) -> list[str]:
    """Kill a few at random moments; the broker is away until the next one. Return who died, in order."""
    killed: list[str] = []
    most = chance.randint(*KILLS)
    while len(killed) < most:
        time.sleep(chance.uniform(0, GAP_MOST_S))
        name = chance.choice((*STAGES, BROKER))
        house.mend()
        if name == BROKER or house.porch.pid_of(name):
            house.kill(name)
            killed.append(name)
    time.sleep(chance.uniform(0, GAP_MOST_S))
    house.mend()
    return killed


def test_a_broker_that_was_away_for_a_minute_hears_of_every_visit_with_its_time(house: Build, figure: Figure) -> None:
    one = house()
    gone = one.kill(BROKER)
    wait_for("a minute", AWAY_S + 1, lambda: time.time() - gone > AWAY_S)
    one.mend()
    returned = one.mended
    back = one.whole_again()
    one.see_a_visit()
    told = account(one.witness, one.ear)
    late = 0
    for heard in one.ear.all("/front_door/event", returned):
        words = heard.json()
        happened = datetime.fromisoformat(words["timestamp"]).timestamp()
        if gone < happened < returned:
            late += 1
            assert words["replayed"] is True
            # A detection's latency lies between what happened and what was noted; the way to the ear comes after.
            assert words["age_s"] == pytest.approx(heard.at - happened, abs=3)
    assert late >= AWAY_S / 4, "a visit each four seconds has two ends"
    arrived = max(heard.at for heard in one.ear.all("/front_door/event") if heard.json().get("replayed")) - returned
    figure(
        f"broker away for {AWAY_S:.0f} s",
        f"whole again after {back:.2f} s, the last of {late} late events after {arrived:.2f} s; {told}",
    )
    assert back < LIMIT_S
