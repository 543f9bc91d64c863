"""The alarm panel's settings."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator

from appliance.config.kinds import Hint, Section
from appliance.config.problem import BadSettingError

Place = Annotated[str, Field(pattern=r"^[a-z0-9_]+(/[a-z0-9_]+)?$", max_length=65)]
Places = Annotated[
    tuple[Place, ...],
    Field(min_length=1, max_length=100),
    Hint("a list of cameras and zones such as [front_door, garden/terrace]"),
]
Delay = Annotated[float, Field(strict=True, ge=0, le=600)]


class ArmMode(Section):
    """One way of being armed."""

    counts: Places | None = Field(
        default=None,
        description="Cameras, and zones as camera/zone, where somebody is an alarm. null: every camera.",
    )
    exit_delay_seconds: Delay = Field(default=30.0, description="Seconds to leave before it is armed.")
    entry_delay_seconds: Delay = Field(default=30.0, description="Seconds to disarm it before the alarm.")


class HomeMode(ArmMode):
    """Armed while somebody is at home."""

    exit_delay_seconds: Delay = Field(default=0.0, description="Seconds to leave before it is armed.")


class NightMode(ArmMode):
    """Armed while everybody sleeps."""

    entry_delay_seconds: Delay = Field(default=0.0, description="Seconds to disarm it before the alarm.")


class Alarm(Section):
    """The alarm panel."""

    pin: Annotated[SecretStr, Hint("the hash that `porchlight pin` prints")] | None = Field(
        default=None,
        description="The PIN's hash, as `porchlight pin` prints it; the PIN itself stands nowhere. null: none.",
    )
    code_to_arm: bool = Field(default=False, strict=True, description="Whether arming takes the PIN.")
    code_to_disarm: bool = Field(default=True, strict=True, description="Whether disarming takes the PIN.")
    code_to_trigger: bool = Field(default=False, strict=True, description="Whether an alarm by hand takes the PIN.")
    home: HomeMode = Field(default_factory=HomeMode, description="Armed while somebody is at home.")
    away: ArmMode = Field(default_factory=ArmMode, description="Armed while nobody is at home.")
    night: NightMode = Field(default_factory=NightMode, description="Armed while everybody sleeps.")
    trigger_seconds: float = Field(
        default=600.0, strict=True, ge=1, le=86400, description="Seconds that an alarm lasts."
    )
    after_trigger: Literal["rearm", "disarm", "stay"] = Field(
        default="rearm", description="What follows an alarm: armed as before, disarmed, or it lasts until disarmed."
    )
    blind_seconds: float = Field(
        default=10.0,
        strict=True,
        ge=0,
        le=3600,
        description="Seconds for which a camera may be blind while armed before that is told.",
    )

    @field_validator("pin")
    @classmethod
    def _is_hashed(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().startswith("$argon2id$"):
            raise BadSettingError("is not the hash of a PIN", "run `porchlight pin` and write what it prints")
        return value
