"""The latest publication wins, losses are counted on both sides, and whoever waits is woken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat

import numpy as np

from appliance.ipc.mailbox import publish_detections, publish_state, subscribe_detections, subscribe_state
from appliance.ipc.protocol import DESCRIPTOR_BYTES, RELEASE_BYTES, RELEASE_DEPTH
from appliance.ipc.run_folder import RunFolder
from appliance.messages import CameraState, Detections, FrameInfo, Mode, PixelFormat, Rows
from tests.ipc.mail import CAMERA, FRAMES, SLOTS, Mail, only_byte, publish, received


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


def test_a_slow_reader_keeps_its_slot_whole_while_the_publisher_goes_on(mail: Mail) -> None:
    publisher, slow = mail.both()
    swift = mail.subscriber("gateway")
    publish(publisher, 255)
    loan = slow.receive()
    assert loan is not None
    used = set()
    for byte in range(200):
        used.add(publish(publisher, byte))
        assert received(swift) == byte
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
        rows.write(Detections(info, Rows.of(np.full((count, 4), count, np.float32), ones, ones.astype(np.int32)), 8))
        detections.send(rows)
        state = states.borrow()
        state.write(CameraState(mode=Mode.ALARMED, known=True, person_count=count))
        states.send(state)
        kept.append((ears.take(), eyes.take()))
    assert ears.take() is None
    for count, (found, state_read) in enumerate(kept):
        assert found is not None
        assert found.frame == info
        assert found.rows.boxes.tolist() == [[count] * 4] * count
        assert state_read == CameraState(mode=Mode.ALARMED, known=True, person_count=count)
