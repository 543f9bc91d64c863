"""Readers and publishers die and others take their place: nothing is torn, nothing stays blocked, nobody sits twice."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable
from typing import Any

import posix_ipc
import pytest

from appliance.ipc.channels import Channel
from appliance.ipc.errors import QueueError, TakenError
from appliance.ipc.mailbox import (
    last_state,
    publish_detections,
    publish_frames,
    publish_state,
    subscribe_frames,
    subscribe_state,
)
from appliance.ipc.publisher import Publisher
from appliance.ipc.run_folder import RunFolder
from appliance.messages import CameraState, FrameInfo, PixelFormat
from tests.ipc.mail import CAMERA, SIZE, SLOTS, Mail, die, only_byte, publish, received


def test_a_dead_readers_slot_comes_back_when_somebody_sits_in_its_place(mail: Mail) -> None:
    publisher, dead = mail.both()
    held = publish(publisher, 1)
    assert dead.receive() is not None
    die(dead)
    assert held not in {publish(publisher, byte) for byte in range(2, 20)}

    heir = mail.subscriber()
    assert received(heir) is None  # what lay there was meant for the dead
    assert held in {publish(publisher, byte) for byte in range(20, 20 + SLOTS)}
    assert received(heir) == 20 + SLOTS - 1


def test_a_reader_that_dies_again_and_again_never_blocks_the_publisher(mail: Mail) -> None:
    publisher = mail.publisher()
    for byte in range(100):
        mortal = mail.subscriber()
        publish(publisher, byte)
        loan = mortal.receive()
        assert loan is not None
        assert only_byte(loan.value) == byte
        publish(publisher, byte)
        die(mortal)


@pytest.mark.usefixtures("mail")
@pytest.mark.parametrize(
    "open_end",
    [
        lambda folder: subscribe_frames(folder, CAMERA, "gateway"),
        lambda folder: subscribe_state(folder, CAMERA, "gateway"),
        lambda folder: publish_frames(folder, CAMERA, SIZE),
        lambda folder: publish_detections(folder, CAMERA),
        lambda folder: publish_state(folder, CAMERA),
    ],
    ids=["frames seat", "state seat", "frames", "detections", "state"],
)
def test_a_second_one_is_refused_while_the_first_lives(folder: RunFolder, open_end: Callable[[RunFolder], Any]) -> None:
    first = open_end(folder)
    with pytest.raises(TakenError, match=str(folder.path)):
        open_end(folder)
    first.close()
    open_end(folder).close()


def test_a_refused_publisher_changes_nothing_for_the_first(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    with pytest.raises(TakenError):
        mail.publisher()
    assert received(subscriber) == 1
    publish(publisher, 2)
    assert received(subscriber) == 2


def test_a_loan_of_a_dead_publisher_stays_readable_and_its_unread_descriptor_is_dropped(mail: Mail) -> None:
    first, subscriber = mail.both()
    publish(first, 1)
    loan = subscriber.receive()
    assert loan is not None
    publish(first, 2)
    first.close()

    second = mail.publisher()
    for byte in range(3, 20):
        publish(second, byte)
    assert only_byte(loan.value) == 1
    loan.release()
    assert received(subscriber) == 19
    assert subscriber.lost == 0  # gaps are counted within one publisher's life


def test_a_new_publisher_takes_back_what_the_one_before_announced(mail: Mail) -> None:
    first, subscriber = mail.both()
    publish(first, 1)
    assert received(subscriber) == 1
    publish(first, 2)
    first.close()
    mail.publisher()
    assert received(subscriber) is None


def test_releases_owed_to_a_dead_publisher_free_nothing_of_the_next(mail: Mail) -> None:
    first, subscriber = mail.both()
    publish(first, 1)
    old = subscriber.receive()
    assert old is not None
    first.close()
    second = mail.publisher()
    held = publish(second, 2)  # sequence 1, like the old one
    old.release()
    loan = subscriber.receive()
    assert loan is not None
    assert loan.sequence == old.sequence
    assert held not in {publish(second, byte) for byte in range(3, 20)}
    assert only_byte(loan.value) == 2


def test_whoever_leaves_its_seat_lets_go_of_what_it_holds(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    held = publish(publisher, 1)
    assert subscriber.receive() is not None
    subscriber.close()
    mail.subscriber()
    assert held in {publish(publisher, byte) for byte in range(2, 2 + SLOTS)}


def test_a_subscriber_that_gets_no_queue_leaves_its_seat(mail: Mail, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError("This process already has the maximum number of files open")

    with monkeypatch.context() as patch:
        patch.setattr(posix_ipc, "MessageQueue", refuse)
        with pytest.raises(QueueError):
            mail.subscriber()
        with pytest.raises(QueueError):
            mail.publisher()
    mail.both()


def test_the_last_state_survives_its_controller(folder: RunFolder, ends: contextlib.ExitStack) -> None:
    assert last_state(folder, CAMERA) is None
    publisher = publish_state(folder, CAMERA)
    assert last_state(folder, CAMERA) is None  # nothing was said yet
    for count in range(12):
        writer = publisher.borrow()
        writer.write(CameraState(person_count=count))
        publisher.send(writer)
        assert last_state(folder, CAMERA) == CameraState(person_count=count)
    publisher.close()
    assert last_state(folder, CAMERA) == CameraState(person_count=11)
    ends.enter_context(contextlib.closing(publish_state(folder, CAMERA)))
    assert last_state(folder, CAMERA) is None


def half_write(publisher: Publisher[Any], write: Callable[[Any], None]) -> None:
    """Leave a slot as a publisher that stops in the middle of packing does: `struct` empties the block first."""
    writer = publisher.borrow()
    with pytest.raises(struct.error):
        write(writer)


def test_who_opens_the_file_while_another_slot_is_being_written_reads_what_was_announced(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    info = FrameInfo("not packed", 0, 0, 1, 1, PixelFormat.JPEG)  # type: ignore[arg-type]
    half_write(publisher, lambda writer: writer.write(info, 0))
    assert received(subscriber) == 1


def test_the_last_state_survives_a_controller_that_was_killed_while_it_wrote_the_next(
    folder: RunFolder, ends: contextlib.ExitStack
) -> None:
    publisher = ends.enter_context(contextlib.closing(publish_state(folder, CAMERA)))
    writer = publisher.borrow()
    writer.write(CameraState(person_count=1))
    publisher.send(writer)
    state = CameraState(observed_frame="not packed")  # type: ignore[arg-type]
    half_write(publisher, lambda writer: writer.write(state))
    assert last_state(folder, CAMERA) == CameraState(person_count=1)


def test_a_last_state_that_cannot_be_read_is_none(folder: RunFolder) -> None:
    path = folder.channel_file(Channel("state", CAMERA))
    for junk in (b"", b"junk" * 1000):
        path.write_bytes(junk)
        assert last_state(folder, CAMERA) is None
