"""A live camera through the capture stage: always drained, fresh after a change of pace, named and reopened."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from appliance.capture import service
from appliance.config import Camera
from appliance.messages import Health, Mode
from tests.capture.clips import jpeg, noise
from tests.capture.odd_camera import MULTIPART, OddCamera, head, part, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.capture.conftest import Running
    from tests.capture.odd_camera import Call

    Start = Callable[[Camera], Running]

PICTURES = [jpeg(noise(seed)) for seed in range(40)]


def camera(odd: OddCamera, **settings: Any) -> Camera:
    return Camera(id="porch", source=odd.url(), **{"standby_fps": 0.2, "stall_seconds": 30, **settings})


def one_at_a_time(call: Call) -> None:
    """Send a picture each time that the test says so."""
    call.send(MULTIPART)
    for picture in PICTURES:
        call.wait_for_turn()
        call.send(part(picture))
    call.hold()


@pytest.fixture
def street() -> Iterator[Callable[[Callable[[Call], None]], OddCamera]]:
    with contextlib.ExitStack() as stack:

        def opened(script: Callable[[Call], None]) -> OddCamera:
            odd = OddCamera(script)
            stack.callback(odd.close)
            return odd

        yield opened


def captured(running: Running) -> float:
    return running.pulse.counters.get("frames_captured", 0)


def show(odd: OddCamera, running: Running, count: int) -> None:
    """Let the camera send so many pictures, and wait until capture has taken them all."""
    for _ in range(count):
        target = captured(running) + 1
        odd.turns.release()
        until(partial(_has_captured, running, target))


def alarm(running: Running) -> None:
    """Ask for every frame, again and again as the controller does: capture may only just sit down."""

    def heard() -> bool:
        running.house.answer(mode=Mode.ALARMED)
        return running.pulse.facts.get("mode") == "alarmed"

    until(heard)


def _has_captured(running: Running, count: float) -> bool:
    return captured(running) >= count


def test_what_is_not_published_is_taken_all_the_same_and_the_first_frame_of_an_alarm_is_a_fresh_one(
    capturing: Start, street: Callable[..., OddCamera]
) -> None:
    odd = street(one_at_a_time)
    running = capturing(camera(odd))
    show(odd, running, 10)
    first = running.house.next()
    assert first is not None
    assert first[1] == PICTURES[0]
    assert running.house.next(0.1) is None  # standby: one in five seconds

    alarm(running)
    show(odd, running, 1)
    fresh = running.house.next()
    assert fresh is not None
    assert (fresh[0].frame_number, fresh[1]) == (11, PICTURES[10])  # the very next one, and none of the nine before


def test_while_alarmed_every_frame_is_published(capturing: Start, street: Callable[..., OddCamera]) -> None:
    odd = street(one_at_a_time)
    running = capturing(camera(odd))
    alarm(running)
    for number in range(20):
        odd.turns.release()
        found = running.house.next()
        assert found is not None
        assert found[1] == PICTURES[number]


def test_a_camera_that_falls_silent_is_named_closed_and_opened_again(
    capturing: Start, street: Callable[..., OddCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REOPEN_FIRST_S", 0.05)

    def falls_silent(call: Call) -> None:
        call.send(MULTIPART, part(PICTURES[0]), part(PICTURES[1]))
        call.hold()

    odd = street(falls_silent)
    running = capturing(camera(odd, stall_seconds=0.5))
    running.heard.until(Health.RUNNING, Health.FAILED, Health.STARTING, Health.RUNNING)
    assert "no picture for 0.5 s" in running.heard.reasons
    assert len(odd.calls) >= 2


def test_a_camera_whose_pictures_are_all_broken_is_named_so(
    capturing: Start, street: Callable[..., OddCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "CONNECT_S", 0.0)

    def spoilt(call: Call) -> None:
        call.send(MULTIPART, part(PICTURES[0][:300]), part(PICTURES[1][:300]), part(PICTURES[2][:300]))
        call.hold()

    odd = street(spoilt)
    running = capturing(camera(odd, stall_seconds=1.0))
    until(lambda: any("came that could not be used" in reason for reason in running.heard.reasons))
    assert Health.FAILED in running.heard.healths


def test_a_camera_that_refuses_is_named_and_asked_again_and_again(
    capturing: Start, street: Callable[..., OddCamera], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "REOPEN_FIRST_S", 0.05)
    refusals = iter(range(3))

    def refuses_at_first(call: Call) -> None:
        if next(refusals, None) is not None:
            call.send(head("Content-Length: 0", status="503 Service Unavailable"))
            return
        one_at_a_time(call)

    odd = street(refuses_at_first)
    running = capturing(camera(odd))
    running.heard.until(Health.FAILED)
    for _ in range(4):
        odd.turns.release()
    running.heard.until(Health.FAILED, Health.STARTING, Health.RUNNING)
    assert len(odd.calls) == 4
    assert any("503" in reason for reason in running.heard.reasons)


def test_broken_pictures_are_counted_and_the_others_go_on(capturing: Start, street: Callable[..., OddCamera]) -> None:
    def damaged(call: Call) -> None:
        call.send(MULTIPART, part(PICTURES[0]), part(PICTURES[1][:200]), part(b"no picture at all"), part(PICTURES[2]))
        call.send(part(PICTURES[3]))
        call.hold()

    odd = street(damaged)
    running = capturing(camera(odd))
    alarm(running)
    until(lambda: captured(running) >= 1)
    until(lambda: running.pulse.counters.get("unusable.broken", 0) >= 1)
    running.heard.until(Health.RUNNING)


def test_a_stop_does_not_wait_for_a_camera_that_says_nothing(
    capturing: Start, street: Callable[..., OddCamera]
) -> None:
    odd = street(lambda call: call.hold())
    running = capturing(camera(odd))
    odd.until_called(1)
    running.end()
