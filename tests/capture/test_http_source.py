"""http:// -- an MJPEG camera, however oddly it speaks: its newest picture as it came, or what is wrong in words."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from appliance.capture.http_mjpeg import client, source
from appliance.capture.source import SourceError
from appliance.messages import Clock, PixelFormat
from tests.capture.clips import MS, grey, jpeg, noise
from tests.capture.odd_camera import (
    MULTIPART,
    PATIENCE_S,
    Call,
    answering,
    head,
    part,
    serving,
    streaming,
    until,
    viewing,
    watching,
)

PICTURES = [jpeg(noise(seed)) for seed in range(4)]
SHOWN = "http://127.0.0.1:"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n" % len(data) + data + b"\r\n"


def in_lines(data: bytes) -> bytes:
    """Take the carriage returns off a part's headers."""
    headers, _, rest = data.partition(b"\r\n\r\n")
    return headers.replace(b"\r\n", b"\n") + b"\n\n" + rest


@pytest.mark.parametrize(
    "announced",
    [
        "multipart/x-mixed-replace; boundary=frame",
        'multipart/x-mixed-replace;boundary="frame"',
        "multipart/x-mixed-replace; boundary=--frame",
        "Multipart/X-Mixed-Replace ;  Boundary = frame ; charset=utf-8",
        "multipart/x-mixed-replace; boundary=other",
        "multipart/x-mixed-replace; boundary=",
        "multipart/x-mixed-replace",
        "multipart/mixed;boundary=frame",
    ],
)
def test_a_boundary_may_be_announced_in_any_way_or_not_at_all(announced: str) -> None:
    with watching(streaming([part(one) for one in PICTURES], head(f"Content-Type: {announced}"))) as viewer:
        assert viewer.pictures(4) == PICTURES
        assert (viewer.source.broken, viewer.source.oversized) == (0, 0)


@pytest.mark.parametrize(
    "first",
    [
        MULTIPART + b"\r\n\r\nWelcome to this camera\r\n",
        MULTIPART.replace(b"1.1", b"1.0"),
        MULTIPART.replace(b"\r\n", b"\n"),
        head("Content-Type: multipart/x-mixed-replace; boundary=frame", "Content-Length: 99999999"),
    ],
    ids=["preamble", "HTTP/1.0", "line feeds only", "length of the whole"],
)
def test_an_answer_may_begin_in_any_way(first: bytes) -> None:
    with watching(streaming([part(one) for one in PICTURES], first)) as viewer:
        assert viewer.pictures(4) == PICTURES


def test_parts_may_have_line_feeds_only() -> None:
    with watching(streaming([in_lines(part(one)) for one in PICTURES])) as viewer:
        assert viewer.pictures(4) == PICTURES


def test_an_answer_may_come_in_chunks_that_split_the_parts_anywhere() -> None:
    first = head("Content-Type: multipart/x-mixed-replace; boundary=frame", "Transfer-Encoding: chunked")
    pieces = [chunked(part(one)[:99]) + chunked(part(one)[99:]) for one in PICTURES]
    with watching(streaming(pieces, first)) as viewer:
        assert viewer.pictures(4) == PICTURES


@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "text/plain", "image/jpeg", "text/html", "nonsense", None]
)
def test_a_stream_of_any_content_type_is_one_from_its_second_picture_on(kind: str | None) -> None:
    first = head(f"Content-Type: {kind}" if kind else "Server: odd")
    pieces = [part(PICTURES[0]) + part(PICTURES[1]), *map(part, PICTURES[2:])]
    with watching(streaming(pieces, first)) as viewer:
        assert viewer.pictures(3) == PICTURES[1:]


@pytest.mark.parametrize("length", [f"Content-Length: {len(PICTURES[0])}", "Connection: close"])
@pytest.mark.parametrize("kind", ["image/jpeg", "application/octet-stream"])
def test_a_snapshot_is_called_one(kind: str, length: str) -> None:
    with watching(answering(head(f"Content-Type: {kind}", length), PICTURES[0])) as viewer:
        assert "a snapshot" in viewer.fault()


@pytest.mark.parametrize(
    ("kind", "page"),
    [
        ("text/html", b"<!DOCTYPE html><title>Log in</title>"),
        ("text/html; charset=utf-8", b"<p>Log in</p>"),
        ("text/plain", b"\xef\xbb\xbf\r\n<html><body>Log in"),
    ],
)
def test_a_login_page_is_called_a_web_page_even_where_it_does_not_end(kind: str, page: bytes) -> None:
    with watching(streaming([page], head(f"Content-Type: {kind}"))) as viewer:
        assert "web page" in viewer.fault()


@pytest.mark.parametrize("content", [b"", b'{"error": "busy"}'])
def test_an_answer_without_any_picture_is_refused(content: bytes) -> None:
    with watching(answering(head("Content-Type: text/plain", "Connection: close"), content)) as viewer:
        assert "without a JPEG picture" in viewer.fault()


