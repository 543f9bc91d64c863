"""The PIN: which ones may be set, and what is kept of them."""

from __future__ import annotations

import subprocess
import sys

import argon2
import pytest

from appliance.controller.alarm.pin import (
    LARGEST_KIB,
    BadPinError,
    BrokenPinHashError,
    check_pin,
    hash_pin,
    is_outdated,
    verify,
)

KEPT = "$argon2id$v=19$m=19456,t=2,p=1$5axXADXT669+nUSj6MCl0g$3+pNImyVbDOM7jnZh/sE2cQiqP9O/6x36CugOW3Y8SA"
"""Made once, with the parameters of this version: who updates keeps their PIN."""


def test_the_right_pin_is_right_and_others_are_wrong() -> None:
    assert verify(KEPT, "271828")
    for other in ("271829", "27182", "2718280", "0271828", " 271828", "271828\n", "", "2" * 33, "x" * 100_000):
        assert not verify(KEPT, other)


def test_text_that_can_be_no_pin_is_wrong() -> None:
    for other in ("2\u0667\u0661828", "\ud800", "\0", "two"):  # Arabic digits, half a character, ...
        assert not verify(KEPT, other)


def test_leading_zeros_are_part_of_the_pin() -> None:
    kept = hash_pin("0042")
    assert verify(kept, "0042")
    assert not verify(kept, "42")


def test_the_pin_is_not_in_what_is_kept_and_two_hashes_differ() -> None:
    assert "271828" not in KEPT
    assert hash_pin("271828") != KEPT
    assert hash_pin("271828").startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize("pin", ["2718", "0042", "1212", "1235", "9" * 31 + "1"])
def test_digits_that_are_no_first_guess_can_be_set(pin: str) -> None:
    check_pin(pin)


@pytest.mark.parametrize(
    ("pin", "why"),
    [
        ("", "digits 0 to 9"),
        ("271", "4 to 32 digits, this one has 3"),
        ("27182" * 7, "4 to 32 digits, this one has 35"),
        ("27a8", "digits 0 to 9"),
        ("27 8", "digits 0 to 9"),
        ("2718\n", "digits 0 to 9"),
        ("\u0662\u0667\u0661\u0668", "digits 0 to 9"),
        ("0000", "all digits are the same"),
        ("1234", "counted up or down"),
        ("7890", "counted up or down"),
        ("987654", "counted up or down"),
    ],
)
def test_a_pin_that_cannot_be_set_says_why_and_not_what(pin: str, why: str) -> None:
    with pytest.raises(BadPinError, match=why) as caught:
        hash_pin(pin)
    assert len(pin) < 4 or pin not in str(caught.value)


@pytest.mark.parametrize(
    "kept",
    ["", "2718", KEPT[:40], KEPT[:-3] + "!!!", KEPT.replace("$argon2id", "$argon9"), KEPT.replace("m=19456", "m=lots")],
)
def test_what_is_no_hash_is_not_taken_for_a_wrong_pin(kept: str) -> None:
    with pytest.raises(BrokenPinHashError):
        verify(kept, "271828")


def test_a_hash_that_would_eat_the_memory_is_refused_unread() -> None:
    with pytest.raises(BrokenPinHashError, match="4096 MiB"):
        verify(KEPT.replace("m=19456", f"m={LARGEST_KIB * 64}"), "271828")


def test_a_hash_with_other_parameters_is_right_and_outdated() -> None:
    older = argon2.PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash("271828")
    assert verify(older, "271828")
    assert is_outdated(older)
    assert not is_outdated(KEPT)


@pytest.mark.parametrize(("typed", "code"), [("2580\n", 0), ("1234\n", 2), ("", 2)])
def test_the_command_prints_the_hash_that_the_settings_take(typed: str, code: int) -> None:
    command = [sys.executable, "-m", "appliance.cli", "pin"]
    done = subprocess.run(command, input=typed, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == code
    if code:
        assert (done.stdout, "2580" in done.stderr) == ("", False)
    else:
        assert verify(done.stdout.strip(), "2580")
