"""Fixtures of the telemetry tests: nothing of one test's OpenTelemetry is left for the next."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _an_sdk_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No variable is set, and the SDK's logger is afterwards what it was."""
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
    sdk = logging.getLogger("opentelemetry")
    handlers, propagate = sdk.handlers[:], sdk.propagate
    yield
    sdk.handlers[:], sdk.propagate = handlers, propagate
