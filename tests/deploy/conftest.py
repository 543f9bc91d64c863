"""The image, built once for all tests that run it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.deploy.container import Box, Engine, engine
from tests.deploy.in_image import DEMO_MODEL
from tests.end_to_end.conftest import browser, listening

__all__ = ["browser", "listening"]


@pytest.fixture(scope="session")
def built() -> Iterator[tuple[Engine, float]]:
    with engine() as one:
        yield one


@pytest.fixture(scope="session")
def image(built: tuple[Engine, float]) -> Engine:
    return built[0]


@pytest.fixture(scope="session")
def model(image: Engine) -> str:
    """The demo's detector, where it lies in the image."""
    code, path = image.run("-c", DEMO_MODEL, entrypoint="python")
    assert code == 0, path
    return path.strip()


@pytest.fixture
def start(image: Engine) -> Iterator[Callable[..., Box]]:
    """Starts containers; removes them, with what they said."""
    made: list[Box] = []

    def begin(*command: str, **options: Any) -> Box:
        made.append(image.start(*command, **options))
        return made[-1]

    yield begin
    for box in reversed(made):  # whoever shares another one's namespace goes first
        box.remove()
