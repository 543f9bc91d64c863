"""A card that is none in a process of its own, and what is to happen to it.

Put this folder and the repository's root into PYTHONPATH. The variable CARD_DOUBLE says what happens at which call, by
CuPy's and TensorRT's names: `lost@launch:20` (at the 20th: that call and all later ones fail),
`hang@execute_async_v3:20`, `abort@Builder`; empty: it works.
"""

from __future__ import annotations

import os
import time

from tests.inference.gpu.card import Card, by_opencv


class FaultyCard(Card):
    def call(self, name: str) -> None:
        what, _, where = os.environ.get("CARD_DOUBLE", "").partition("@")
        where, _, number = where.partition(":")
        if name == where and self.calls.count(name) + 1 == int(number or 1):
            if what == "abort":
                os.abort()
            if what == "hang":
                time.sleep(3600)
            if what == "lost":
                self.fails_at = len(self.calls)
        super().call(name)


CARD = FaultyCard(by_opencv)
