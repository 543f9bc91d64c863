"""A process with a connection, to be killed: `somebody.py PORT NAME PROTOCOL`; it connects when it is told a line.

It says online on somebody/NAME/status, and again on somebody/NAME/heard what comes on somebody/NAME/command. Its will
waits WILL_DELAY_S.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from appliance.config import Mqtt
from appliance.mqtt import ONLINE, Connection, clients

if TYPE_CHECKING:
    from paho.mqtt.client import MQTTMessage

WILL_DELAY_S = 3


async def live(port: int, name: str, protocol: str) -> None:
    base = f"somebody/{name}"

    def up() -> None:
        one.subscribe(f"{base}/command")
        one.publish(f"{base}/status", ONLINE, retain=True)

    def hear(message: MQTTMessage) -> None:
        one.publish(f"{base}/heard", bytes(message.payload))

    settings = Mqtt.model_validate({"host": "127.0.0.1", "port": port, "protocol": protocol})
    one = Connection(settings, name, f"{base}/status", up, hear)
    one.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    clients.WILL_DELAY_S, clients.SESSION_S = WILL_DELAY_S, 2 * WILL_DELAY_S
    sys.stdin.readline()
    asyncio.run(live(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
