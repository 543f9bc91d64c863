"""Whatever the order in which processes run, die and return: no torn slot, never without a free one, losses counted.

The world is a model (world.py), its decisions are the real Ledger's. Each rule of the protocol is then taken away in
turn, and the same search must find what breaks: a search that cannot is worth nothing.
"""

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule, run_state_machine_as_test

from appliance.ipc.errors import CorruptError
from appliance.ipc.protocol import (
    DESCRIPTOR_BYTES,
    MAX_SUBSCRIBERS,
    NOBODY,
    RELEASE_BYTES,
    SPARE_SLOTS,
    Descriptor,
    Ledger,
    Release,
)
from tests.ipc.world import BlockedError, File, HarmError, TornError, World

LONGEST_TURN = 8
"""Steps that a process may run before another's turn: less than one publication takes."""

READER = st.integers(0, MAX_SUBSCRIBERS - 1)
U64 = st.integers(0, 2**64 - 1)
U32 = st.integers(0, 2**32 - 1)


class Interleavings(RuleBasedStateMachine):
    """Any order of turns, deaths and returns. The world itself checks every step."""

    subscribers = 1

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.subscribers)

    @rule(steps=st.integers(1, LONGEST_TURN))
    def publisher_runs(self, steps: int) -> None:
        for _ in range(steps):
            self.world.publisher_runs()

    @rule(reader=READER, steps=st.integers(1, LONGEST_TURN))
    def reader_runs(self, reader: int, steps: int) -> None:
        for _ in range(steps):
            self.world.reader_runs(reader % self.subscribers)

    @rule(reader=READER)
    def reader_sits(self, reader: int) -> None:
        self.world.reader_sits(reader % self.subscribers)

    @precondition(lambda self: any(self.world.readers))
    @rule(reader=READER)
    def reader_dies(self, reader: int) -> None:
        self.world.reader_dies(reader % self.subscribers)

    @rule()
    def new_publisher(self) -> None:
        self.world.new_publisher()


def walk(world: World, chance: random.Random) -> None:
    """Hypothesis shrinks what it finds, but a plain random walk goes a hundred times as far in the same time."""
    for _ in range(400):
        reader = chance.randrange(world.subscribers)
        steps = range(chance.randint(1, LONGEST_TURN))
        match chance.choices(("publish", "read", "sit", "die", "replace"), (20, 20, 8, 1, 2))[0]:
            case "publish":
                for _ in steps:
                    world.publisher_runs()
            case "read":
                for _ in steps:
                    world.reader_runs(reader)
            case "sit":
                world.reader_sits(reader)
            case "die":
                world.reader_dies(reader)
            case "replace":
                world.new_publisher()


def walks_until(harm: type[HarmError], make_world: Callable[[], World], most: int) -> int:
    """Return how many walks it took to see `harm`; `most` means that it was not seen."""
    for number in range(most):
        try:
            walk(make_world(), random.Random(number))
        except harm:
            return number
        except HarmError:  # it broke, but not in the way that is looked for
            continue
    return most


@pytest.mark.parametrize("subscribers", [1, 2, 3])
def test_no_interleaving_tears_a_slot_or_blocks_the_publisher(subscribers: int) -> None:
    run_state_machine_as_test(
        type("Interleavings", (Interleavings,), {"subscribers": subscribers}),
        settings=settings(max_examples=100, stateful_step_count=60, deadline=None),
    )


@pytest.mark.parametrize("subscribers", [1, 2, 3, 4])
def test_no_long_walk_tears_a_slot_or_blocks_the_publisher(subscribers: int) -> None:
    reads = 0
    for number in range(200):
        world = World(subscribers)
        walk(world, random.Random(number))
        reads += world.reads
    assert reads > 2000  # else the walks go nowhere


def test_in_a_quiet_world_everything_is_read() -> None:
    world = World(2)
    for reader in range(2):
        world.reader_sits(reader)
        world.reader_runs(reader)
    for _ in range(1000):
        world.publisher_runs()
        for reader in range(2):
            world.reader_runs(reader)
    assert world.ledger.sequence > 50
    assert world.reads >= 2 * (world.ledger.sequence - 1)
    assert world.ledger.lost == [0, 0]


class NoEpochInDescriptors(World):
    """Who sits down reads what was meant for the dead one before it."""

    def _is_meant_for(self, _epoch: int, _descriptor: Descriptor) -> bool:
        return True


class NoEpochInSeats(World):
    """What a dead reader held is never forgotten."""

    def _new_ledger(self, generation: int) -> Ledger:
        class OfElephants(Ledger):
            def read_seat(self, subscriber: int, epoch: int) -> None:
                self.epochs[subscriber] = epoch

        return OfElephants(generation, self.subscribers)


class FileReused(World):
    """A new publisher writes into the file that is there."""

    def _new_file(self) -> File:
        return File(next(self.fresh), self.file.slots or super()._new_file().slots)


class GenerationIgnored(World):
    """A release counts, whichever file it speaks of."""

    def _new_ledger(self, generation: int) -> Ledger:
        class OfAnyFile(Ledger):
            def take_release(self, release: Release) -> None:
                super().take_release(Release(self.generation, release.sequence, release.subscriber))

        return OfAnyFile(generation, self.subscribers)


