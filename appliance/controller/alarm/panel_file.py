"""The alarm panel as text that can be kept in a file: JSON with a version.

The text changes only when something happened, so whoever keeps it writes it whenever it differs from the last one.
"""

import json
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from appliance.controller.alarm.attempts import Attempts
from appliance.controller.alarm.countdown import Countdown
from appliance.controller.alarm.outages import Outage
from appliance.controller.alarm.panel import Panel
from appliance.controller.alarm.words import AlarmState, ArmMode, Presence

VERSION = 1
LATEST_NS = 253_000_000_000 * 10**9
"""In the year 9987: later ones cannot be written as a date."""
LARGEST = 100_000
"""Characters; a panel has a few thousand at most."""


class PanelFileError(ValueError):
    """The text holds no panel. Whether it was armed is not known: the household must be told."""


class NewerPanelFileError(PanelFileError):
    """The text is a newer version's, and may well be whole."""


class _Kept(BaseModel):
    """The file, in its order."""

    model_config = ConfigDict(strict=True, extra="forbid")

    version: Literal[1] = 1
    state: AlarmState
    mode: ArmMode | None
    next_mode: ArmMode | None
    since_ns: int = Field(ge=0)
    countdown: Countdown | None
    cause: Presence | None
    answered: list[str]
    told_blind: list[str]
    attempts: Attempts
    doubt: str = ""


def to_json(panel: Panel) -> str:
    """Return the text to keep."""
    return _Kept(
        state=panel.state,
        mode=panel.mode,
        next_mode=panel.next_mode,
        since_ns=panel.since_ns,
        countdown=panel.countdown,
        cause=panel.cause,
        answered=sorted(panel.answered),
        told_blind=list(panel.blind),
        attempts=panel.attempts,
        doubt=panel.doubt,
    ).model_dump_json()


def from_json(text: str) -> Panel:
    """Return the panel that was kept; at its next turn it finds out how much time has passed.

    NewerPanelFileError or PanelFileError where there is none to be had; the message says why.
    """
    if len(text) > LARGEST:
        raise PanelFileError(f"the kept alarm state is {len(text):,} characters long")
    _check_version(text)
    try:
        kept = _Kept.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise PanelFileError(f"the kept alarm state is broken: {place}: {first['msg']}") from None
    panel = Panel(
        state=kept.state,
        mode=kept.mode,
        next_mode=kept.next_mode,
        since_ns=kept.since_ns,
        countdown=kept.countdown,
        cause=kept.cause,
        answered=frozenset(kept.answered),
        outages=tuple(Outage(camera, 0, told=True) for camera in sorted(kept.told_blind)),
        attempts=kept.attempts,
        doubt=kept.doubt,
    )
    contradiction = _contradiction(panel)
    if contradiction:
        raise PanelFileError(f"the kept alarm state is broken: {contradiction}")
    return panel


def _check_version(text: str) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise PanelFileError("the kept alarm state is no JSON") from None
    version = value.get("version") if isinstance(value, dict) else None
    if type(version) is not int or version < 1:
        raise PanelFileError("the kept alarm state has no version")
    if version > VERSION:
        raise NewerPanelFileError(
            f"the alarm state was kept by a newer Porchlight (version {version}, this one reads {VERSION}): install "
            "that one again and give the file its name back, or go on without it"
        )


def _contradiction(panel: Panel) -> str:
    """Return what no panel ever is; empty where all agrees."""
    state, countdown = panel.state, panel.countdown
    if state.armed and (panel.mode is None or panel.mode.armed is not state):
        return f"{state} in mode {panel.mode}"
    if state is AlarmState.DISARMED and (panel.mode or countdown):
        return "disarmed, and on its way"
    if state in {AlarmState.ARMING, AlarmState.PENDING} and not (panel.mode and countdown):
        return f"{state} without a mode or an end"
    if state.armed and bool(countdown) is not bool(panel.next_mode):
        return f"{state} with half a way to another mode"
    if panel.next_mode and (not state.armed or panel.next_mode is panel.mode):
        return f"{state} on the way to mode {panel.next_mode}"
    if any(wait and wait.ends_ns <= wait.began_ns for wait in (countdown, panel.attempts.wait)):
        return "a wait that ends before it begins"
    waits = [wait for wait in (countdown, panel.attempts.wait) if wait]
    times = [panel.since_ns, *((panel.cause and [panel.cause.at_ns]) or [])]
    times += [at_ns for wait in waits for at_ns in (wait.began_ns, wait.ends_ns)]
    if not all(0 <= at_ns <= LATEST_NS for at_ns in times):
        return "a time that no clock shows"
    return "a count below 0" if panel.attempts.wrong < 0 else ""
