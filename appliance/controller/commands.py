"""What is asked of the appliance over MQTT. Anybody at the broker may write anything: it is understood, or refused.

A command is understood the way that Home Assistant sends it, and as somebody writes it by hand in an automation.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

from appliance.controller.alarm.words import Command
from appliance.controller.overlay import RANGES, Setting, Value, allowed

if TYPE_CHECKING:
    from collections.abc import Collection

    from appliance.controller.overlay import CameraChoices
    from appliance.controller.topics import Topics

LARGEST = 1000
"""Bytes of a command; Home Assistant's longest has about 60."""
PRESS = "PRESS"
ON, OFF = "ON", "OFF"

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_TELLABLE = re.compile(r"[A-Za-z0-9_.,%+ -]+")
_PIN_LIKE = re.compile(r"[0-9]{4}")
_WORD = re.compile(r"[A-Za-z_]{1,40}")
"""No PIN, which has digits only."""
_SHOWN = 24
_TOPIC_SHOWN = 80


class CommandRefusedError(ValueError):
    """Nothing was understood, so nothing is done. The text says what was wrong and what would be right, and no code."""


@dataclass(frozen=True, slots=True)
class AlarmCommand:
    """`code` as it was typed; None: none was."""

    command: Command
    code: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ChangeSetting:
    """`value` is one that the setting can have, in its own unit: a threshold is a share, 0 to 1."""

    camera: str
    setting: Setting
    value: Value


@dataclass(frozen=True, slots=True)
class Restart:
    """The appliance is to start anew."""


Asked: TypeAlias = AlarmCommand | ChangeSetting | Restart


def parse(topic: str, payload: bytes, retain: bool, topics: Topics, cameras: Collection[str]) -> Asked:
    """Return what a message asks for. CommandRefusedError, and nothing else, where it cannot be done."""
    try:
        return _parse(topic, payload, retain, topics, cameras)
    except _Wrong as wrong:
        raise CommandRefusedError(f"{_cut(topic, _TOPIC_SHOWN)}: {wrong}; nothing was done") from None


def in_words(setting: Setting, value: Value) -> str:
    """Return a setting's value as its topics have it: ON / OFF, a threshold in percent, seconds."""
    if setting not in RANGES:
        return ON if value else OFF
    number = Decimal(repr(value))
    return f"{(number.scaleb(2) if setting is Setting.THRESHOLD else number).normalize():f}"


def eases(asked: ChangeSetting, now: CameraChoices) -> bool:
    """Return whether less would be seen with this setting than now."""
    if asked.setting is Setting.DETECTION:
        return now.detection and not asked.value
    return asked.setting is Setting.THRESHOLD and asked.value > now.threshold


class _Wrong(Exception):  # noqa: N818 - leaves as a CommandRefusedError
    """What was wrong, and what would be right."""


def _parse(topic: str, payload: bytes, retain: bool, topics: Topics, cameras: Collection[str]) -> Asked:
    if len(payload) > LARGEST:
        raise _Wrong(f"{len(payload):,} bytes are no command, the longest has {LARGEST:,}")
    if retain:
        raise _Wrong("a retained command would be carried out again at every start; send it without the retain flag")
    if topic == topics.alarm_set:
        return _alarm(_text(payload))
    if topic == topics.restart_set:
        return _restart(_text(payload))
    named = topics.setting_of(topic)
    if named is None:
        raise _Wrong(f"this topic takes no commands; use one of {', '.join(topics.commands)}")
    camera, setting = named
    if camera not in cameras:
        known = f"the cameras are {', '.join(cameras)}" if cameras else "there is none"
        raise _Wrong(f"there is no camera {_cut(camera)}; {known}")
    if setting not in set(Setting):
        raise _Wrong(f"there is no setting {_cut(setting)}; use one of {', '.join(Setting)}")
    return ChangeSetting(camera, Setting(setting), _value(Setting(setting), _text(payload)))


