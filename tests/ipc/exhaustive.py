"""Every state that a world with one subscriber can come to, not only those that a random walk meets.

Publisher and reader are generators, which cannot be copied: a state is reached again by taking the same steps from the
beginning. Two states are one if they differ only in names: of epochs and generations only sameness matters, of
sequences sameness and order. So there are finitely many, and the search ends.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

from appliance.ipc.protocol import NOBODY, Descriptor, Release
from tests.ipc.world import WRITING, File, World

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator

Step: TypeAlias = "Callable[[World], None]"


def publisher_runs(world: World) -> None:
    world.publisher_runs()


def new_publisher(world: World) -> None:
    world.new_publisher()


def reader_runs(world: World) -> None:
    world.reader_runs(0)


def reader_sits(world: World) -> None:
    world.reader_sits(0)


def reader_dies(world: World) -> None:
    world.reader_dies(0)


def explore(make_world: Callable[[], World], most: int) -> int:
    """Go everywhere, the nearest states first; return how many there are. `most` means that there may be more.

    HarmError: one of them must not be.
    """
    known = {state_of(make_world())}
    ways: deque[tuple[Step, ...]] = deque([()])

    def look(way: tuple[Step, ...], step: Step, world: World) -> None:
        step(world)
        state = state_of(world)
        if state not in known:
            known.add(state)
            ways.append((*way, step))

    while ways and len(known) < most:
        way = ways.popleft()
        world = _after(make_world, way)
        sitting = world.readers[0] is not None
        for step in (new_publisher, reader_dies if sitting else reader_sits):
            before = {**vars(world), "readers": [*world.readers], "hands": [*world.hands]}
            look(way, step, world)
            vars(world).update(before)  # these put one process in another's place, and nothing has run yet
        look(way, publisher_runs, world)
        if sitting:
            look(way, reader_runs, _after(make_world, way))
    return len(known)


def state_of(world: World) -> Hashable:
    """Return all that decides on what can still happen."""
    ledger = world.ledger
    publisher, reader = _locals(world.publisher), _locals(world.readers[0])
    mapped: File = reader.get("mapped") or File(-1, [])
    descriptors: list[Descriptor | None] = [world.descriptors[0], publisher.get("unread"), reader.get("descriptor")]
    taken = descriptors[-1]
    seen: tuple[File, int, int] = reader.get("seen") or (mapped, 0, 0)
    names = _Names(world, mapped, descriptors, seen)
    heard = world.heard[0]
    return (
        *(tuple(frame.f_lasti for frame in _frames(process)) for process in (world.publisher, world.readers[0])),
        *(names.epoch(epoch) for epoch in (world.seats[0], ledger.epochs[0], *publisher.get("sitting", ()))),
        names.file(world.file),
        names.file(File(ledger.generation, ledger._written)),
        tuple((names.sequence(ledger.generation, number), slot) for number, slot in ledger._loans[0].items()),
        tuple(names.release(release) for release in world.releases),
        *(names.descriptor(descriptor) for descriptor in descriptors),
        mapped is world.file,
        names.file(mapped),
        world.hands[0] and (world.hands[0][0] is world.file, world.hands[0][1]),
        names.sequence(seen[0].generation, seen[1]),
        _unaccounted(world, seen[0].generation, seen[1], seen[2]),
        taken and _unaccounted(world, taken.generation, taken.sequence, reader["lost"]),
        heard is not None and heard[:3] == (ledger.generation, world.seats[0], ledger.sequence),
    )


class _Names:
    """What stands for the epochs and sequences of a state: those of a file that is gone, and of the dead, are one."""

    def __init__(
        self, world: World, mapped: File, descriptors: list[Descriptor | None], seen: tuple[File, int, int]
    ) -> None:
        self._seat = world.seats[0]
        ledger = world.ledger
        self._generation = ledger.generation
        used = {mapped.generation: set(mapped.slots)}
        used[ledger.generation] = {ledger.sequence, *world.file.slots, *ledger._written, *ledger._loans[0]}
        mentioned = [(each.generation, each.sequence) for each in (*descriptors, *world.releases) if each is not None]
        for generation, sequence in (*mentioned, (seen[0].generation, seen[1])):
            used.get(generation, set()).add(sequence)
        self._ranks = {
            generation: {sequence: rank for rank, sequence in enumerate(sorted(sequences | {WRITING, 0}))}
            for generation, sequences in used.items()
        }

    def epoch(self, epoch: int) -> str:
        return "nobody" if epoch == NOBODY else "sits there" if epoch == self._seat else "dead"

    def sequence(self, generation: int, sequence: int) -> int | None:
        ranks = self._ranks.get(generation)
        return None if ranks is None else ranks[sequence]

    def file(self, file: File) -> tuple[int | None, ...]:
        return tuple(self.sequence(file.generation, sequence) for sequence in file.slots)

    def descriptor(self, descriptor: Descriptor | None) -> Hashable:
        if descriptor is None:
            return None
        generation, epoch, sequence, slot = descriptor
        if generation not in self._ranks:
            return self.epoch(epoch)
        return generation == self._generation, self.epoch(epoch), self.sequence(generation, sequence), slot

    def release(self, release: Release) -> int | None:
        return self.sequence(release.generation, release.sequence) if release.generation == self._generation else None


def _unaccounted(world: World, generation: int, sequence: int, lost: int) -> int | None:
    """Return how many publications since then are not known to be lost; None where their publisher is dead."""
    ledger = world.ledger
    if generation != ledger.generation:
        return None
    return (ledger.sequence - sequence) - (ledger.lost[0] - lost)


def _frames(process: Iterator[None] | None) -> Iterator[Any]:
    """A process's own place first, then that of the rule it is within."""
    generator: Any = process
    while generator is not None:
        yield generator.gi_frame
        generator = generator.gi_yieldfrom


def _locals(process: Iterator[None] | None) -> dict[str, Any]:
    return {name: value for frame in _frames(process) for name, value in frame.f_locals.items()}


def _after(make_world: Callable[[], World], way: Iterable[Step]) -> World:
    world = make_world()
    for step in way:
        step(world)
    return world
