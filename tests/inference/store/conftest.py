"""A shop with a model, a store beside it, and a customer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from appliance.inference.store.shelf import Shelf
from tests.inference.store.customer import MODEL, Customer
from tests.inference.store.shop import Shop


@pytest.fixture
def shops() -> Iterator[Callable[..., Shop]]:
    """Opens shops; closes them."""
    opened: list[Shop] = []

    def open_shop(content: bytes = MODEL, **how: Any) -> Shop:
        opened.append(Shop(content, **how))
        return opened[-1]

    yield open_shop
    for shop in opened:
        shop.close()


@pytest.fixture
def shop(shops: Callable[..., Shop]) -> Shop:
    return shops(MODEL)


@pytest.fixture
def customer(tmp_path: Path) -> Customer:
    return Customer(Shelf(tmp_path / "models"))