def test_what_is_wrong_is_said_with_the_camera_and_said_again() -> None:
    with watching(answering(MULTIPART)) as viewer:
        assert viewer.fault().startswith(SHOWN)
        assert viewer.fault().startswith(SHOWN)


@pytest.mark.parametrize("rest", [b"", PICTURES[1][:500]], ids=["between pictures", "within a picture"])
def test_a_stream_that_ends_gives_its_last_picture_and_then_says_so(rest: bytes) -> None:
    with watching(answering(MULTIPART, part(PICTURES[0]), rest)) as viewer:
        assert viewer.see()[1] == PICTURES[0]
        assert ("in the middle of a picture" if rest else "ended the stream") in viewer.fault()


def test_a_connection_that_breaks_is_an_error_in_words() -> None:
    first = head("Content-Type: multipart/x-mixed-replace; boundary=frame", "Transfer-Encoding: chunked")

    def script(call: Call) -> None:
        call.send(first, chunked(part(PICTURES[0])), chunked(PICTURES[1])[:200])
        call.wait_for_turn()
        call.reset()

    with watching(script) as viewer:
        assert viewer.see()[1] == PICTURES[0]
        assert "broke off" in viewer.fault()


class Hands:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.at_ns = 1_000_000 * MS

    def module(self) -> SimpleNamespace:
        return SimpleNamespace(monotonic_ns=lambda: self.at_ns, time_ns=lambda: 10**18 + self.at_ns)


def test_a_picture_has_the_time_at_which_its_first_byte_arrived(monkeypatch: pytest.MonkeyPatch) -> None:
    hands = Hands()
    monkeypatch.setattr(source, "time", hands.module())
    picture = part(PICTURES[0])
    with watching(streaming([picture[:500], picture[500:]])) as viewer:
        until(lambda: viewer.source._splitter.is_within_picture)
        began, hands.at_ns = hands.at_ns, hands.at_ns + 70 * MS
        assert viewer._camera is not None
        viewer._camera.turns.release()
        grabbed, _ = viewer.see()
    assert (grabbed.captured_ns, grabbed.wall_ns) == (began, began + 10**18)


def test_a_frame_says_what_it_is() -> None:
    picture = jpeg(grey(9, 80, 40))
    with watching(streaming([part(picture)])) as viewer:
        grabbed, data = viewer.see()
        assert (grabbed.width, grabbed.height) == (80, 40)
        assert (grabbed.format, grabbed.size) == (PixelFormat.JPEG, len(picture))
        assert data == picture
        assert viewer.source.clock is Clock.MONOTONIC
        assert viewer.source.grab() is None


def test_there_is_nothing_to_retrieve_before_a_frame_was_grabbed() -> None:
    with watching(streaming([])) as viewer, pytest.raises(SourceError, match="no frame"):
        viewer.source.retrieve(memoryview(bytearray(100)))


def test_whoever_is_slow_gets_the_newest_picture() -> None:
    def script(call: Call) -> None:
        call.send(MULTIPART, *map(part, PICTURES))
        call.hold()

    with watching(script) as viewer:
        until(lambda: viewer.source._newest.lost == 3)
        assert viewer.see()[1] == PICTURES[3]


def quiet(call: Call) -> None:
    call.hold()


def between_pictures(call: Call) -> None:
    call.send(MULTIPART, part(PICTURES[0]))
    call.hold()


def flooding(call: Call) -> None:
    call.send(MULTIPART)
    while True:
        call.send(part(PICTURES[0]))


@pytest.mark.parametrize("script", [quiet, between_pictures, flooding])
@pytest.mark.parametrize("asked", [False, True], ids=["at once", "once the camera was asked"])
def test_closing_ends_the_thread_whatever_it_waits_for_and_leaves_nothing_open(script: Any, asked: bool) -> None:
    with serving(script) as camera:
        before = None
        for number in range(5):
            with viewing(camera.url()) as viewer:
                if asked:
                    camera.until_called(number + 1)
                viewer.source.close()
                viewer.source.close()
            assert before in {None, descriptors()}
            before = descriptors()


def descriptors() -> int:
    """Count what is open, but for sockets: the camera's come and go, and an unclosed one of the source would warn."""
    links = [one.readlink() for one in Path("/proc/self/fd").iterdir() if one.is_symlink()]
    return len([one for one in links if "socket" not in one.name])


def test_closing_waits_for_no_name_server(monkeypatch: pytest.MonkeyPatch) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(*_: Any, **__: Any) -> Any:
        asked.set()
        answer.wait(PATIENCE_S)
        raise socket.gaierror(socket.EAI_NONAME, "too late")

    monkeypatch.setattr(client, "socket", SimpleNamespace(getaddrinfo=slow))
    with viewing("http://porch-camera.local/stream.mjpeg"):
        assert asked.wait(PATIENCE_S)
    answer.set()
