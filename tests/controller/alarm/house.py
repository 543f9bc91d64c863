"""A house with an alarm panel, for its tests: a clock, cameras, and what the panel said."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from appliance.controller.alarm.panel import Panel
from appliance.controller.alarm.panel_file import from_json, to_json
from appliance.controller.alarm.words import AlarmEvent, AlarmState, ArmMode, Code, Command, EventKind, Presence, Scene

SECOND = 1_000_000_000
NOON = 1_790_000_000 * SECOND


@dataclass(frozen=True)
class ModeSettings:
    counts: tuple[str, ...] | None = None
    exit_delay_seconds: float = 30
    entry_delay_seconds: float = 30


@dataclass(frozen=True)
class Settings:
    home: ModeSettings = ModeSettings(exit_delay_seconds=0)
    away: ModeSettings = ModeSettings()
    night: ModeSettings = ModeSettings(entry_delay_seconds=0)
    trigger_seconds: float = 600
    after_trigger: Literal["rearm", "disarm", "stay"] = "rearm"
    blind_seconds: float = 10
    code_to_arm: bool = False
    code_to_disarm: bool = True
    code_to_trigger: bool = False


@dataclass
class House:
    """Time passes in looks of a quarter of a second; `said` has every event so far."""

    settings: Settings = field(default_factory=Settings)
    panel: Panel = field(default_factory=Panel)
    now_ns: int = NOON
    there: list[str] = field(default_factory=list)
    blind: dict[str, str] = field(default_factory=dict)
    said: list[AlarmEvent] = field(default_factory=list)

    @property
    def state(self) -> AlarmState:
        return self.panel.state

    @property
    def kinds(self) -> list[str]:
        """What was said, in a word each."""
        return [event.kind for event in self.said]

    def look(self) -> list[AlarmEvent]:
        present = tuple(presence(place) for place in self.there)
        self.panel, events = self.panel.look(Scene(present, dict(self.blind)), self.now_ns, self.settings)
        self.said += events
        return list(events)

    def wait(self, seconds: float) -> list[AlarmEvent]:
        """Let time pass; return what was said meanwhile. Cut into looks, the last one exactly at the end."""
        end, heard = self.now_ns + round(seconds * SECOND), self.look()
        while self.now_ns < end:
            self.now_ns = min(end, self.now_ns + SECOND // 4)
            heard += self.look()
        return heard

    def say(self, command: Command, code: Code = Code.MISSING) -> list[AlarmEvent]:
        self.panel, events = self.panel.obey(command, code, self.now_ns, self.settings)
        self.said += events
        return list(events)

    def set_clock(self, seconds: float) -> None:
        """Set the wall clock forward or back, between two looks."""
        self.now_ns += round(seconds * SECOND)

    def restart(self, off_s: float = 1) -> list[AlarmEvent]:
        """Keep what is kept, lose the rest, and look again."""
        self.panel = from_json(to_json(self.panel))
        self.now_ns += round(off_s * SECOND)
        return self.look()


def presence(place: str) -> Presence:
    camera, _, zone = place.partition("/")
    return Presence(camera, zone or None, NOON, 0.9, "incident")


def armed(mode: ArmMode = ArmMode.AWAY, settings: Settings | None = None) -> House:
    """Return a house that was armed just now, and has nothing more to say of that."""
    house = House(settings or Settings())
    house.say(Command[f"ARM_{mode.name}"], Code.NO_PIN)
    while not house.state.armed:
        house.wait(1)
    house.said.clear()
    return house


def triggered(settings: Settings | None = None) -> House:
    """Return a house whose alarm has just gone off, over somebody who is still in front of the porch camera."""
    house = armed(settings=settings)
    house.there = ["porch"]
    while EventKind.TRIGGERED not in house.kinds:
        house.wait(1)
    house.said.clear()
    return house
