"""When somebody counts as there: for all cameras, and where one camera differs."""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from appliance.config.kinds import ClassNames, Section
from appliance.config.problem import BadSettingError

Observations = Annotated[int, Field(strict=True, ge=1, le=30)]
Window = Annotated[float, Field(strict=True, ge=0.1, le=60)]
ClearSeconds = Annotated[float, Field(strict=True, ge=0, le=3600)]
ClearObservations = Annotated[int, Field(strict=True, ge=1, le=300)]
Share = Annotated[float, Field(strict=True, ge=0, le=1)]
Threshold = Annotated[float, Field(strict=True, ge=0.05, le=0.99)]


class Sentry(Section):
    """What counts as somebody, when they count as there, and when as gone."""

    classes: ClassNames = Field(
        default=("person",),
        description="What counts as somebody: names of classes that the model knows, such as person, dog, car.",
    )
    min_height: Share = Field(
        default=0.0,
        description="The smallest height of somebody who counts, as a share of the picture's. More: nobody far away.",
    )
    max_height: Share = Field(
        default=1.0,
        description="The largest height of somebody who counts, as a share of the picture's. Less: no spider on it.",
    )
    confirm_observations: Observations = Field(
        default=3,
        description="Sightings that it takes to believe in somebody. More: fewer false alarms, later ones.",
    )
    confirm_seconds: Window = Field(default=2.0, description="Seconds within which those sightings must fall.")
    clear_seconds: ClearSeconds = Field(
        default=3.0,
        description="Seconds without a sighting before somebody counts as gone. More: fewer repeated events.",
    )
    clear_observations: ClearObservations = Field(
        default=5,
        description="Frames without a sighting that it takes as well before somebody counts as gone.",
    )

    @field_validator("max_height")
    @classmethod
    def _is_above_the_least(cls, value: float, info: ValidationInfo) -> float:
        check_heights(info.data.get("min_height", 0.0), value)
        return value


class CameraSentry(Section):
    """What differs for one camera. null: as for all cameras."""

    threshold: Threshold | None = Field(
        default=None, description="The score from which somebody counts. null: as model.threshold says."
    )
    classes: ClassNames | None = Field(default=None, description="What counts as somebody. null: as for all cameras.")
    min_height: Share | None = Field(
        default=None, description="The smallest height that counts, of the picture's. null: as for all cameras."
    )
    max_height: Share | None = Field(
        default=None, description="The largest height that counts, of the picture's. null: as for all cameras."
    )
    confirm_observations: Observations | None = Field(
        default=None, description="Sightings to believe in somebody. null: as for all cameras."
    )
    confirm_seconds: Window | None = Field(
        default=None, description="Seconds within which they must fall. null: as for all cameras."
    )
    clear_seconds: ClearSeconds | None = Field(
        default=None, description="Seconds without a sighting until gone. null: as for all cameras."
    )
    clear_observations: ClearObservations | None = Field(
        default=None, description="Frames without a sighting until gone. null: as for all cameras."
    )

    def over(self, common: Sentry) -> Sentry:
        """Return `common` with what differs here."""
        own = {name: value for name in Sentry.model_fields if (value := getattr(self, name)) is not None}
        return common.model_copy(update=own)


def check_heights(least: float, most: float) -> None:
    """Raise BadSettingError unless something can lie between the two."""
    if least >= most:
        raise BadSettingError(f"is {most:g}, not above min_height {least:g}", "let max_height be the larger one")
