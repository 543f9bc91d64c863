"""Pictures to calibrate with: a folder of them, or what the cameras see, of the Porchlight that is running."""

from __future__ import annotations

import contextlib
import http.client
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING

import cv2
import numpy as np

from appliance.inference.store.errors import RefusedError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from appliance.config import Settings
    from appliance.inference.rfdetr import Bytes

LEAST = 30
ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp"})
_BLOCKS = 24
"""Pictures of one minute look alike: what is held back is held back in pieces of the whole time."""
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- compared, not bound
_ANSWER_S = 10.0
_MOST_BYTES = 32 << 20


def decoded(picture: bytes) -> Bytes:
    """Return uint8 [height, width, 3], RGB. ValueError: there is no picture in it."""
    bgr = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("no picture")
    return np.ascontiguousarray(bgr[:, :, ::-1], np.uint8)


def of_folder(folder: Path, most: int, say: Callable[[str], None]) -> list[bytes]:
    """Return up to `most` pictures, evenly taken of the folder's, by name. RefusedError: there are too few."""
    try:
        if not folder.is_dir():
            raise RefusedError(f"{folder}: there is no such folder; --pictures names one with JPEG or PNG files")
        files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())
    except OSError as error:
        raise RefusedError(f"{folder}: {error.strerror}") from None
    if len(files) > most:
        files = [files[index * len(files) // most] for index in range(most)]
    found = []
    for file in files:
        try:
            picture = file.read_bytes()
            decoded(picture)
        except OSError as error:
            say(f"{file} is left out: {error.strerror}")
        except (ValueError, cv2.error):
            say(f"{file} is left out: it is no picture")
        else:
            found.append(picture)
    return _enough(found, f"{folder} has")


def of_cameras(
    settings: Settings,
    most: int,
    seconds: float,
    say: Callable[[str], None],
    sleep: Callable[[float], None] = time.sleep,
) -> list[bytes]:
    """Return what the cameras see in the next `seconds`, taken in turn from the gateway's snapshots, camera by camera.

    Nothing of it is written anywhere. RefusedError: there are no cameras, or too few pictures came.
    StoreError: there is no Porchlight that runs.
    """
    address, token = _gateway(settings)
    minutes = f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"
    say(f"taking {most} pictures in {minutes}; whoever walks past the cameras now makes the result better")
    began, told = time.monotonic(), dict[str, str]()
    of: dict[str, list[bytes]] = {camera.id: [] for camera in settings.cameras}
    came = 0
    for number in range(most):
        sleep(max(0.0, began + number * seconds / most - time.monotonic()))
        camera = settings.cameras[number % len(settings.cameras)].id
        try:
            of[camera].append(_snapshot(f"{address}/cameras/{camera}/snapshot.jpg", token))
        except _NoPictureError as error:
            if error.nobody_is_there and not came:  # later it may be a restart, and the pictures are not thrown away
                raise StoreError(
                    f"{address} {error}: the pictures come from the Porchlight that is running; start it, or give a "
                    "folder with --pictures"
                ) from None
            if told.get(camera) != str(error):
                told[camera] = str(error)
                say(f"camera {camera}: the gateway {error}")
        else:
            came += 1
            if came % 20 == 0:
                say(f"{came} pictures")
    return _enough([picture for pictures in of.values() for picture in pictures], "the cameras gave")


def apart(pictures: Sequence[bytes]) -> tuple[list[bytes], list[bytes]]:
    """Return those to calibrate with, and a third that is held back for the comparison: piece by piece in time."""
    size = max(1, len(pictures) // _BLOCKS)
    held = [index // size % 3 == 1 for index in range(len(pictures))]
    calibration = [picture for picture, is_held in zip(pictures, held, strict=True) if not is_held]
    return calibration, [picture for picture, is_held in zip(pictures, held, strict=True) if is_held]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Our gateway sends nobody elsewhere; whoever sits there instead is not to send the token on."""

    def redirect_request(self, *_: object) -> None:
        return None


class _NoPictureError(Exception):
    """What the gateway did instead of giving a picture."""

    def __init__(self, why: str, *, nobody_is_there: bool = False) -> None:
        super().__init__(why)
        self.nobody_is_there = nobody_is_there


def _gateway(settings: Settings) -> tuple[str, str]:
    """Return where it is, and its token. RefusedError: that cannot be known, or there is nothing to ask for."""
    if not settings.cameras:
        raise RefusedError("there are no cameras in the settings; give a folder with --pictures instead")
    gateway = settings.gateway
    if not gateway.port:
        raise RefusedError("gateway.port is 0 (any free one), so it cannot be found; set one, or use --pictures")
    token = gateway.token.get_secret_value() if gateway.token is not None else ""
    if not token.isascii():
        raise RefusedError("gateway.token has letters that no HTTP header can have; use --pictures")
    host = _ANY.get(gateway.host, gateway.host)
    return f"http://{f'[{host}]' if ':' in host else host}:{gateway.port}", token


def _snapshot(url: str, token: str) -> bytes:
    """Return a picture. RefusedError: the token is not the gateway's."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})  # noqa: S310
    # Whatever proxy this machine has for the world is not shown the home, nor the token.
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect)
    try:
        with direct.open(request, timeout=_ANSWER_S) as answer:
            content: bytes = answer.read(_MOST_BYTES)
        decoded(content)
    except urllib.error.HTTPError as error:
        why = f"answers {error.code}"
        with error, contextlib.suppress(OSError, http.client.HTTPException):
            why += f": {error.read(300).decode(errors='replace').strip()}"
        if error.code in {401, 403}:
            raise RefusedError("the gateway wants another token than gateway.token in these settings") from None
        raise _NoPictureError(why) from None
    except (OSError, http.client.HTTPException) as error:
        why = f"does not answer ({getattr(error, 'reason', error)})"
        raise _NoPictureError(why, nobody_is_there=True) from None
    except (ValueError, cv2.error):
        raise _NoPictureError("has sent what is no picture") from None
    return content


def _enough(found: list[bytes], what: str) -> list[bytes]:
    found = list(dict.fromkeys(found))  # one that is in both parts would agree with itself
    if len(found) < LEAST:
        raise RefusedError(
            f"{what} {len(found)} different pictures, and it takes {LEAST}: better 100 or more, by day and by night"
        )
    return found
