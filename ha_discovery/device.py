"""The device, the program that announces it, and the topics that say whether it is there."""

from dataclasses import dataclass
from typing import Any

from .rules import DiscoveryError, check, demand
from .vocabulary import AvailabilityMode
from .wire import keys_and_values


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """What Home Assistant shows on the device's page.

    `identifiers` never change, or it becomes another device. `via_device` is an identifier of the device
    behind which this one lies; announce that one first. `suggested_area` counts at the first announcement
    only, and newer versions put it into the entity ids.
    """

    identifiers: tuple[str, ...]
    name: str
    manufacturer: str
    model: str
    sw_version: str
    hw_version: str | None = None
    serial_number: str | None = None
    configuration_url: str | None = None
    suggested_area: str | None = None
    via_device: str | None = None

    def __post_init__(self) -> None:
        where = f"device {self.name!r}"
        check(where, self)
        itself = self.via_device in self.identifiers
        demand(
            not itself,
            where,
            "via_device",
            f"is {self.via_device!r}, the device itself",
            "name the one it lies behind",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The program that publishes: Home Assistant names it in its log."""

    name: str
    sw_version: str
    support_url: str

    def __post_init__(self) -> None:
        check(f"origin {self.name!r}", self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Availability:
    """One topic that says whether something is there; retain what is published on it."""

    topic: str
    payload_available: str = "online"
    payload_not_available: str = "offline"
    value_template: str | None = None

    def __post_init__(self) -> None:
        where = f"availability {self.topic!r}"
        check(where, self)
        differ = self.payload_available != self.payload_not_available
        demand(differ, where, "payload_not_available", "is also payload_available", "let the two differ")


def check_availability(where: str, availability: tuple[Availability, ...]) -> None:
    """Raise DiscoveryError where a topic stands twice: Home Assistant would keep the last one only."""
    topics = [each.topic for each in availability]
    for topic in topics:
        if topics.count(topic) > 1:
            raise DiscoveryError(
                where, "availability", f"has the topic {topic!r} twice", "let each process have its own"
            )


def availability_keys(availability: tuple[Availability, ...], mode: AvailabilityMode) -> dict[str, Any]:
    """Return `availability`, and its mode where there is any: Home Assistant's own default is `latest`."""
    topics = {"availability": [keys_and_values(each) for each in availability]}
    return {**topics, "availability_mode": mode.value} if availability else topics
