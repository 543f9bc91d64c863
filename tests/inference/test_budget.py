"""When one detector is too slow for its cameras, and in what words that is said."""

from __future__ import annotations

from appliance.inference.budget import WINDOW_S, Budget, Look


def looks(
    budget: Budget, camera: str, *gaps: float, kept: float = 1.0, took_s: float = 0.3, at_s: float = 0.0
) -> float:
    """Look after each of these gaps, of which the detector kept the camera waiting for a share; period a third."""
    for gap in gaps:
        at_s += gap
        budget.note(camera, Look(at_s, gap, gap * kept, gap / 2, 1 / 3, 0.3))
    return at_s


def test_a_budget_without_looks_is_enough() -> None:
    assert Budget().shortage() == ""


def test_looks_within_twice_the_period_are_enough() -> None:
    budget = Budget()
    looks(budget, "porch", *[0.66] * 50)
    assert budget.shortage() == ""


def test_a_camera_that_waits_longer_is_told_of_with_the_numbers() -> None:
    budget = Budget()
    looks(budget, "porch", *[0.3] * 20)
    looks(budget, "garden", 0.5, 0.9, 1.2, 0.9)
    assert budget.shortage() == (
        "the detector is too slow for 2 cameras: it takes 300 ms for a picture, and garden waited 1.2 s instead of "
        "0.3 s for a look; a smaller model, fewer cameras, or a lower standby_fps would do"
    )


def test_a_hiccup_is_no_shortage() -> None:
    budget = Budget()
    looks(budget, "porch", *[0.3] * 30, 2.0, 0.3, 2.0)
    assert budget.shortage() == ""


def test_a_camera_that_gives_no_frames_is_not_starved() -> None:
    budget = Budget()
    looks(budget, "porch", *[5.0] * 6, kept=0.1)
    assert budget.shortage() == ""


def test_what_is_long_ago_is_forgotten() -> None:
    budget = Budget()
    end = looks(budget, "porch", *[1.0] * 5)
    assert budget.shortage()
    looks(budget, "porch", *[0.3] * 5, at_s=end + WINDOW_S)
    assert budget.shortage() == ""


def test_a_camera_that_is_gone_is_forgotten() -> None:
    budget = Budget()
    looks(budget, "porch", *[1.0] * 5)
    budget.forget("porch")
    assert budget.shortage() == ""
    assert budget.queued_ms("porch") == 0


def test_the_queueing_delay_is_the_median_of_the_last_looks() -> None:
    budget = Budget()
    looks(budget, "porch", 0.2, 0.4, 9.0)
    assert budget.queued_ms("porch") == 200
