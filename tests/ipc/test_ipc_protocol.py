"""Whatever the order in which processes run, die and return: no torn slot, never without a free one, losses counted.

The world is a model (world.py), its decisions are the real Ledger's. Each rule of the protocol is then taken away in
turn, and the same search must find out: a search that cannot is worth nothing.
"""

from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from appliance.ipc.errors import CorruptError
from appliance.ipc.protocol import MAX_SUBSCRIBERS, Descriptor, Ledger, Release
from tests.ipc.world import BlockedError, File, TornError, World
