"""Fixtures for whatever needs real parts, and the figures that tests have measured, printed at the end."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.rig import Appliance, Broker, Ear, absent_parts

# Unit tests assert no times. A gate looks at the same examples each time (SAME_EXAMPLES): that one of them fails is
# found by whoever makes the change, and not by whoever comes next.
settings.register_profile("ours", deadline=None, derandomize=bool(os.environ.get("SAME_EXAMPLES")))
settings.load_profile("ours")

_FIGURES = pytest.StashKey[list[str]]()
_LEFT_OUT = pytest.StashKey[list[str]]()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A real mosquitto."""
    one = Broker(tmp_path)
    one.start()
    yield one
    one.stop()


@pytest.fixture
def ear(broker: Broker) -> Iterator[Ear]:
    """Hears all that is said on the broker."""
    one = Ear(broker.port)
    yield one
    one.close()


@pytest.fixture
def appliance(tmp_path: Path) -> Iterator[Callable[[dict[str, Any]], Appliance]]:
    """Starts appliances with the settings given; ends them."""
    made: list[Appliance] = []

    def start(settings: dict[str, Any]) -> Appliance:
        folder = tmp_path / f"appliance{len(made)}"
        folder.mkdir()
        made.append(Appliance(folder, settings))
        made[-1].start()
        return made[-1]

    yield start
    for one in made:
        one.close()
        print(one.log_text())  # pytest shows it where the test failed


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Notes a measured figure: it is printed after the tests."""
    figures = request.config.stash.setdefault(_FIGURES, [])

    def note(what: str, value: str) -> None:
        figures.append(f"{what}: {value}")

    return note


def pytest_deselected(items: list[pytest.Item]) -> None:
    if items:
        left_out = items[0].config.stash.setdefault(_LEFT_OUT, [])
        left_out.extend(item.nodeid for item in items if item.get_closest_marker("real"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if figures := config.stash.get(_FIGURES, []):
        terminalreporter.section("measured")
        for line in figures:
            terminalreporter.line(line)
    if left_out := config.stash.get(_LEFT_OUT, []):
        terminalreporter.section("real parts")
        terminalreporter.line(
            f"{len(left_out)} tests that need real parts were left out; ./script/check --real runs them."
        )
        absent = absent_parts()
        terminalreporter.line("Absent on this machine: " + (", ".join(absent) if absent else "none of them") + ".")
