"""Publisher and subscribers over real queues and files, in one process: latest wins, and what is in hands stays whole."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat
from typing import TYPE_CHECKING, Any

import numpy as np
import posix_ipc
import pytest

from appliance.ipc.channels import Channel, frames_channel
from appliance.ipc.errors import CorruptError, LoanError, QueueError, TakenError
from appliance.ipc.mailbox import (
    last_state,
    publish_detections,
    publish_frames,
    publish_state,
    subscribe_detections,
    subscribe_frames,
    subscribe_state,
)
from appliance.ipc.protocol import DESCRIPTOR_BYTES, RELEASE_BYTES, RELEASE_DEPTH, Descriptor
from appliance.ipc.queues import Queue
from appliance.messages import CameraState, Detections, FrameInfo, Mode, PixelFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from appliance.ipc.publisher import Publisher
    from appliance.ipc.run_folder import RunFolder
    from appliance.ipc.slots import FrameWriter
    from appliance.ipc.subscriber import Subscriber
    from appliance.messages import Frame

CAMERA = "porch"
FRAMES = frames_channel(CAMERA)
SIZE = 8192
SLOTS = len(FRAMES.subscribers) + 2


@pytest.fixture
def mail(folder: RunFolder, ends: contextlib.ExitStack, impatient: None) -> Mail:
    return Mail(folder, ends)


class Mail:
    """Opens the ends of one frames channel; a picture is one byte, repeated."""

    def __init__(self, folder: RunFolder, ends: contextlib.ExitStack) -> None:
        self.folder = folder
        self._ends = ends

    def publisher(self) -> Publisher[FrameWriter]:
        return self._ends.enter_context(contextlib.closing(publish_frames(self.folder, CAMERA, SIZE)))

    def subscriber(self, name: str = "inference") -> Subscriber[Frame]:
        return self._ends.enter_context(contextlib.closing(subscribe_frames(self.folder, CAMERA, name)))

    def queue(self, name: str, depth: int, size: int) -> Queue:
        return self._ends.enter_context(contextlib.closing(Queue(name, depth, size)))

    def both(self) -> tuple[Publisher[FrameWriter], Subscriber[Frame]]:
        return self.publisher(), self.subscriber()


def publish(publisher: Publisher[FrameWriter], byte: int) -> int:
    """Publish a picture of this byte; return the slot it went to."""
    writer = publisher.borrow()
    writer.data[:SIZE] = bytes([byte]) * SIZE
    writer.write(FrameInfo(byte, 0, 0, 64, 64, PixelFormat.JPEG), SIZE)
    publisher.send(writer)
    return writer.slot


def received(subscriber: Subscriber[Frame]) -> int | None:
    """Receive and give back; return the byte of the picture, which must be of nothing else."""
    loan = subscriber.receive()
    if loan is None:
        return None
    with loan as frame:
        return only_byte(frame)


def only_byte(frame: Frame) -> int:
    (byte,) = set(bytes(frame.data))
    assert frame.info.frame_number == byte
    return byte


def die(subscriber: Subscriber[Frame]) -> None:
    """The kernel closes what a killed process had open; nobody says goodbye."""
    subscriber._registration.close()
    subscriber._undo.pop_all()
    subscriber._queue.close()
    subscriber._releases.close()


def test_the_latest_publication_wins_and_both_sides_count_the_loss(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    assert received(subscriber) == 1
    for byte in (2, 3, 4):
        publish(publisher, byte)
    assert received(subscriber) == 4
    assert received(subscriber) is None
    assert subscriber.lost == 2
    assert publisher.lost == {"inference": 2, "gateway": 0}
    assert publisher.sequence == 4


def test_what_was_published_before_one_sat_down_is_not_a_loss(mail: Mail) -> None:
    publisher = mail.publisher()
    for byte in range(5):
        publish(publisher, byte)
    subscriber = mail.subscriber()
    assert received(subscriber) is None
    publish(publisher, 5)
    assert received(subscriber) == 5
    assert subscriber.lost == 0
    assert publisher.lost == {"inference": 0, "gateway": 0}


def test_every_subscriber_gets_the_same_picture(mail: Mail) -> None:
    publisher, inference = mail.both()
    gateway = mail.subscriber("gateway")
    publish(publisher, 9)
    one, other = inference.receive(), gateway.receive()
    assert one is not None
    assert other is not None
    assert only_byte(one.value) == only_byte(other.value) == 9


def test_one_receives_only_with_empty_hands(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    loan = subscriber.receive()
    assert loan is not None
    publish(publisher, 2)
    with pytest.raises(LoanError, match="empty hands"):
        subscriber.receive()
    loan.release()
    assert received(subscriber) == 2


def test_a_slow_reader_keeps_its_slot_whole_while_the_publisher_goes_on(mail: Mail) -> None:
    publisher, slow = mail.both()
    swift = mail.subscriber("gateway")
    publish(publisher, 255)
    loan = slow.receive()
    assert loan is not None
    used = set()
    for byte in range(200):
        used.add(publish(publisher, byte))
        assert received(swift) == (byte if byte else 0)
        assert only_byte(loan.value) == 255
    assert len(used) == SLOTS - 1
    loan.release()
    assert received(slow) == 199
    assert slow.lost == 199
    assert swift.lost == 0


def test_every_slot_but_the_last_may_be_in_use_and_the_publisher_still_goes_on(mail: Mail) -> None:
    publisher, inference = mail.both()
    gateway = mail.subscriber("gateway")
    publish(publisher, 1)
    held = [inference.receive()]
    publish(publisher, 2)
    held.append(gateway.receive())
    for byte in range(3, 50):
        publish(publisher, byte)
    assert [only_byte(loan.value) for loan in held if loan is not None] == [1, 2]


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


def test_with_a_full_release_queue_the_release_is_kept_and_nothing_is_received_until_it_is_sent(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    held = publish(publisher, 1)
    loan = subscriber.receive()
    assert loan is not None
    releases = mail.queue(mail.folder.release_queue(FRAMES), RELEASE_DEPTH, RELEASE_BYTES)
    while releases.send(bytes(RELEASE_BYTES)):
        pass
    publish_without_looking = publisher.borrow()
    while releases.send(bytes(RELEASE_BYTES)):
        pass
    loan.release()
    publish_without_looking.write(FrameInfo(2, 0, 0, 64, 64, PixelFormat.JPEG), 0)
    publisher.send(publish_without_looking)
    assert subscriber.receive() is None  # something is there, but the release comes first

    assert held not in {publish(publisher, 3), publish(publisher, 4)}  # takes all releases out of the queue
    assert received(subscriber) == 4
    assert held in {publish(publisher, byte) for byte in range(5, 5 + SLOTS)}


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


def test_the_descriptor_of_the_queue_wakes_poll(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    poller = select.poll()
    poller.register(subscriber.fileno(), select.POLLIN)
    assert poller.poll(0) == []
    publish(publisher, 1)
    assert poller.poll(0) == [(subscriber.fileno(), select.POLLIN)]
    assert received(subscriber) == 1
    assert poller.poll(0) == []


def test_receive_after_poll_may_find_nothing_because_it_was_taken_back(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    descriptors = mail.queue(mail.folder.descriptor_queue(FRAMES, "inference"), 1, DESCRIPTOR_BYTES)
    assert select.select([subscriber.fileno()], [], [], 0)[0]
    assert descriptors.receive() is not None
    assert subscriber.receive() is None


def test_wait_returns_what_is_there_and_none_when_the_time_is_up(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    assert subscriber.wait(0) is None
    assert subscriber.wait(-1) is None
    publish(publisher, 1)
    loan = subscriber.wait(5)
    assert loan is not None
    assert only_byte(loan.value) == 1


def test_the_descriptor_of_the_queue_wakes_asyncio(mail: Mail) -> None:
    publisher, subscriber = mail.both()

    async def hear() -> list[int | None]:
        loop = asyncio.get_running_loop()
        heard: asyncio.Queue[int | None] = asyncio.Queue()
        loop.add_reader(subscriber.fileno(), lambda: heard.put_nowait(received(subscriber)))
        seen = []
        for byte in (1, 2, 3):
            loop.call_soon(publish, publisher, byte)
            seen.append(await asyncio.wait_for(heard.get(), 10))
        loop.remove_reader(subscriber.fileno())
        return seen

    assert asyncio.run(hear()) == [1, 2, 3]


def test_a_loan_that_was_given_back_has_no_value(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    loan = subscriber.receive()
    assert loan is not None
    loan.release()
    loan.release()  # twice is once
    with pytest.raises(LoanError, match="given back"):
        _ = loan.value


def test_a_picture_dies_with_its_loan(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)
    loan = subscriber.receive()
    assert loan is not None
    data = loan.value.data
    assert data.readonly
    loan.release()
    with pytest.raises(ValueError, match="released"):
        bytes(data)


LOOKS: list[Callable[[memoryview], Any]] = [
    lambda data: np.frombuffer(data, np.uint8),
    lambda data: np.frombuffer(data, np.uint8)[10:20],
    np.asarray,
    lambda data: data[10:20],
    memoryview,
    lambda data: data.cast("I"),
    lambda data: data.toreadonly(),
]


@pytest.mark.parametrize(
    "look", LOOKS, ids=["array", "slice of array", "asarray", "slice", "memoryview", "cast", "toreadonly"]
)
def test_a_view_that_outlives_its_loan_is_an_error_and_the_slot_stays_lent(
    mail: Mail, look: Callable[[memoryview], Any]
) -> None:
    publisher, subscriber = mail.both()
    held = publish(publisher, 1)
    loan = subscriber.receive()
    assert loan is not None
    view = look(loan.value.data)
    with pytest.raises(LoanError, match="outlives its loan"):
        loan.release()
    with pytest.raises(LoanError):
        subscriber.close()
    assert held not in {publish(publisher, byte) for byte in range(2, 20)}
    assert set(bytes(view)) == {1}

    del view
    loan.release()
    assert received(subscriber) == 19
    assert held in {publish(publisher, byte) for byte in range(20, 20 + SLOTS)}


def test_an_error_on_its_way_out_does_not_keep_the_slot(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    publish(publisher, 1)

    def look(frame: Frame) -> None:
        picture = np.frombuffer(frame.data, np.uint8)
        try:
            picture.reshape(7, 7)
        except ValueError:
            raise RuntimeError("no picture") from None

    loan = subscriber.receive()
    assert loan is not None
    with pytest.raises(RuntimeError, match="no picture"), loan as frame:
        look(frame)
    publish(publisher, 2)
    assert received(subscriber) == 2


def test_whoever_leaves_its_seat_lets_go_of_what_it_holds(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    held = publish(publisher, 1)
    assert subscriber.receive() is not None
    subscriber.close()
    mail.subscriber()
    assert held in {publish(publisher, byte) for byte in range(2, 2 + SLOTS)}


def test_a_slot_that_is_not_what_was_announced_is_given_back(mail: Mail) -> None:
    publisher, subscriber = mail.both()
    for byte in range(10):
        publisher.send(publisher.borrow())  # never written
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


def test_nobody_else_may_read_anything_of_a_channel(mail: Mail) -> None:
    before = os.umask(0)
    try:
        publisher, subscriber = mail.both()
    finally:
        os.umask(before)
    publish(publisher, 1)
    files = [file for file in (mail.folder.path / "frames").iterdir() if file.is_file()]
    assert len(files) == 4  # the channel, its lock, two seats
    modes = [file.stat().st_mode for file in files] + [os.fstat(subscriber.fileno()).st_mode]
    assert {stat.S_IMODE(mode) for mode in modes} == {0o600}


def test_detections_and_states_are_copies_that_outlive_their_slot(
    folder: RunFolder, ends: contextlib.ExitStack
) -> None:
    detections = ends.enter_context(contextlib.closing(publish_detections(folder, CAMERA)))
    states = ends.enter_context(contextlib.closing(publish_state(folder, CAMERA)))
    ears = ends.enter_context(contextlib.closing(subscribe_detections(folder, CAMERA, "controller")))
    eyes = ends.enter_context(contextlib.closing(subscribe_state(folder, CAMERA, "capture")))
    info = FrameInfo(5, 6, 7, 640, 480, PixelFormat.I420)
    kept = []
    for count in range(10):
        rows = detections.borrow()
        ones = np.ones(count, np.float32)
        rows.write(Detections(info, np.full((count, 4), count, np.float32), ones, ones.astype(np.int32), 8))
        detections.send(rows)
        state = states.borrow()
        state.write(CameraState(mode=Mode.ALARMED, known=True, person_count=count))
        states.send(state)
        kept.append((ears.take(), eyes.take()))
    assert ears.take() is None
    for count, (found, state_read) in enumerate(kept):
        assert found is not None
        assert found.frame == info
        assert found.boxes.tolist() == [[count] * 4] * count
        assert state_read == CameraState(mode=Mode.ALARMED, known=True, person_count=count)


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


def test_a_last_state_that_cannot_be_read_is_none(folder: RunFolder) -> None:
    path = folder.channel_file(Channel("state", CAMERA))
    for junk in (b"", b"junk" * 1000):
        path.write_bytes(junk)
        assert last_state(folder, CAMERA) is None