def _text(payload: bytes) -> str:
    """Return the text without what an editor or a shell leaves around it."""
    try:
        text = payload.decode().strip(" \t\r\n")
    except UnicodeDecodeError as error:
        raise _Wrong(f"byte {error.start} is no UTF-8; send plain text") from None
    if not text:
        raise _Wrong("the message is empty; send a command")
    return text


def _restart(text: str) -> Restart:
    if _upper(text) != PRESS:
        raise _Wrong(f"{_told(text)} restarts nothing; send {PRESS}")
    return Restart()


def _value(setting: Setting, text: str) -> Value:
    if setting not in RANGES:
        if _upper(text) not in {ON, OFF}:
            raise _Wrong(f"{_told(text)} is neither {ON} nor {OFF}; send one of them")
        return _upper(text) == ON
    least, most = (in_words(setting, end) for end in RANGES[setting])
    unit = "percent" if setting is Setting.THRESHOLD else "seconds"
    if not _NUMBER.fullmatch(text):
        raise _Wrong(f"{_told(text)} is no number; send {least} to {most} {unit}, such as 50 or 7.5")
    # In decimals: 29 % is 0.29, as config.yaml would have it.
    number = Decimal(text)
    value = float(number.scaleb(-2) if setting is Setting.THRESHOLD else number)
    if not allowed(setting, value):
        raise _Wrong(f"{_told(text)} is out of range; send {least} to {most} {unit}")
    return abs(value)  # -0


def _alarm(text: str) -> AlarmCommand:
    """Whatever stands in the message may be a code that somebody put in the wrong place: only words are repeated."""
    if not text.startswith("{"):
        return AlarmCommand(_command(text))
    message = _object(text)
    if odd := message.keys() - {"action", "code"}:
        raise _Wrong(f"{_counted(len(odd))} not understood; send action, and code where one is needed")
    if "action" not in message:
        raise _Wrong(f"there is no action; send one of {', '.join(Command)}")
    return AlarmCommand(_command(message["action"]), _code(message.get("code")))


def _command(action: object) -> Command:
    right = f"send one of {', '.join(Command)}"
    if not isinstance(action, str) or not _WORD.fullmatch(action):
        raise _Wrong(f"the action is no word; {right}")
    try:
        return Command(action.upper())
    except ValueError:
        raise _Wrong(f"there is no action {_cut(action)}; {right}") from None


def _code(code: object) -> str | None:
    if isinstance(code, int | float) and not isinstance(code, bool):
        raise _Wrong("the code is a number, which has no leading zeros; write it as text, in quotes")
    if code is not None and not isinstance(code, str):
        raise _Wrong("the code is no text; write it in quotes, or null where there is none")
    # A keypad on which nothing was typed.
    return code or None


def _object(text: str) -> dict[str, Any]:
    try:
        return dict(json.loads(text, object_pairs_hook=_once, parse_constant=_no_number))
    except (ValueError, RecursionError):
        raise _Wrong('this is no JSON; send it as {"action": "DISARM", "code": "..."}') from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Which of two was meant, nobody can tell."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise _Wrong("a key stands twice; send each once")
    return members


def _no_number(_: str) -> NoReturn:
    raise _Wrong("NaN and Infinity are no JSON; send action, and code where one is needed")


def _upper(text: str) -> str:
    """Return the word in capitals; other alphabets have letters of which this makes ours."""
    return text.upper() if text.isascii() else text


def _told(text: str) -> str:
    """Return a value for the log, where it looks like one; four digits in a row may be a PIN in the wrong place."""
    is_value = _TELLABLE.fullmatch(text) and not _PIN_LIKE.search(text)
    return _cut(text) if is_value else f"what was sent ({len(text):,} characters)"


def _cut(text: str, most: int = _SHOWN) -> str:
    """Return the text for the log, on one line; an escaped letter takes up to ten."""
    shown = ascii(text[: most + 1])
    return shown if len(shown) <= most + 2 else f"{shown[:most]}..."


def _counted(keys: int) -> str:
    return "one key is" if keys == 1 else f"{keys} keys are"
