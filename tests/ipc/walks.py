"""Random walks through a world: hypothesis shrinks what it finds, a plain walk goes a hundred times as far."""

import random
from collections.abc import Callable

from tests.ipc.world import HarmError, World

LONGEST_TURN = 8
"""Steps that a process may run before another's turn: less than one publication takes."""


def walk(world: World, chance: random.Random) -> None:
    """Let the processes run, die, return and be replaced for a while."""
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
