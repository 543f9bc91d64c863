"""What is said to the alarm panel and by it: commands, codes, what the cameras see; states and events; its settings.

The values are Home Assistant's own words where it has one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class AlarmState(StrEnum):
    DISARMED = "disarmed"
    ARMING = "arming"
    ARMED_HOME = "armed_home"
    ARMED_AWAY = "armed_away"
    ARMED_NIGHT = "armed_night"
    PENDING = "pending"
    TRIGGERED = "triggered"

    @property
    def armed(self) -> bool:
        return self in _ARMED


_ARMED = frozenset({AlarmState.ARMED_HOME, AlarmState.ARMED_AWAY, AlarmState.ARMED_NIGHT})


class ArmMode(StrEnum):
    HOME = "home"
    AWAY = "away"
    NIGHT = "night"

    @property
    def armed(self) -> AlarmState:
        """The state that the panel is in when it is armed in this mode."""
        return AlarmState(f"armed_{self}")


class Command(StrEnum):
    ARM_HOME = "ARM_HOME"
    ARM_AWAY = "ARM_AWAY"
    ARM_NIGHT = "ARM_NIGHT"
    DISARM = "DISARM"
    TRIGGER = "TRIGGER"

    @property
    def mode(self) -> ArmMode | None:
        """The mode that the command arms; None where it arms none."""
        return _MODES.get(self)


_MODES = {Command.ARM_HOME: ArmMode.HOME, Command.ARM_AWAY: ArmMode.AWAY, Command.ARM_NIGHT: ArmMode.NIGHT}


class Code(Enum):
    """What became of the code that came with a command. Checking takes a while and is done elsewhere."""

    RIGHT = auto()
    WRONG = auto()
    MISSING = auto()
    """None was given."""
    UNCHECKED = auto()
    """One was given and not looked at: the panel said that there is a wait, or the PIN's hash cannot be read."""
    NO_PIN = auto()
    """The owner has set no PIN: nothing needs a code."""


class Refusal(StrEnum):
    """Why a command was not obeyed."""

    WRONG_CODE = "wrong_code"
    NO_CODE = "no_code"
    LOCKED_OUT = "locked_out"
    """There were too many wrong ones; the code was not looked at."""
    UNCHECKED = "unchecked"
    """The code could not be looked at."""
    ALARM = "alarm"
    """Nothing is armed while an alarm is pending or triggered: that would silence it."""
    NOTHING_COUNTS = "nothing_counts"
    """The settings name no place that counts in this mode."""


class EventKind(StrEnum):
    DISARMED = "disarmed"
    ARMING = "arming"
    ARMED = "armed"
    PENDING = "pending"
    TRIGGERED = "triggered"
    REJECTED_CODE = "rejected_code"
    FAILED_TO_ARM = "failed_to_arm"
    BLIND = "blind"


@dataclass(frozen=True, slots=True)
class Presence:
    """Somebody is there: the sentry of a camera, or of one of its zones, is tracking. The facts are of its entering."""

    camera: str
    zone: str | None = None
    at_ns: int = 0
    """Wall time of the frame that decided."""
    confidence: float = 0.0
    incident: str = ""
    trace: str = ""
    """W3C traceparent of the decision; empty where nothing is traced."""

    @property
    def place(self) -> str:
        """As the settings name it: front_door, or front_door/driveway."""
        return self.camera if self.zone is None else f"{self.camera}/{self.zone}"


@dataclass(frozen=True, slots=True)
class Scene:
    """All that the cameras say at one moment: who is there, and which cameras cannot be believed, each with the reason.

    A camera that is in neither says that nobody is there, so one that has not been heard yet belongs to the blind ones.
    Whoever is in a camera's zone is in the camera's own presence as well.
    """

    present: tuple[Presence, ...] = ()
    blind: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AlarmEvent:
    """Something happened. `state` and `previous` differ where the panel's state changed.

    `mode` is the one that is gone to, armed in, or just disarmed; `command` what was asked for, None where time or the
    cameras brought it about; `cause` the sighting behind a pending or triggered alarm; `camera` the one that is blind,
    and `reason` why; with a refusal, `reason` is a `Refusal`. `wait_s` is how long this lasts: the delay, the alarm (0:
    until somebody ends it), the wait until a code is looked at again.
    """

    kind: EventKind
    at_ns: int
    state: AlarmState
    previous: AlarmState
    mode: ArmMode | None = None
    command: Command | None = None
    cause: Presence | None = None
    camera: str | None = None
    reason: str = ""
    wait_s: float = 0.0


class ArmModeSettings(Protocol):
    """What the panel takes from config.yaml for one mode.

    `counts` are the places that do, `front_door` or `front_door/driveway`; None: every camera.
    """

    @property
    def counts(self) -> tuple[str, ...] | None: ...
    @property
    def exit_delay_seconds(self) -> float: ...
    @property
    def entry_delay_seconds(self) -> float: ...


class AlarmSettings(Protocol):
    """What the panel takes from config.yaml. `trigger_seconds` is above 0."""

    @property
    def home(self) -> ArmModeSettings: ...
    @property
    def away(self) -> ArmModeSettings: ...
    @property
    def night(self) -> ArmModeSettings: ...
    @property
    def trigger_seconds(self) -> float: ...
    @property
    def after_trigger(self) -> Literal["rearm", "disarm", "stay"]: ...
    @property
    def blind_seconds(self) -> float: ...
    @property
    def code_to_arm(self) -> bool: ...
    @property
    def code_to_disarm(self) -> bool: ...
    @property
    def code_to_trigger(self) -> bool: ...


def camera_of(place: str) -> str:
    """Return the camera of a place."""
    return place.partition("/")[0]


def mode_settings(settings: AlarmSettings, mode: ArmMode) -> ArmModeSettings:
    """Return the settings of one mode."""
    match mode:
        case ArmMode.HOME:
            return settings.home
        case ArmMode.AWAY:
            return settings.away
        case ArmMode.NIGHT:
            return settings.night


def counts(mode: ArmModeSettings, presence: Presence) -> bool:
    """Return whether this presence is an alarm in this mode. Where every camera counts, its zones add nothing."""
    if mode.counts is None:
        return presence.zone is None
    return presence.place in mode.counts


def watches(mode: ArmModeSettings, camera: str) -> bool:
    """Return whether this mode relies on the camera, for all of its picture or for a zone."""
    return mode.counts is None or any(camera_of(place) == camera for place in mode.counts)


def leaves_out(mode: ArmModeSettings, other: ArmModeSettings) -> bool:
    """Return whether anything counts in `other` that does not in `mode`."""
    if mode.counts is None:
        return False
    return other.counts is None or not all(_covered(place, mode.counts) for place in other.counts)


def _covered(place: str, places: tuple[str, ...]) -> bool:
    """A camera covers its zones."""
    return place in places or camera_of(place) in places
