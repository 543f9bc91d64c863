"""Each rule of the protocol is needed: without it a search finds a torn slot, a blocked publisher or a deaf reader."""

from collections.abc import Iterator

import pytest

from appliance.ipc.protocol import NOBODY, Descriptor, Ledger, Release
from tests.ipc.exhaustive import explore
from tests.ipc.walks import walks_until
from tests.ipc.world import BlockedError, File, HarmError, TornError, UnheardError, World


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


class SeatsReadOnce(World):
    """Who sits down later is taken for the first who sat there."""

    def _new_ledger(self, generation: int) -> Ledger:
        class OfOldFriends(Ledger):
            def read_seat(self, subscriber: int, epoch: int) -> None:
                if self.epochs[subscriber] == NOBODY:
                    super().read_seat(subscriber, epoch)

        return OfOldFriends(generation, self.subscribers)


BROKEN = pytest.mark.parametrize(
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
        (SeatsReadOnce, UnheardError),
    ],
)


@pytest.mark.parametrize("subscribers", [1, 2, 3])
@BROKEN
def test_without_any_one_of_its_rules_the_protocol_breaks_and_the_search_finds_out(
    broken: type[World], harm: type[HarmError], subscribers: int
) -> None:
    assert walks_until(harm, lambda: broken(subscribers), most=5000) < 5000


@BROKEN
def test_the_exhaustive_search_finds_out_too(broken: type[World], harm: type[HarmError]) -> None:
    with pytest.raises(harm):
        explore(lambda: broken(1), most=50_000)
