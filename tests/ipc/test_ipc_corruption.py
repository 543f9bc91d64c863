"""Whatever lies in queues and files, a subscriber refuses it by name, and neither side stops."""

from __future__ import annotations

import pytest

from appliance.ipc.errors import CorruptError
from appliance.ipc.layout import UNFINISHED
from appliance.ipc.protocol import DESCRIPTOR_BYTES, RELEASE_BYTES, RELEASE_DEPTH, Descriptor
from appliance.messages import FrameInfo, PixelFormat
from tests.ipc.mail import CAMERA, FRAMES, Mail, publish, received


@pytest.mark.parametrize("wrong", ["generation", "epoch"])
def test_a_descriptor_of_another_generation_or_epoch_is_dropped_unread(mail: Mail, wrong: str) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    queue = mail.queue(mail.folder.descriptor_queue(FRAMES, "inference"), 1, DESCRIPTOR_BYTES)
    message = queue.receive()
    assert message is not None
    right = Descriptor.unpack(message)
    generation, epoch = right.generation + (wrong == "generation"), right.epoch + (wrong == "epoch")
    queue.send(Descriptor(generation, epoch, right.sequence, right.slot).pack())
    assert subscriber.receive() is None
    assert subscriber.receive() is None


def test_junk_in_the_queues_means_nothing(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    releases = mail.queue(mail.folder.release_queue(FRAMES), RELEASE_DEPTH, RELEASE_BYTES)
    descriptors = mail.queue(mail.folder.descriptor_queue(FRAMES, "inference"), 1, DESCRIPTOR_BYTES)
    for byte in range(20):
        releases.send(b"junk")
        releases.send(bytes(RELEASE_BYTES))
        descriptors.send(b"junk")
        publish(publisher, byte)
        assert received(subscriber) == byte
    descriptors.send(b"junk")
    with pytest.raises(CorruptError, match="32 bytes, this one 4"):
        subscriber.receive()


def test_a_slot_that_is_not_what_was_announced_is_given_back(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    for byte in range(10):
        writer = publisher.borrow()
        writer.write(FrameInfo(1, 0, 0, 1, 1, PixelFormat.JPEG), 0)
        publisher.send(writer)
        writer._commit(999)
        with pytest.raises(CorruptError, match=rf"{CAMERA} slot \d: holds publication"):
            subscriber.receive()
        publish(publisher, byte)
        assert received(subscriber) == byte


def test_a_descriptor_of_a_slot_that_is_not_there_is_given_back(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    queue = mail.queue(mail.folder.descriptor_queue(FRAMES, "inference"), 1, DESCRIPTOR_BYTES)
    for byte in range(20):
        publish(publisher, byte)
        message = queue.receive()
        assert message is not None
        right = Descriptor.unpack(message)
        queue.send(Descriptor(right.generation, right.epoch, right.sequence, 99).pack())
        with pytest.raises(CorruptError, match="slot 99 was announced, there are 4"):
            subscriber.receive()


def test_a_slot_that_is_being_written_is_not_read_whatever_is_announced(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    assert received(subscriber) == 1
    ledger, epoch = publisher._ledger, subscriber._registration.epoch
    queue = mail.queue(mail.folder.descriptor_queue(FRAMES, "inference"), 1, DESCRIPTOR_BYTES)
    queue.send(Descriptor(ledger.generation, epoch, UNFINISHED, publisher.borrow().slot).pack())
    with pytest.raises(CorruptError):
        subscriber.receive()


def test_a_channel_file_that_cannot_be_read_stops_neither_side(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    path = mail.folder.channel_file(FRAMES)
    with path.open("r+b") as file:
        whole = file.read(64)
        file.seek(0)
        file.write(bytes(64))
    for byte in range(20):
        publish(publisher, byte)
        with pytest.raises(CorruptError, match=str(path)):
            subscriber.receive()
    with path.open("r+b") as file:
        file.write(whole)
    publish(publisher, 20)
    assert received(subscriber) == 20


def test_a_channel_file_that_was_swept_away_stops_neither_side(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    mail.folder.channel_file(FRAMES).unlink()
    for byte in range(20):
        publish(publisher, byte)
        assert received(subscriber) is None


def test_a_descriptor_that_was_stolen_costs_its_slot_only_until_the_next_one_is_read(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    mail.subscriber("gateway")
    queue = mail.queue(mail.folder.descriptor_queue(FRAMES, "inference"), 1, DESCRIPTOR_BYTES)
    for byte in range(20):
        publish(publisher, byte)
        assert queue.receive() is not None  # somebody else has taken it
        publish(publisher, byte)
        assert received(subscriber) == byte
