"""A stand-in for Home Assistant's Supervisor: the one call that an add-on of ours makes, and what it may answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "the-supervisors-token"


@dataclass
class Supervisor:
    """`service` is what it offers as MQTT, None: nothing yet. `asked` are the Authorization headers that came."""

    url: str = ""
    service: dict[str, Any] | None = None
    asked: list[str] = field(default_factory=list)


@contextmanager
def supervisor(address: tuple[str, int] = ("127.0.0.1", 0)) -> Iterator[Supervisor]:
    """At an address, or on a port of its own."""
    stand_in = Supervisor()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stand_in.asked.append(self.headers.get("Authorization", ""))
            if stand_in.asked[-1] != f"Bearer {TOKEN}":
                self._answer(401, {"result": "error", "message": "unauthorized"})
            elif self.path != "/services/mqtt":
                self._answer(404, {"result": "error", "message": "not found"})
            elif stand_in.service is None:
                self._answer(400, {"result": "error", "message": "Service not enabled"})
            else:
                self._answer(200, {"result": "ok", "data": stand_in.service})

        def _answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(address, Handler)
    stand_in.url = f"http://{address[0]}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield stand_in
    finally:
        server.shutdown()
        server.server_close()
