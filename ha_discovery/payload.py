"""From a device and its components to the one retained message that announces them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from .device import Availability, Device, Origin, availability_keys, check_availability
from .entity import Component, Entity
from .rules import DiscoveryError, check, demand, identifier_rule, topic_rule
from .sensing import DeviceTrigger
from .vocabulary import AvailabilityMode, Platform
from .wire import keys_and_values

_PLATFORMS = frozenset(platform.value for platform in Platform)


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePayload:
    """A device with its components, each under a key that never changes. Publish it retained with QoS 1.

    `availability` holds for every entity that has none of its own. `object_id`, the device's place in the
    topic, is its first identifier where it is None. `removed` names components of earlier announcements; see
    `removing`.
    """

    device: Device
    origin: Origin
    components: Mapping[str, Component]
    availability: tuple[Availability, ...] = ()
    availability_mode: AvailabilityMode = AvailabilityMode.ALL
    object_id: str | None = None
    removed: Mapping[str, Platform] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check(self._where, self)
        object.__setattr__(self, "components", MappingProxyType(dict(self.components)))
        object.__setattr__(self, "removed", MappingProxyType(dict(self.removed)))
        self._check_ids()
        self._check_components()
        self._check_unique()
        check_availability(self._where, self.availability)

    def topic(self, prefix: str = "homeassistant") -> str:
        """Return where to publish it; `prefix` is a setting of Home Assistant's MQTT integration."""
        if complaint := topic_rule(prefix):
            raise DiscoveryError(self._where, "prefix", *complaint)
        return f"{prefix}/device/{self._object_id}/config"

    def payload(self) -> dict[str, Any]:
        """Return the message as what JSON can hold: what is removed comes first, then components by key."""
        gone = {key: {"platform": platform.value} for key, platform in sorted(self.removed.items())}
        words: dict[str, Any] = {
            "device": keys_and_values(self.device),
            "origin": keys_and_values(self.origin),
        }
        if self.availability:
            words |= availability_keys(self.availability, self.availability_mode)
        there = {key: component.component() for key, component in sorted(self.components.items())}
        return {**words, "components": {**gone, **there}}

    def json(self) -> str:
        """Return the message's text: compact, and the same in whatever order the components were given."""
        return json.dumps(self.payload(), ensure_ascii=False, separators=(",", ":"), allow_nan=False)

    @property
    def _object_id(self) -> str:
        return self.device.identifiers[0] if self.object_id is None else self.object_id

    @property
    def _where(self) -> str:
        return f"payload of {getattr(self.device, 'name', self.device)!r}"

    def _check_ids(self) -> None:
        if complaint := identifier_rule(self._object_id):
            right = f"give the payload an object_id: {complaint.right}"
            raise DiscoveryError(self._where, "identifiers", f"begin with {self._object_id!r}", right)
        for key in (*self.components, *self.removed):
            if complaint := identifier_rule(key):
                raise DiscoveryError(self._where, "components", f"have the key {key!r}", complaint.right)

    def _check_components(self) -> None:
        for key, component in self.components.items():
            kind = type(component).__name__
            held = isinstance(component, Component)
            demand(held, self._where, key, f"is a {kind}", "use an entity or a device trigger")
            alone = key not in self.removed
            demand(alone, self._where, key, "is both there and removed", "let it be one of them")
        for key, platform in self.removed.items():
            held = isinstance(platform, Platform)
            demand(held, self._where, key, f"was {platform!r}, which is no Platform", "say what it was")

    def _check_unique(self) -> None:
        """Raise DiscoveryError where two components are one to Home Assistant, which keeps but the first."""
        seen: dict[tuple[str, ...], str] = {}
        for key, component in self.components.items():
            mark = _mark(component)
            other = seen.setdefault(mark, key)
            wrong = f"{mark[-1]!r} is also that of component {other!r}"
            demand(other == key, component.where, mark[0], wrong, "let each have its own")
        main = [key for key, each in self.components.items() if isinstance(each, Entity) and each.name is None]
        wrong = f"is None, the device's main entity, for all of {', '.join(main)}"
        demand(len(main) <= 1, self._where, "name", wrong, "name all but one of them")


def _mark(component: Component) -> tuple[str, ...]:
    """Return what no other component of the device may share with this one, the key first."""
    match component:
        case Entity():
            return ("unique_id", component.platform, component.unique_id)
        case DeviceTrigger():
            return ("subtype", component.type, component.subtype)
        case _:
            return ("platform", component.where)


def published(payload: DevicePayload) -> dict[str, str]:
    """Return what to remember after publishing: the components' keys and their platforms, fit for JSON."""
    return {key: component.platform.value for key, component in payload.components.items()}


def removing(payload: DevicePayload, before: Mapping[str, str]) -> DevicePayload:
    """Return what to publish once in place of `payload`, given what `published` said of an earlier one.

    Home Assistant keeps a component that is merely left out; this names the vanished ones as removed. A key
    that changed its platform is removed too, and comes back with the next announcement of `payload` itself.
    Where nothing vanished, it equals `payload`. A platform that Home Assistant does not have: DiscoveryError.
    """
    now = published(payload)
    vanished = {key: platform for key, platform in before.items() if now.get(key) != platform}
    for key, platform in vanished.items():
        where, wrong = f"published of {payload.device.name!r}", f"was {platform!r}, which is no platform"
        demand(platform in _PLATFORMS, where, key, wrong, "name the one it was published as")
    gone = {key: Platform(platform) for key, platform in vanished.items()}
    kept = {key: component for key, component in payload.components.items() if key not in gone}
    return replace(payload, components=kept, removed={**payload.removed, **gone})
