"""Whatever the order in which processes run, die and return: no torn slot, never without a free one, losses counted.

The world is a model (world.py), its decisions are the real Ledger's. test_ipc_protocol_rules.py shows that the search
would find what breaks.
"""

import random
from collections.abc import Callable

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
from tests.ipc.exhaustive import explore
from tests.ipc.values import U32, U64
from tests.ipc.walks import LONGEST_TURN, walk
from tests.ipc.world import World

READER = st.integers(0, MAX_SUBSCRIBERS - 1)


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


@pytest.mark.parametrize("subscribers", [1, 2, 3])
def test_no_interleaving_tears_a_slot_or_blocks_the_publisher(subscribers: int) -> None:
    run_state_machine_as_test(
        type("Interleavings", (Interleavings,), {"subscribers": subscribers}),
        settings=settings(max_examples=100, stateful_step_count=60),
    )


@pytest.mark.parametrize("subscribers", [1, 2, 3, 4])
def test_no_long_walk_tears_a_slot_or_blocks_the_publisher(subscribers: int) -> None:
    reads = 0
    for number in range(200):
        world = World(subscribers)
        walk(world, random.Random(number))
        reads += world.reads
    assert reads > 2000  # else the walks go nowhere


@pytest.mark.timeout(180)
def test_in_no_state_that_a_publisher_and_one_reader_can_come_to_is_a_slot_torn_or_the_publisher_blocked(
    figure: Callable[[str, str], None],
) -> None:
    states = explore(lambda: World(1), most=100_000)
    figure("mailbox, states of one publisher and one reader", f"{states:,}, each looked at")
    assert 10_000 < states < 100_000


@pytest.mark.parametrize("subscribers", [1, 2, 3, 4])
def test_who_sits_down_late_has_something_to_read_by_the_publishers_next_publication(subscribers: int) -> None:
    for number in range(200):
        world, chance = World(subscribers), random.Random(number)
        walk(world, chance)
        late = chance.randrange(subscribers)
        world.reader_dies(late)
        world.reader_sits(late)
        world.reader_runs(late)
        reads = world.reads
        until = world.ledger.sequence + 3  # one may be under way, the next is announced when a third has its number
        while world.ledger.sequence < until:
            world.publisher_runs()
        for _ in range(LONGEST_TURN):
            world.reader_runs(late)
        assert world.reads > reads


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
        if (release.generation, release.subscriber) != (7, 0) or release.sequence < sequence:
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
