"""Whatever somebody writes into slots, files and queues: errors that name it, and neither end stops or looks elsewhere.

All through the ends that stages use, on real queues and files; the readers alone are tried in test_ipc_slots.py,
headers and heartbeats in test_ipc_channel_file.py and test_ipc_heartbeat.py.
"""

from __future__ import annotations

import contextlib
import os
import struct
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from appliance.ipc.errors import CorruptError
from appliance.ipc.heartbeat import HeartbeatFile, encode, read_heartbeats
from appliance.ipc.protocol import DESCRIPTOR_BYTES, RELEASE_BYTES, RELEASE_DEPTH, Descriptor, Release
from appliance.messages import Health, Heartbeat
from tests.ipc.live import KINDS, Kind, Live
from tests.ipc.mail import FRAMES, Mail, only_byte, publish, received
from tests.ipc.values import U32, U64

if TYPE_CHECKING:
    from appliance.ipc.run_folder import RunFolder
    from appliance.ipc.subscriber import Subscriber

EVERY_KIND = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
CANARY = 0xC5
MOST_BYTES = 24_000
"""More than any of these slots and files has."""


def patches(most: int) -> st.SearchStrategy[list[tuple[int, bytes]]]:
    """Bytes to be written anywhere; more of them where the fields are than in the vector behind."""
    place = st.one_of(st.integers(0, 200), st.integers(0, most))
    junk = st.binary(min_size=1, max_size=12).map(lambda data: data.replace(bytes([CANARY]), b"\0"))
    return st.lists(st.tuples(place, junk), min_size=1, max_size=4)


def read_or_refuse(subscriber: Subscriber[Any], kind: Kind, name: str) -> bytes:
    """Receive; return the bytes of the vector that was got. Any other error than one that names the file fails."""
    try:
        loan = subscriber.receive()
    except CorruptError as error:
        assert str(error).startswith(name)  # noqa: PT017 -- it may also be well
        return b""
    if loan is None:
        return b""
    with loan as value:
        return kind.got(value)


@EVERY_KIND
def test_of_a_slot_that_was_written_over_only_its_own_bytes_are_read_or_it_is_refused_by_name(
    folder: RunFolder, ends: contextlib.ExitStack, kind: Kind
) -> None:
    live = Live(folder, kind, ends)
    subscriber = ends.enter_context(live.subscribe())
    live.publish()
    assert read_or_refuse(subscriber, kind, "?")  # the file is mapped from here on

    @settings(max_examples=300)
    @given(patches(MOST_BYTES), st.one_of(st.none(), U32))
    def receive(junk: list[tuple[int, bytes]], length: int | None) -> None:
        live.heal()
        slot = live.publish()
        start, end = live.start(slot), live.start(slot) + live.header.size
        if length is not None:
            live.overwrite(start + live.vector_at - 4, struct.pack("<I", length))
        for at, data in junk:
            live.overwrite(start + at % live.header.size, data)
        live.overwrite(live.header.first, bytes([CANARY]) * (start - live.header.first))
        live.overwrite(end, bytes([CANARY]) * (live.header.total - end))
        assert CANARY not in read_or_refuse(subscriber, kind, f"{live.path} slot {slot}: ")
        live.heal()
        live.publish()
        assert read_or_refuse(subscriber, kind, "?")

    receive()


@EVERY_KIND
def test_a_channel_file_that_was_written_over_is_read_or_refused_by_name_by_whoever_opens_it(
    folder: RunFolder, ends: contextlib.ExitStack, kind: Kind
) -> None:
    live = Live(folder, kind, ends)

    @settings(max_examples=200)
    @given(patches(MOST_BYTES), st.booleans())
    def receive(junk: list[tuple[int, bytes]], in_the_slot: bool) -> None:
        live.heal()
        with live.subscribe() as subscriber:
            slot = live.publish()
            for at, data in junk:
                live.overwrite(live.start(slot) * in_the_slot + at % live.header.total, data)
            read_or_refuse(subscriber, kind, str(live.path))
            live.heal()
            live.publish()
            assert read_or_refuse(subscriber, kind, "?")

    receive()


@EVERY_KIND
def test_a_channel_file_cut_off_before_it_is_opened_is_refused_by_name_and_the_whole_one_is_read(
    folder: RunFolder, ends: contextlib.ExitStack, kind: Kind
) -> None:
    live = Live(folder, kind, ends)
    whole = live.path.with_name("whole")
    whole.hardlink_to(live.path)
    subscriber = ends.enter_context(live.subscribe())
    data = live.path.read_bytes()
    for length in (*range(0, 64, 7), *range(4096, len(data), 1000), len(data) - 1):
        cut = live.path.with_name("cut")
        cut.write_bytes(data[:length])
        cut.rename(live.path)
        live.publish()
        with pytest.raises(CorruptError, match=f"^{live.path}: "):
            subscriber.receive()
    whole.rename(live.path)
    live.publish()
    assert read_or_refuse(subscriber, kind, "?")


