"""A viewer that reconnects for ever and holds each picture against the clip's frame: a torn one does not fit."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
import simplejpeg

from appliance.gateway.wire import unpack

BAND = 16
"""Rows. JPEG's own error is spread, a torn picture is wrong in a band."""
ERROR_MOST = 6.0


class Viewer:
    """Of an appliance whose camera is a clip that goes round and round."""

    def __init__(self, url: str, clip: Path) -> None:
        with av.open(str(clip)) as container:
            self._truth = [frame.to_ndarray(format="gray").astype(np.float32) for frame in container.decode(video=0)]
        self._url = url
        self._stop = threading.Event()
        self.seen = 0
        self.last = 0.0
        """When the newest picture came (time.time())."""
        self.torn: list[tuple[int, float]] = []
        """Frame numbers, and how wrong the worst band was."""
        self._thread = threading.Thread(target=lambda: asyncio.run(self._watch()), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)

    async def _watch(self) -> None:
        async with aiohttp.ClientSession() as session:
            while not self._stop.is_set():
                with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
                    async with session.ws_connect(f"{self._url}/ws", max_msg_size=0) as socket:
                        await self._read(socket)
                await asyncio.sleep(0.1)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while not self._stop.is_set():
            message = await socket.receive(timeout=2)
            if message.type is not aiohttp.WSMsgType.BINARY:
                return
            metadata, jpeg = unpack(message.data)
            self.seen += 1
            self.last = time.time()
            number = metadata["frame_number"]
            error = self._error(number, jpeg)
            if error > ERROR_MOST:
                self.torn.append((number, error))

    def _error(self, number: int, jpeg: Any) -> float:
        """Return the mean error of the worst band, in grey levels."""
        truth = self._truth[(number - 1) % len(self._truth)]
        luma = simplejpeg.decode_jpeg(jpeg, "GRAY", strict=True)[:, :, 0].astype(np.float32)
        rows = len(luma) // BAND * BAND
        bands = np.abs(luma - truth)[:rows].reshape(rows // BAND, -1).mean(axis=1)
        return float(bands.max())
