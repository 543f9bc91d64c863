"""What all components have in common."""

from dataclasses import dataclass
from typing import Any, ClassVar

from .device import Availability, availability_keys, check_availability
from .quantities import SensorDeviceClass
from .rules import check, demand
from .vocabulary import BY_DEVICE_CLASS, AvailabilityMode, EntityCategory, Naming, Platform
from .wire import keys_and_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Component:
    """One entry of a device's `components`."""

    platform: ClassVar[Platform]

    def __post_init__(self) -> None:
        check(self.where, self)
        self._check_shared()
        self._check()

    @property
    def where(self) -> str:
        """Name the component in an error."""
        raise NotImplementedError

    def _check_shared(self) -> None:
        """Raise DiscoveryError where keys that all components of this kind have do not go together."""

    def _check(self) -> None:
        """Raise DiscoveryError where this platform's own keys do not go together."""

    def _demand(self, held: bool, key: str, wrong: str, right: str) -> None:
        demand(held, self.where, key, wrong, right)

    def component(self) -> dict[str, Any]:
        """Return what stands under this component's key in the payload."""
        return {"platform": self.platform.value, **keys_and_values(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity(Component):
    """The keys that every entity takes.

    `name` is the entity's own, without the device's. None makes it the device's main entity, which carries
    the device's name alone. Left out, the device class names it, in the user's language.

    `availability` left out is the device's; a tuple of its own replaces that, and () makes it always
    available, as a "connected" sensor has to be.

    `default_entity_id` is known to newer versions only, 2025.4 drops it in silence. `encoding` is that of
    states and attributes, never of pictures.
    """

    unique_id: str
    name: str | Naming | None = BY_DEVICE_CLASS
    entity_category: EntityCategory | None = None
    enabled_by_default: bool = True
    icon: str | None = None
    entity_picture: str | None = None
    availability: tuple[Availability, ...] | None = None
    availability_mode: AvailabilityMode = AvailabilityMode.ALL
    json_attributes_topic: str | None = None
    json_attributes_template: str | None = None
    default_entity_id: str | None = None
    qos: int = 0
    encoding: str | None = None

    @property
    def where(self) -> str:
        return f"{self.platform} {self.unique_id!r}"

    def component(self) -> dict[str, Any]:
        words = {
            "platform": self.platform.value,
            **keys_and_values(self, without={"availability", "availability_mode"}),
        }
        if self.availability is not None:
            words |= availability_keys(self.availability, self.availability_mode)
        return words

    def _check_shared(self) -> None:
        if self.name is BY_DEVICE_CLASS:
            right = "give a name, or None if it is the device's main entity"
            self._demand(self._named_by_device_class(), "name", "is missing, and no device_class names it", right)
        check_availability(self.where, self.availability or ())
        self._needs("json_attributes_template", "json_attributes_topic")
        entity_id = self.default_entity_id
        ours = entity_id is None or entity_id.startswith(f"{self.platform}.")
        self._demand(ours, "default_entity_id", f"is {entity_id!r}", f"let it begin with {self.platform}.")

    def _named_by_device_class(self) -> bool:
        """Tell whether Home Assistant has a name for this entity without being told one."""
        return getattr(self, "device_class", None) not in {None, SensorDeviceClass.ENUM}

    def _needs(self, key: str, other: str) -> None:
        """Raise DiscoveryError where `key` is given and `other`, without which it does nothing, is not."""
        held = getattr(self, key) is None or getattr(self, other) is not None
        self._demand(held, key, f"does nothing without {other}", f"give {other} too, or leave {key} out")

    def _differ(self, *keys: str) -> None:
        """Raise DiscoveryError where two of these payloads are the same."""
        first: dict[str, str] = {}
        for key in keys:
            value = getattr(self, key)
            other = key if value is None else first.setdefault(value, key)
            self._demand(other == key, key, f"is {value!r}, and so is {other}", "let the two differ")
