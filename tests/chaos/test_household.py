"""kill -9 of broker, controller and Home Assistant, alone and in pairs: what a household sees is true again."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from appliance.mqtt.clients import WILL_DELAY_S
from tests.chaos.conftest import Build
from tests.chaos.house import BROKER, House
from tests.chaos.visits import CAMERA, account
from tests.home_assistant.hass import Hass
from tests.rig import wait_for

pytestmark = [pytest.mark.real, pytest.mark.timeout(420)]

HOME_ASSISTANT = "Home Assistant"
TOGETHER = ("controller", BROKER, HOME_ASSISTANT)
GAP_S = 0.3
AGREES_S = 40.0
"""Home Assistant itself looks for a lost broker every ten seconds."""
LAG_S = 3 * 1.0
VISIT_S = 30.0

Figure = Callable[[str, str], None]


@dataclass
class Household:
    """A house, its Home Assistant, and the entity ids by our names for them: `front_door_person`."""

    house: House
    home: Hass
    entities: dict[str, str]

    def wrong(self) -> dict[str, tuple[str, str]]:
        """Return the entities that do not show what was told: what they show, and what they should."""
        shown = {one["entity_id"]: one["state"] for one in json.loads(self.home.http("GET", "/api/states"))}
        found = {name: shown.get(entity, "absent") for name, entity in self.entities.items()}
        gone = {name: (state, "anything") for name, state in found.items() if state in {"absent", "unavailable"}}
        return gone | {name: (found[name], state) for name, state in told(self.house).items() if found[name] != state}

    def agree(self) -> None:
        """Wait until Home Assistant shows all that is told. AssertionError names the entities that are stuck."""
        try:
            wait_for("all that is told is shown", AGREES_S, lambda: not self.wrong())
        except AssertionError:
            raise AssertionError(f"stuck: {self.wrong()}") from None

    def kill(self, case: tuple[str, ...]) -> float:
        """Kill them in this order, have the broker back, and return when the last one died."""
        died = 0.0
        for name in case:
            if name == HOME_ASSISTANT:
                os.kill(json.loads((self.home._folder / "state.json").read_text())["pid"], signal.SIGKILL)
                died = time.time()
            else:
                died = self.house.kill(name)
            time.sleep(GAP_S)
        self.house.mend()
        return died

    def follow_a_visit(self) -> None:
        """Wait until occupancy has come and gone with the next visit, and its events were shown."""
        for kind, state in (("person_entered", "on"), ("person_left", "off")):
            event = wait_for(kind, VISIT_S, next_event(self.house, kind))
            person, visit = self.entities[f"{CAMERA}_person"], self.entities[f"{CAMERA}_event"]
            wait_for(f"occupancy is {state}", LAG_S, lambda: self.home.state(person) == state)  # noqa: B023
            assert self.home.attributes(visit)["event_id"] >= event["event_id"]


@pytest.fixture
def household(tmp_path: Path, house: Build) -> Iterator[Household]:
    one = house()
    home = Hass(tmp_path / "hass", one.broker.port)
    prefix = f"porchlight_{one.porch.instance}_"
    wait_for("it has the camera", AGREES_S, lambda: f"{prefix}{CAMERA}_person" in home.entities())
    home.run("restart")  # a few seconds after its first start it has not kept yet who may ask it
    entities = {key.removeprefix(prefix): entity["entity_id"] for key, entity in home.entities().items()}
    yield Household(one, home, entities)
    home.down()


def test_what_home_assistant_shows_is_true_again_whoever_died(household: Household, figure: Figure) -> None:
    one, home = household.house, household.home
    household.agree()
    cases = [("controller",), (HOME_ASSISTANT,), *permutations(TOGETHER, 2)]
    for case in cases:
        began = datetime.now(UTC)
        died = household.kill(case)
        with ThreadPoolExecutor(1) as pool:
            start = pool.submit(home.run, "restart") if HOME_ASSISTANT in case else None
            back = one.whole_again(died)
            if start is not None:
                start.result()
        household.agree()
        agrees = time.time() - died
        household.follow_a_visit()
        if case == ("controller",) and back < WILL_DELAY_S:
            shown = home.history(household.entities[f"{CAMERA}_person"], began)
            assert {"on", "off"} == set(shown), "a death that is healed sooner is not shown"
        figure(
            f"kill -9 {', then '.join(case)}",
            f"appliance whole again after {back:.2f} s, Home Assistant shows what is true after {agrees:.1f} s",
        )
    figure(f"kill -9 in {len(cases)} ways while Home Assistant looks on", str(account(one.witness, one.ear)))


def told(house: House) -> dict[str, str]:
    """Return what Home Assistant must show by the facts that were told last."""
    base = f"porchlight/{house.porch.instance}"

    def last(what: str) -> str:
        return house.ear.last(f"{base}/{what}") or ""

    sentry = json.loads(last(f"{CAMERA}/state"))
    return {
        f"{CAMERA}_person": last(f"{CAMERA}/person").lower(),
        f"{CAMERA}_person_count": last(f"{CAMERA}/person_count"),
        f"{CAMERA}_state": sentry["state"],
        f"{CAMERA}_mode": sentry["mode"],
        f"{CAMERA}_connectivity": last(f"{CAMERA}/connectivity").lower(),
        f"{CAMERA}_watching": json.loads(last(f"{CAMERA}/watching"))["state"],
        f"{CAMERA}_detection": last(f"{CAMERA}/cfg/detection").lower(),
        f"{CAMERA}_threshold": last(f"{CAMERA}/cfg/threshold"),
        "alarm": last("alarm/state"),
        **{
            f"stage_{name}": {"online": "on", "offline": "off"}[last(f"stage/{name}/status")]
            for name in ("capture", "inference", "controller", "gateway")
        },
    }


def next_event(house: House, kind: str) -> Callable[[], dict[str, Any] | None]:
    """Return a look at the first event of this kind that comes from now on."""
    before = len(house.ear.all(f"/{CAMERA}/event"))

    def look() -> dict[str, Any] | None:
        words = (heard.json() for heard in house.ear.all(f"/{CAMERA}/event")[before:])
        return next((one for one in words if one["event_type"] == kind), None)

    return look
