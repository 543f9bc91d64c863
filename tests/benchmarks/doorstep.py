"""An MJPEG camera, a process of its own, before which somebody comes and goes: as itself, from a clip's pictures."""

from __future__ import annotations

import contextlib
import itertools
import random
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import av
import cv2
import simplejpeg

from tests.capture.odd_camera import MULTIPART, part
from tests.rig import CLIP, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

FPS = 10.0
SIZE = (1280, 720)
SECONDS = {"empty": range(1, 6), "person": range(25, 43, 2)}
"""Of the clip, with nobody and with somebody (../shared/media/README.md)."""
PICTURES = {"empty": (8, 12), "person": (9, 12)}
"""How long it stays so, drawn between the two: the default window fits into it at both paces."""


def paint(folder: Path) -> None:
    """Write the camera's pictures, `empty-*.jpg` and `person-*.jpg`."""
    wanted = {second: kind for kind, seconds in SECONDS.items() for second in seconds}
    with av.open(str(CLIP)) as clip:
        for number, frame in enumerate(clip.decode(video=0)):
            second, rest = divmod(number, 10)  # the clip's frames a second
            if rest == 0 and second in wanted:
                picture = cv2.resize(frame.to_ndarray(format="rgb24"), SIZE, interpolation=cv2.INTER_AREA)
                jpeg = simplejpeg.encode_jpeg(picture, 85, "RGB", "420")
                (folder / f"{wanted[second]}-{second:02}.jpg").write_bytes(jpeg)
            if second > max(wanted):
                return


@contextlib.contextmanager
def camera(folder: Path) -> Iterator[str]:
    """The camera, for as long as the block lasts; yields its URL."""
    command = [sys.executable, "-m", __name__, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}/stream.mjpeg"
        finally:
            process.terminate()


def _scene(folder: Path) -> Iterator[bytes]:
    """Somebody comes and goes for ever; never for as long as before, so that no clock keeps step with it."""
    chosen = random.Random(7)
    shown = {
        kind: itertools.cycle([path.read_bytes() for path in sorted(folder.glob(f"{kind}-*"))]) for kind in SECONDS
    }
    for kind in itertools.cycle(SECONDS):
        for _ in range(chosen.randint(*PICTURES[kind])):
            yield part(next(shown[kind]))


def _serve(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        print(server.getsockname()[1], flush=True)
        while True:
            viewer, _ = server.accept()
            with viewer, contextlib.suppress(OSError):
                viewer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                viewer.recv(4096)
                viewer.sendall(MULTIPART)
                due_s = time.monotonic()
                for piece in _scene(folder):
                    due_s += 1 / FPS
                    time.sleep(max(0, due_s - time.monotonic()))
                    viewer.sendall(piece)


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