BESIDE = st.integers(-3, 3)
WORD = st.one_of(BESIDE, BESIDE, U64)
HALF_WORD = st.one_of(BESIDE, BESIDE, U32)


def near(right: int, word: int) -> int:
    """The right number, one beside it, or just any."""
    return abs(right + word) if abs(word) <= 3 else word


def lengths(right: int) -> st.SearchStrategy[int]:
    return st.one_of(st.just(right), st.just(right), st.integers(0, right))


def test_a_descriptor_of_anything_but_what_a_slot_holds_is_dropped_or_refused_and_nobody_stops(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    holder = mail.subscriber("gateway")
    held = publish(publisher, 255)
    loan = holder.receive()
    assert loan is not None
    assert received(subscriber) == 255
    queue = mail.queue(mail.folder.descriptor_queue(FRAMES, "inference"), 1, DESCRIPTOR_BYTES)
    ledger, epoch = publisher._ledger, subscriber._registration.epoch

    @settings(max_examples=300)
    @given(WORD, WORD, WORD, HALF_WORD, lengths(DESCRIPTOR_BYTES), st.booleans(), st.integers(0, 254))
    def hear(generation: int, sitting: int, sequence: int, slot: int, length: int, is_heard: bool, byte: int) -> None:
        forged = Descriptor(
            near(ledger.generation, generation) % 2**64,
            near(epoch, sitting) % 2**64,
            near(ledger.sequence, sequence),
            near(held, slot),
        )
        assume(not (forged.slot < len(ledger._written) and ledger._written[forged.slot] == forged.sequence))
        assert queue.send(forged.pack()[:length])
        with contextlib.suppress(CorruptError):
            assert not is_heard or subscriber.receive() is None
        assert publish(publisher, byte) != held
        assert received(subscriber) == byte
        assert only_byte(loan.value) == 255

    hear()


def test_releases_of_anything_but_what_is_on_loan_free_nothing_and_never_stop_the_publisher(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    holder = mail.subscriber("gateway")
    held = publish(publisher, 255)
    loan = holder.receive()
    assert loan is not None
    assert received(subscriber) == 255
    queue = mail.queue(mail.folder.release_queue(FRAMES), RELEASE_DEPTH, RELEASE_BYTES)
    ledger, sequence = publisher._ledger, loan.sequence
    release = st.tuples(WORD, WORD, HALF_WORD, lengths(RELEASE_BYTES))

    @settings(max_examples=300)
    @given(st.lists(release, max_size=RELEASE_DEPTH - 1), st.integers(0, 254))
    def hear(releases: list[tuple[int, int, int, int]], byte: int) -> None:
        for generation, number, index, length in releases:
            forged = Release(near(ledger.generation, generation) % 2**64, near(sequence, number), near(1, index))
            is_its = (forged.generation, forged.subscriber) == (ledger.generation, 1)
            assume(not (is_its and forged.sequence >= sequence))
            queue.send(forged.pack()[:length])
        assert publish(publisher, byte) != held
        assert received(subscriber) == byte
        assert only_byte(loan.value) == 255

    hear()


@pytest.mark.parametrize("first", ["publisher", "subscriber"])
@pytest.mark.parametrize("content", [b"", b"\1\2\3", os.urandom(1 << 20)], ids=["empty", "three bytes", "huge"])
def test_a_seat_of_any_size_can_be_sat_on(mail: Mail, content: bytes, first: str) -> None:
    mail.folder.seat(FRAMES, "inference").write_bytes(content)
    if first == "publisher":
        publisher = mail.publisher()
        publish(publisher, 1)
        subscriber = mail.subscriber()
    else:
        subscriber = mail.subscriber()
        publisher = mail.publisher()
    assert received(subscriber) is None
    publish(publisher, 2)
    assert received(subscriber) == 2


BEAT = Heartbeat("capture", Health.RUNNING, 1, 2, "well", counters={"frames": 3.0}, facts={"mode": "alarmed"})


def test_whatever_lies_in_the_heartbeats_folder_the_heartbeats_there_are_read(folder: RunFolder) -> None:
    HeartbeatFile(folder, "capture").write(BEAT)
    good = encode(BEAT)

    cut_off = st.integers(0, len(good)).map(lambda length: good[:length])

    @settings(max_examples=300)
    @given(st.one_of(st.binary(max_size=200), cut_off), patches(200))
    def read(data: bytes, junk: list[tuple[int, bytes]]) -> None:
        patched = bytearray(data)
        for at, wrong in junk:
            patched[at : at + len(wrong)] = wrong
        (folder.heartbeats / "junk").write_bytes(data)
        (folder.heartbeats / "patched").write_bytes(patched)
        assert read_heartbeats(folder)["capture"] == BEAT

    read()
