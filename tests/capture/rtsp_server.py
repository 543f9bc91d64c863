"""A real RTSP camera: GStreamer's server on a loopback port. Run by Debian's Python (/usr/bin/python3), which has gi.

One argument, JSON: `mounts` (path to pipeline), and perhaps `port`, `basic` or `digest` ([user, password]). Says its
port on standard output. A line of JSON on standard input, [element, property, value], sets something in every running
pipeline; the end of standard input ends the server. With `elements` instead, it says which of these are not there.
"""

from __future__ import annotations

import importlib
import json
import sys
import threading
from typing import Any

gi: Any = importlib.import_module("gi")
for space in ("Gst", "GstRtsp", "GstRtspServer"):
    gi.require_version(space, "1.0")
GLib, Gst, GstRtsp, GstRtspServer = (
    importlib.import_module(f"gi.repository.{name}") for name in ("GLib", "Gst", "GstRtsp", "GstRtspServer")
)


class Server:
    def __init__(self, wanted: dict[str, Any]) -> None:
        self.loop = GLib.MainLoop()
        self._wanted = wanted
        self._pipelines: list[Any] = []
        self._server = GstRtspServer.RTSPServer()
        self._server.set_address("127.0.0.1")
        self._server.set_service(str(wanted.get("port", 0)))
        for path, pipeline in wanted["mounts"].items():
            self._server.get_mount_points().add_factory(path, self._factory(pipeline))
        if "basic" in wanted or "digest" in wanted:
            self._server.set_auth(self._guard())
        if not self._server.attach(None):
            sys.exit(f"cannot listen on port {wanted.get('port', 0)}")
        threading.Thread(target=self._listen, daemon=True).start()
        print(self._server.get_bound_port(), flush=True)

    def _factory(self, pipeline: str) -> Any:
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(pipeline)
        factory.set_shared(True)
        factory.set_latency(0)
        factory.connect("media-configure", lambda _, media: self._pipelines.append(media.get_element()))
        if self._wanted.keys() & {"basic", "digest"}:
            permissions = GstRtspServer.RTSPPermissions()
            permissions.add_permission_for_role("viewer", "media.factory.access", True)
            permissions.add_permission_for_role("viewer", "media.factory.construct", True)
            factory.set_permissions(permissions)
        return factory

    def _guard(self) -> Any:
        guard = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        if "basic" in self._wanted:
            guard.set_supported_methods(GstRtsp.RTSPAuthMethod.BASIC)
            guard.add_basic(GstRtspServer.RTSPAuth.make_basic(*self._wanted["basic"]), token)
        else:
            guard.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
            guard.add_digest(*self._wanted["digest"], token)
        return guard

    def _listen(self) -> None:
        for line in sys.stdin:
            GLib.idle_add(self._set, *json.loads(line))
        self.loop.quit()

    def _set(self, name: str, prop: str, value: str) -> bool:
        for pipeline in self._pipelines:
            element = pipeline.get_by_name(name)
            if element is not None:
                Gst.util_set_object_arg(element, prop, value)
        return False


if __name__ == "__main__":
    Gst.init(None)
    wish = json.loads(sys.argv[1])
    if "elements" in wish:
        print(json.dumps([name for name in wish["elements"] if Gst.ElementFactory.find(name) is None]))
    else:
        Server(wish).loop.run()
