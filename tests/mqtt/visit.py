"""A Connection at work, for tests: what it was told, and a script that uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from appliance.config import Mqtt
from appliance.mqtt import ONLINE, Connection

STATUS = "porchlight/x/status"


@dataclass
class Visit:
    """A connection that has been started, and all that it said to its owner."""

    settings: Mqtt
    client_id: str = "test"
    subscriptions: tuple[str, ...] = ()
    ups: int = 0
    heard: list[bytes] = field(default_factory=list)
    acknowledged: list[int] = field(default_factory=list)
    connection: Connection = field(init=False)

    def __post_init__(self) -> None:
        self.connection = Connection(
            self.settings,
            self.client_id,
            STATUS,
            self._up,
            lambda message: self.heard.append(bytes(message.payload)),
            lambda number, _at_ns: self.acknowledged.append(number),
        )
        self.connection.start()

    @property
    def problem(self) -> str:
        return self.connection.problem

    async def connected(self) -> None:
        await until(lambda: self.connection.connected, lambda: f"connected; {self.problem!r}")

    async def told(self, *words: str) -> None:
        """Wait until the problem's text has these words."""
        await until(
            lambda: all(word in self.problem for word in words), lambda: f"{words} in the problem {self.problem!r}"
        )

    def _up(self) -> None:
        self.ups += 1
        for topic in self.subscriptions:
            self.connection.subscribe(topic)
        self.connection.publish(STATUS, ONLINE, retain=True)


def visit(
    script: Callable[[Visit], Awaitable[None]], port: int, *, subscriptions: tuple[str, ...] = (), **more: Any
) -> None:
    """Run a script with a connection to what listens on this port; `more` are settings."""

    async def main() -> None:
        one = Visit(Mqtt.model_validate({"host": "127.0.0.1", "port": port, **more}), subscriptions=subscriptions)
        try:
            await script(one)
        finally:
            await one.connection.stop()

    asyncio.run(main())


async def until(look: Callable[[], Any], what: Callable[[], str] = lambda: "it", seconds: float = 10) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not look():
        assert loop.time() < deadline, f"not within {seconds:g} s: {what()}"
        await asyncio.sleep(0.01)
