"""The PIN, kept as an Argon2id hash. Hashing and checking take about a tenth of a second and 19 MiB: in a thread."""

from __future__ import annotations

import re

import argon2

SHORTEST, LONGEST = 4, 32
_DIGITS = re.compile(r"[0-9]+")
_RUNS = ("01234567890123456789012345678901", "09876543210987654321098765432109")

# OWASP's smallest memory with two passes (19 MiB), RFC 9106's Argon2id; one lane, since the cores watch cameras.
_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
LARGEST_KIB = 64 * 1024
LONGEST_PASSES = 20
"""A hash that asks for more was not made here."""


class BadPinError(ValueError):
    """This PIN cannot be set; the message says why, and does not repeat it."""


class BrokenPinHashError(ValueError):
    """What was kept is no hash of a PIN."""


def check_pin(pin: str) -> None:
    """Raise BadPinError unless the PIN can be set: digits, since Home Assistant shows a keypad, and no first guess."""
    if not _DIGITS.fullmatch(pin):
        raise BadPinError("a PIN has only the digits 0 to 9: Home Assistant shows a keypad for it")
    if not SHORTEST <= len(pin) <= LONGEST:
        raise BadPinError(f"a PIN has {SHORTEST} to {LONGEST} digits, this one has {len(pin)}")
    if len(set(pin)) == 1:
        raise BadPinError("all digits are the same: that is what everybody tries first")
    if any(pin in run for run in _RUNS):
        raise BadPinError("the digits are just counted up or down: that is what everybody tries first")


def hash_pin(pin: str) -> str:
    """Return the hash to keep: salted, with its parameters in it. BadPinError where the PIN cannot be set."""
    check_pin(pin)
    return _HASHER.hash(pin)


def verify(kept: str, pin: str) -> bool:
    """Return whether the PIN is the one whose hash was kept. BrokenPinHashError where that is no hash.

    What can be no PIN is wrong without being hashed.
    """
    _parameters(kept)
    if not _DIGITS.fullmatch(pin) or not SHORTEST <= len(pin) <= LONGEST:
        return False
    try:
        return _HASHER.verify(kept, pin)
    except argon2.exceptions.VerifyMismatchError:
        return False
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError) as error:
        raise BrokenPinHashError("what was kept of the PIN cannot be read") from error


def check_hash(kept: str) -> None:
    """Raise BrokenPinHashError where what was kept is no hash that could be checked."""
    _parameters(kept)


def is_outdated(kept: str) -> bool:
    """Return whether the hash has other parameters than a new one would: hash the PIN again when it is next right."""
    _parameters(kept)
    return _HASHER.check_needs_rehash(kept)


def _parameters(kept: str) -> argon2.Parameters:
    try:
        parameters = argon2.extract_parameters(kept)
    except argon2.exceptions.InvalidHashError as error:
        raise BrokenPinHashError("what was kept of the PIN is no Argon2 hash") from error
    if not kept.isascii() or parameters.time_cost > LONGEST_PASSES:
        raise BrokenPinHashError("what was kept of the PIN was not made here")
    if parameters.memory_cost > LARGEST_KIB:
        raise BrokenPinHashError(f"what was kept of the PIN asks for {parameters.memory_cost >> 10} MiB to be checked")
    return parameters
