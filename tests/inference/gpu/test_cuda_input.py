"""A frame's way onto a card that is none: CuPy's calls, their order, and a fault in each of them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

from appliance.inference.detector import BackendError
from appliance.inference.gpu.cuda_input import CudaInput
from appliance.inference.gpu.cupy_device import open_device
from appliance.inference.picture import Decoder, PictureError
from appliance.messages import Frame, FrameInfo, PixelFormat
from tests.inference.gpu.card import LOST, NO_MEMORY, NOT_STARTED, Card
from tests.inference.gpu.frames import RAW, apart, expected, frame, noise, take_back
from tests.inference.gpu.processor import OnProcessor
from tests.inference.test_picture import NO_SIZES

SIDE = 64
FORMATS = [*RAW, PixelFormat.JPEG]
NAMES = [kind.name for kind in FORMATS]
TO_OPEN = ["getDeviceCount", "use 0", "Stream", "RawKernel", "compile", "Memory"]
FIRST = ["Memory", "PinnedMemory", "memcpyAsync", "launch"]
LATER = ["synchronize", "memcpyAsync", "launch"]


class Taking:
    """The input on a card."""

    def __init__(self, card: Card, side: int = SIDE) -> None:
        self.card, self.side = card, side
        self.device = open_device()
        self.input = CudaInput(self.device, side)

    def seen(self, one: Frame) -> Any:
        """Take a frame in and return the tensor when the card is done."""
        self.input.take(one)
        self.device.synchronise()
        return self.card.floats(self.input.pointer, self.side)


@pytest.mark.parametrize("kind", FORMATS, ids=NAMES)
@pytest.mark.parametrize(("width", "height"), [(2, 2), (64, 48), (640, 360), (130, 70), (1280, 960)])
def test_every_format_arrives_as_on_the_processor(card: Card, kind: PixelFormat, width: int, height: int) -> None:
    one = noise(kind, width, height)
    assert apart(Taking(card).seen(one), expected(one, SIDE)) < 0.02


@pytest.mark.real
@pytest.mark.parametrize("kind", FORMATS, ids=NAMES)
def test_every_format_arrives_through_the_kernel_itself(card: Card, kernel: OnProcessor, kind: PixelFormat) -> None:
    card.kernel = kernel
    taking = Taking(card)
    for number, (width, height) in enumerate([(2, 2), (640, 360), (64, 48), (1920, 1080), (640, 360)]):
        one = noise(kind, width, height, seed=number)
        assert apart(taking.seen(one), expected(one, SIDE)) <= 1


@pytest.mark.parametrize(("kind", "width", "height"), [(PixelFormat.RGB24, 3, 5), (PixelFormat.YUYV, 4, 3)])
def test_what_has_no_shared_colour_may_be_odd(card: Card, kind: PixelFormat, width: int, height: int) -> None:
    one = noise(kind, width, height)
    assert apart(Taking(card).seen(one), expected(one, SIDE)) < 0.02


def test_a_jpeg_travels_at_the_scale_that_still_covers_the_input(card: Card) -> None:
    taking = Taking(card)
    taking.input.take(noise(PixelFormat.JPEG, 640, 480))
    assert taking.input._pinned.size == 160 * 120 * 3
    taking.input.close()


def test_a_raw_frame_travels_as_it_is(card: Card) -> None:
    taking = Taking(card)
    one = noise(PixelFormat.NV12, 640, 480)
    taking.input.take(one)
    assert taking.input._pinned.tobytes() == bytes(one.data)
    taking.input.close()


@pytest.mark.parametrize("kind", FORMATS, ids=NAMES)
def test_the_frames_bytes_are_not_looked_into_any_more(card: Card, kind: PixelFormat) -> None:
    """The slot goes back when take() returns, while the card is still at work: what comes into it next is not seen."""
    taking = Taking(card)
    one = noise(kind, 640, 480)
    before = expected(one, SIDE).copy()
    taking.input.take(one)
    assert not card.idle
    one.data[:] = bytes(one.data.nbytes)
    take_back(one)
    taking.device.synchronise()
    assert apart(card.floats(taking.input.pointer, SIDE), before) < 0.02


def test_the_first_frame_asks_for_memory_and_the_others_wait_for_the_upload_before_them(card: Card) -> None:
    taking = Taking(card)
    assert card.calls == TO_OPEN
    for _ in range(3):
        taking.input.take(noise(PixelFormat.YUYV, 64, 48))
    assert card.calls == [*TO_OPEN, *FIRST, *LATER, *LATER]
    taking.input.close()


def test_pinned_memory_that_is_written_too_early_would_be_noticed(card: Card) -> None:
    """The double's own test: without the wait, the second frame would be the first one's."""
    taking = Taking(card)
    taking.input.take(noise(PixelFormat.YUYV, 64, 48, 1))
    taking.input._uploading = False
    taking.input.take(noise(PixelFormat.YUYV, 64, 48, 2))
    taking.device.synchronise()
    assert card.wrongs == ["pinned memory was written while it was being uploaded"]
    card.wrongs.clear()


def test_frames_of_all_sizes_and_formats_take_turns_in_one_tensor(card: Card) -> None:
    taking = Taking(card)
    where = taking.input.pointer
    for number, (width, height) in enumerate([(64, 48), (640, 480), (2, 2), (1280, 720), (64, 48)]):
        for kind in FORMATS:
            one = noise(kind, width, height, seed=number)
            assert apart(taking.seen(one), expected(one, SIDE)) < 0.02
    assert taking.input.pointer == where
    assert [len(card.device), len(card.pinned)] == [2, 1]


def test_memory_is_asked_for_anew_only_for_a_larger_frame(card: Card) -> None:
    taking = Taking(card)
    for width in (64, 128, 96, 128, 64):
        taking.input.take(noise(PixelFormat.YUYV, width, 48))
    assert card.calls.count("PinnedMemory") == 2
    taking.input.close()


def test_what_it_had_goes_back_when_it_is_closed(card: Card) -> None:
    taking = Taking(card)
    taking.input.take(noise(PixelFormat.YUYV, 64, 48))
    taking.input.close()
    assert [card.device, card.pinned, card.idle] == [{}, {}, True]


@pytest.mark.parametrize(("kind", "width", "height"), NO_SIZES)
def test_a_size_that_there_is_not_is_refused_in_decoders_words(
    card: Card, kind: PixelFormat, width: int, height: int
) -> None:
    one = frame(kind, width, height, bytes(kind.raw_size(width, height)))
    with pytest.raises(PictureError) as decoders:
        Decoder(SIDE).decode(one)
    taking = Taking(card)
    with pytest.raises(PictureError) as ours:
        taking.input.take(one)
    assert str(ours.value) == str(decoders.value)
    assert card.calls == TO_OPEN
    take_back(one)


@pytest.mark.parametrize("kind", RAW, ids=lambda kind: kind.name)
@pytest.mark.parametrize("more", [-1, 1])
def test_a_length_that_is_not_the_pictures_never_reaches_the_card(card: Card, kind: PixelFormat, more: int) -> None:
    length = kind.raw_size(64, 48) + more
    one = Frame(FrameInfo(1, 0, 0, 64, 48, kind), memoryview(bytearray(length)))
    taking = Taking(card)
    with pytest.raises(PictureError, match=f"{length} bytes are no {kind.name} picture of 64x48"):
        taking.input.take(one)
    assert card.calls == TO_OPEN
    take_back(one)


def test_a_picture_whose_positions_the_kernel_could_not_count_is_none(card: Card) -> None:
    one = frame(PixelFormat.RGB24, 1 << 16, 1, bytes(3 << 16))
    with pytest.raises(PictureError, match="no RGB24 picture of 65536x1"):
        Taking(card).input.take(one)


def test_after_a_broken_jpeg_the_next_frame_is_taken(card: Card) -> None:
    taking = Taking(card)
    broken = frame(PixelFormat.JPEG, 640, 480, b"no JPEG")
    with pytest.raises(PictureError, match="broken JPEG"):
        taking.input.take(broken)
    take_back(broken)
    one = noise(PixelFormat.JPEG, 640, 480)
    assert apart(taking.seen(one), expected(one, SIDE)) < 0.02


WORK = [*FIRST, "synchronize", *FIRST, *LATER]
"""Of three frames, the second of which is larger than the first."""
FAULTS = [(LOST, True), (NO_MEMORY, False), (NOT_STARTED, False)]
"""And whether the card is of no use afterwards."""


def three_frames(card: Card, given: Frame) -> Taking:
    taking = Taking(card)
    taking.input.take(noise(PixelFormat.YUYV, 32, 24))
    for _ in range(2):
        taking.input.take(given)
    return taking


def test_three_frames_are_these_calls(card: Card) -> None:
    taking = three_frames(card, noise(PixelFormat.YUYV, 64, 48))
    assert card.calls == [*TO_OPEN, *WORK]
    taking.input.close()


@pytest.mark.parametrize(("fault", "for_good"), FAULTS, ids=["lost", "no memory", "not started"])
@pytest.mark.parametrize("number", range(len([*TO_OPEN, *WORK])), ids=lambda n: f"{n}-{[*TO_OPEN, *WORK][n]}")
@pytest.mark.parametrize("kind", [PixelFormat.YUYV, PixelFormat.JPEG], ids=["YUYV", "JPEG"])
def test_a_fault_in_any_call_is_told_in_words_and_leaves_nothing_behind(
    card: Card, kind: PixelFormat, number: int, fault: Callable[[], Exception], for_good: bool
) -> None:
    card.fails_at, card.fault, card.for_good = number, fault, for_good
    given = noise(kind, 64, 48)
    with pytest.raises(BackendError) as caught:
        three_frames(card, given)
    said = str(caught.value)
    assert str(fault()) in said
    assert said.startswith("the graphics card ")
    assert len(card.calls) == number + 1, "it went on after the fault"
    take_back(given)  # while the error is still alive
    card.work_off()
    del caught
    gc.collect()
    assert [card.device, card.pinned] == [{}, {}]


def test_a_card_that_fails_while_it_is_closed_keeps_that_to_itself(card: Card) -> None:
    taking = Taking(card)
    taking.input.take(noise(PixelFormat.YUYV, 64, 48))
    card.fails_at = len(card.calls)
    taking.input.close()
    assert card.calls[-1] == "synchronize"
    assert [card.device, card.pinned] == [{}, {}]


def test_from_a_frame_to_the_card_nothing_is_allocated_that_stays(card: Card) -> None:
    taking = Taking(card)
    one = noise(PixelFormat.JPEG, 640, 480)
    taking.seen(one)
    there = list(card.device), list(card.pinned)
    for _ in range(20):
        taking.seen(one)
    assert (list(card.device), list(card.pinned)) == there
