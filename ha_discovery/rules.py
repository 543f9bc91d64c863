"""What one key may hold, and the error that says so. Rules between keys stand with the classes."""

import codecs
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args, get_origin
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


class DiscoveryError(ValueError):
    """Found before it is published: what Home Assistant would refuse, drop in silence or warn about.

    `where` names the entity (or device, origin, payload), `key` the key, `wrong` what it holds and `right`
    what to do.
    """

    def __init__(self, where: str, key: str, wrong: str, right: str) -> None:
        super().__init__(where, key, wrong, right)
        self.where, self.key, self.wrong, self.right = where, key, wrong, right

    def __str__(self) -> str:
        return f"{self.where}: {self.key} {self.wrong}; {self.right}"


class Complaint(NamedTuple):
    wrong: str
    right: str


Rule = Callable[[Any], Complaint | None]

_IDENTIFIER = re.compile(r"[a-zA-Z0-9_-]+")
_ICON = re.compile(r"[a-z0-9_-]+:[a-z0-9_-]+")
_ENTITY_ID = re.compile(r"[a-z_]+\.[a-z0-9]+(_[a-z0-9]+)*")
_NOT_IN_A_TOPIC = re.compile(r"[\s+#\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff\ud800-\udfff]")
_NOT_UTF_8 = re.compile(r"[\ud800-\udfff]")
_TOPIC_BYTES = 65535  # MQTT's own limit of a string
_SMALLEST_STEP = 0.001


def identifier_rule(text: str) -> Complaint | None:
    if _IDENTIFIER.fullmatch(text):
        return None
    return Complaint(f"is {text!r}", "use letters, digits, '_' and '-' only, at least one of them")


def topic_rule(text: str) -> Complaint | None:
    if found := _NOT_IN_A_TOPIC.search(text):
        right = "name one topic, with no wildcard, space or control character"
        return Complaint(f"{text!r} has {found[0]!r} in it", right)
    if not text or len(text.encode()) > _TOPIC_BYTES:
        return Complaint(f"is {len(text.encode())} bytes long", f"use 1 to {_TOPIC_BYTES} bytes")
    return None


def _text(text: str) -> Complaint | None:
    if _NOT_UTF_8.search(text):
        return Complaint(f"{text!r} cannot be written as UTF-8", "use whole characters")
    if not text.strip():
        return Complaint("is empty", "give it some text, or leave it out where it is optional")
    return None


def _texts(values: tuple[Any, ...]) -> Complaint | None:
    if not values:
        return Complaint("is empty", "list at least one")
    if len(set(values)) < len(values):
        return Complaint(f"lists one twice: {', '.join(values)}", "list each once")
    return next((complaint for value in values if (complaint := _text(value))), None)


def _icon(text: str) -> Complaint | None:
    return None if _ICON.fullmatch(text) else Complaint(f"is {text!r}", "write prefix:name, such as mdi:walk")


def _entity_id(text: str) -> Complaint | None:
    if _ENTITY_ID.fullmatch(text):
        return None
    return Complaint(f"is {text!r}", "write platform.some_name in lower case, such as camera.front_door")


def _url(*schemes: str) -> Rule:
    right = f"write a whole address that begins with {' or '.join(schemes)}"

    def check(text: str) -> Complaint | None:
        try:
            parts = urlsplit(text)
        except ValueError:  # a bracket left open
            return Complaint(f"is {text!r}", right)
        whole = parts.scheme in schemes and parts.netloc and text.isprintable() and " " not in text
        return None if whole else Complaint(f"is {text!r}", right)

    return check


def _encoding(name: str) -> Complaint | None:
    try:
        codecs.lookup(name or "utf-8")
    except (LookupError, ValueError):
        return Complaint(f"is {name!r}", "name a codec such as utf-8, or '' for bytes as they come")
    return None


def _whole(least: int, most: int | None = None) -> Rule:
    def check(number: int) -> Complaint | None:
        if number >= least and (most is None or number <= most):
            return None
        return Complaint(f"is {number}", f"use {least} or more" if most is None else f"use {least} to {most}")

    return check


def _number(value: float) -> Complaint | None:
    return None if math.isfinite(value) else Complaint(f"is {value}", "use a finite number")


def _step(value: float) -> Complaint | None:
    if math.isfinite(value) and value >= _SMALLEST_STEP:
        return None
    return Complaint(f"is {value}", f"use {_SMALLEST_STEP} or more")


_web = _url("http", "https")
_link = _url("http", "https", "homeassistant")

_RULES: Final[Mapping[str, Rule]] = {
    "unique_id": identifier_rule,
    "object_id": identifier_rule,
    "default_entity_id": _entity_id,
    "icon": _icon,
    "entity_picture": _web,
    "release_url": _web,
    "support_url": _link,
    "configuration_url": _link,
    "encoding": _encoding,
    "identifiers": _texts,
    "event_types": _texts,
    "options": _texts,
    "supported_features": _texts,
    "qos": _whole(0, 2),
    "expire_after": _whole(1),
    "off_delay": _whole(0),
    "suggested_display_precision": _whole(0),
    "display_precision": _whole(0),
    "min": _number,
    "max": _number,
    "step": _step,
}


def check(where: str, instance: "DataclassInstance") -> None:
    """Raise DiscoveryError for the first field of this dataclass whose type or value no payload may have."""
    for field in fields(instance):
        value = getattr(instance, field.name)
        if not _suits(value, field.type):
            wrong = f"is {value!r}, a {type(value).__name__}"
            raise DiscoveryError(where, field.name, wrong, f"use {_spelled(field.type)}")
        if complaint := _complaint(field, value):
            raise DiscoveryError(where, field.name, *complaint)


def demand(held: bool, where: str, key: str, wrong: str, right: str) -> None:
    """Raise DiscoveryError unless the rule held."""
    if not held:
        raise DiscoveryError(where, key, wrong, right)


def _complaint(field: "Field[Any]", value: Any) -> Complaint | None:
    if value is None:
        return None
    rule = _RULES.get(field.name) or (topic_rule if field.name.endswith("topic") else None)
    if rule:
        return rule(value)
    return _text(value) if type(value) is str else None


def _suits(value: object, kind: Any) -> bool:
    """Tell whether the value is of that type; a bool is no number, an int will do for a float."""
    origin = get_origin(kind)
    if origin is UnionType:
        return any(_suits(value, each) for each in get_args(kind))
    if origin is tuple:
        return isinstance(value, tuple) and all(_suits(each, get_args(kind)[0]) for each in value)
    if kind in {int, float}:
        return isinstance(value, int | kind) and not isinstance(value, bool)
    return isinstance(value, origin or kind)


def _spelled(kind: Any) -> str:
    if get_origin(kind) is UnionType:
        return " or ".join(_spelled(each) for each in get_args(kind))
    if get_origin(kind) is tuple:
        return f"a tuple of {_spelled(get_args(kind)[0])}"
    return "None" if kind is NoneType else getattr(kind, "__name__", str(kind))
