"""What can go wrong with a model on its way into the store; the text says what happened and what would help."""

from __future__ import annotations


class StoreError(Exception):
    """It did not work this time; another time it may."""


class CutError(StoreError):
    """The connection ended before the file did. What came is kept, and can be continued."""


class RefusedError(StoreError):
    """Trying again changes nothing: something else must be asked for, or allowed."""