class ReleaseDropped(World):
    """A release that finds the queue full is lost."""

    def _give_back(self, i: int, descriptor: Descriptor) -> Iterator[None]:
        if len(self.releases) < self.release_depth:
            yield from super()._give_back(i, descriptor)


class OneSlotLess(World):
    """One spare slot instead of two."""

    def _new_ledger(self, generation: int) -> Ledger:
        ledger = super()._new_ledger(generation)
        ledger._written.pop()
        return ledger


class ReceivesBeforeRelease(World):
    """A reader receives the next publication while it still owes the release of the last."""

    def __init__(self, subscribers: int) -> None:
        self.owed: list[Descriptor | None] = [None] * subscribers
        super().__init__(subscribers)

    def _give_back(self, i: int, descriptor: Descriptor) -> Iterator[None]:
        previous, self.owed[i] = self.owed[i], descriptor
        if previous is not None:
            yield from super()._give_back(i, previous)


class ReleasesBeforeReading(World):
    """A reader gives back first and looks once more."""

    def _finish(self, i: int, file: File, descriptor: Descriptor) -> Iterator[None]:
        yield from self._give_back(i, descriptor)
        self._look(file, descriptor)
        self.hands[i] = None


class NotTakenBack(World):
    """The loan of an unread publication is not cancelled when the next replaces it."""

    def _new_ledger(self, generation: int) -> Ledger:
        class OfGifts(Ledger):
            def take_back(self, subscriber: int, descriptor: Descriptor) -> None:
                pass

        return OfGifts(generation, self.subscribers)


@pytest.mark.parametrize(
    ("broken", "harm"),
    [
        (NoEpochInDescriptors, TornError),
        (NoEpochInSeats, BlockedError),
        (FileReused, TornError),
        (GenerationIgnored, TornError),
        (ReleaseDropped, BlockedError),
        (OneSlotLess, BlockedError),
        (ReceivesBeforeRelease, BlockedError),
        (ReleasesBeforeReading, TornError),
        (NotTakenBack, BlockedError),
    ],
)
def test_without_any_one_of_its_rules_the_protocol_breaks_and_the_search_finds_out(
    broken: type[World], harm: type[HarmError]
) -> None:
    assert walks_until(harm, lambda: broken(1), most=5000) < 5000


@given(generation=U64, epoch=U64, sequence=U64, slot=U32)
def test_a_descriptor_comes_out_of_its_message_as_it_went_in(
    generation: int, epoch: int, sequence: int, slot: int
) -> None:
    descriptor = Descriptor(generation, epoch, sequence, slot)
    assert Descriptor.unpack(descriptor.pack()) == descriptor
    assert len(descriptor.pack()) == DESCRIPTOR_BYTES == 32


@given(generation=U64, sequence=U64, subscriber=U32)
def test_a_release_comes_out_of_its_message_as_it_went_in(generation: int, sequence: int, subscriber: int) -> None:
    release = Release(generation, sequence, subscriber)
    assert Release.unpack(release.pack()) == release
    assert len(release.pack()) == RELEASE_BYTES == 24


@given(st.binary(max_size=64))
def test_a_message_of_another_length_is_refused(message: bytes) -> None:
    for kind, size in ((Descriptor, DESCRIPTOR_BYTES), (Release, RELEASE_BYTES)):
        if len(message) != size:
            with pytest.raises(CorruptError, match=str(size)):
                kind.unpack(message)


@pytest.mark.parametrize("subscribers", [0, MAX_SUBSCRIBERS + 1])
def test_a_channel_has_one_to_four_subscribers(subscribers: int) -> None:
    with pytest.raises(ValueError, match="1 to 4"):
        Ledger(1, subscribers)


@given(st.integers(1, MAX_SUBSCRIBERS), st.lists(st.builds(Release, U64, U64, U32)))
def test_releases_that_mean_nothing_change_nothing(subscribers: int, releases: list[Release]) -> None:
    ledger = Ledger(7, subscribers)
    ledger.read_seat(0, 1)
    slot = ledger.choose_slot()
    sequence = ledger.next_sequence(slot)
    ledger.lend(0, slot)
    for release in releases:
        if release != Release(7, sequence, 0):
            ledger.take_release(release)
    assert all(ledger.choose_slot() != slot for _ in range(subscribers + SPARE_SLOTS))


def test_the_oldest_free_slot_is_written_so_that_the_newest_survives_longest() -> None:
    ledger = Ledger(1, 1)
    written = []
    for _ in range(6):
        written.append(ledger.choose_slot())
        ledger.next_sequence(written[-1])
    assert written == [0, 1, 2, 0, 1, 2]


def test_nobody_is_lent_anything_on_a_seat_that_was_never_taken() -> None:
    world = World(1)
    for _ in range(100):
        world.publisher_runs()
    assert world.seats == [NOBODY]
    assert world.descriptors == [None]
    assert world.ledger.lost == [0]


def test_a_descriptor_that_could_not_be_sent_is_a_loss_and_no_loan() -> None:
    ledger = Ledger(1, 1)
    ledger.read_seat(0, 5)
    for _ in range(10):
        slot = ledger.choose_slot()
        ledger.next_sequence(slot)
        ledger.lend(0, slot)
        ledger.cancel(0)
    assert ledger.lost == [10]
