"""Whoever wants a model: gets the shop's file into a store, and hears what is said meanwhile."""

from __future__ import annotations

import io
from typing import Any

from appliance.inference.store.get import Wish, get
from appliance.inference.store.progress import Progress
from appliance.inference.store.record import Record
from appliance.inference.store.shelf import Shelf
from appliance.inference.store.source import Hub, source
from appliance.inference.store.web import Patience
from tests.inference.onnx_maker import model, rows

MODEL = model(rows([(7, (0.5, 0.5, 0.2, 0.4), 1, 2.0)]))
OTHER = model(rows([(8, (0.4, 0.5, 0.2, 0.4), 1, 3.0)]))
NOBODY = Hub.of({"HF_ENDPOINT": "http://127.0.0.1:1"})


class Customer:
    """Gets the shop's file into the store, and hears what is said meanwhile."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.heard = io.StringIO()

    def get(
        self, url: str, *, hub: Hub = NOBODY, silence_s: float = 20.0, name: str = "porch.onnx", **wish: Any
    ) -> Record:
        place = source(url, "inference_model.onnx", "main", hub)
        patience = Patience(connect_s=20.0, silence_s=silence_s)
        return get(self.shelf, Wish(place, name, **wish), hub, Progress(name, self.heard), patience)

    @property
    def said(self) -> str:
        return self.heard.getvalue()

    @property
    def files(self) -> set[str]:
        """The names in the store's folder, without the locks."""
        return {path.name for path in self.shelf.folder.iterdir() if not path.name.endswith(".lock")}
