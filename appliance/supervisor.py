"""Starts child processes, restarts the dead and the silent with bounded backoff, stops them together.

`porchlight run` supervises the four stages with it, and `stage capture` one process per camera.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from appliance.ipc.heartbeat import HeartbeatFile, read_heartbeats
from appliance.messages import Health
from appliance.stage import down_fact, last_words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appliance.stage import StageContext

log = logging.getLogger(__name__)

PORCHLIGHT = (sys.executable, "-m", "appliance.cli")
REFUSED = 2
"""Exit code of a stage that was given something it can never work with; the text is on stderr."""
START_PATIENCE_S = 60.0
"""How long a starting stage (a large model on a small board) may go without a heartbeat."""
STOP_PATIENCE_S = 4.0
"""Between SIGTERM and SIGKILL: the promise is that all is stopped within five seconds."""
NESTED_STOP_PATIENCE_S = 2.5
"""The same for a supervisor below another one, which must be done before that one loses its patience."""
WELL_S = 10.0
"""A stage that ran this long was well: the next death starts the backoff anew."""
BACKOFF_FIRST_S = 0.5
LOOK_EVERY_S = 0.5


@dataclass(slots=True)
class Child:
    """One process to keep alive. `name` is its heartbeat's."""

    name: str
    arguments: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    pidfd: int = -1
    started_s: float = 0.0
    start_at_s: float = 0.0
    deaths: int = 0
    was_running: bool = False
    refused: bool = False
    asked_to_end: bool = False
    """Terminated on purpose: its death is no failure."""
    leaving: bool = False
    """And it is not started again."""
    kill_at_s: float = float("inf")


class ChildRefusedError(Exception):
    """A stage refused its settings when it first started; it has said why on stderr."""


class Supervisor:
    """Keeps children alive until told to stop."""

    def __init__(
        self,
        context: StageContext,
        *,
        restart_most_s: float,
        silence_s: float,
        stop_patience_s: float = STOP_PATIENCE_S,
        program: Sequence[str] = PORCHLIGHT,
    ) -> None:
        self._folder = context.folder
        self._children: list[Child] = []
        self._pulse = context.pulse
        self._stop = context.stop
        self._restart_most_s = restart_most_s
        self._silence_s = silence_s
        self._program = program
        self._stop_patience_s = stop_patience_s
        self._looked_s = time.monotonic()
        self._pardon_until_s = 0.0

    def run(self, first: Sequence[str] = (), at_each_look: Callable[[], None] = lambda: None) -> None:
        """Start everything and stay until a stop; then end everything.

        The children named in `first` go first and must come up before the others start, so that a refused model or a
        taken port starts nothing by half: ChildRefusedError. `at_each_look` is called about twice a second; it may add,
        drop and renew children.
        """
        try:
            self._start_first([child for child in self._children if child.name in first])
            self._pulse.health = Health.RUNNING
            while not self._stop:
                self._start_due()
                self._wait(LOOK_EVERY_S)
                self._look_for_silence()
                at_each_look()
        finally:
            self._end_all()

    def add(self, child: Child) -> None:
        """Start one more."""
        self._children.append(child)
        self._pulse.begin([f"restarts.{child.name}"])

    def drop(self, child: Child) -> None:
        """End one for good."""
        child.leaving = True
        self._ask_to_end(child)

    def renew(self, name: str) -> None:
        """End a child and start it again, with whatever it reads when it starts."""
        for child in self._children:
            if child.name == name:
                self._ask_to_end(child)

    def _ask_to_end(self, child: Child) -> None:
        if child.process is None:
            self._children = [one for one in self._children if not (one is child and child.leaving)]
        elif not child.asked_to_end:
            child.asked_to_end = True
            child.kill_at_s = time.monotonic() + self._stop_patience_s
            child.process.terminate()

    def _start_first(self, children: list[Child]) -> None:
        for child in children:
            self._start(child)
        deadline = time.monotonic() + START_PATIENCE_S
        while not self._stop and not all(child.was_running for child in children):
            self._wait(0.1)
            self._look_for_silence()
            for child in children:
                if child.process is None and child.refused:
                    raise ChildRefusedError(child.name)
            self._start_due(only=children)
            if time.monotonic() > deadline:
                log.warning("still starting after %.0f s; going on with the others", START_PATIENCE_S)
                return

    def _start_due(self, only: Sequence[Child] | None = None) -> None:
        for child in self._children if only is None else only:
            due = time.monotonic() >= child.start_at_s and not self._is_preceded(child)
            if child.process is None and due and not self._stop:
                self._start(child)

    def _is_preceded(self, child: Child) -> bool:
        """Whether one of the same name is still on its way out."""
        return any(other is not child and other.name == child.name and other.leaving for other in self._children)

    def _start(self, child: Child) -> None:
        try:
            process = subprocess.Popen(
                [*self._program, *child.arguments, "--supervised"],
                stdin=subprocess.PIPE,  # its end tells the child that we are gone
            )
        except OSError as error:  # no memory, no process, no descriptor left: the others must go on
            child.start_at_s = time.monotonic() + self._restart_most_s
            log.error("cannot start %s (%s); trying again in %.0f s", child.name, error, self._restart_most_s)  # noqa: TRY400
            return
        try:
            child.pidfd = os.pidfd_open(process.pid)
        except OSError:
            process.kill()
            process.wait()
            child.start_at_s = time.monotonic() + self._restart_most_s
            return
        child.process = process
        child.started_s = time.monotonic()
        child.was_running = False
        log.debug("started %s", child.name)

    def _wait(self, seconds: float) -> None:
        """Until a child dies, a stop comes, or the time is up: a death is seen at once."""
        poller = select.poll()
        poller.register(self._stop.fileno(), select.POLLIN)
        for child in self._children:
            if child.process is not None:
                poller.register(child.pidfd, select.POLLIN)
        poller.poll(seconds * 1000)
        for child in list(self._children):
            if child.process is not None and child.process.poll() is not None:
                self._bury(child)
        self._pulse.beat()

    def _bury(self, child: Child) -> None:
        """Take note of a death: nobody must believe its last heartbeat, and the next life is due after a pause."""
        if child.process is None:
            return
        code = child.process.wait()
        self._close(child)
        HeartbeatFile(self._folder, child.name).remove()
        if child.leaving:
            self._children = [one for one in self._children if one is not child]
            self._pulse.facts.pop(down_fact(child.name), None)
            log.info("%s has ended", child.name)
            return
        now = time.monotonic()
        if child.asked_to_end:
            child.asked_to_end, child.kill_at_s, child.deaths, child.start_at_s = False, float("inf"), 0, now
            return
        if now - child.started_s > WELL_S:
            child.deaths = 0
        child.deaths += 1
        child.refused = code == REFUSED
        backoff = min(BACKOFF_FIRST_S * 2 ** (child.deaths - 2), self._restart_most_s) if child.deaths > 1 else 0.0
        child.start_at_s = now + backoff * random.uniform(0.8, 1.2)
        self._pulse.counters[f"restarts.{child.name}"] = self._pulse.counters.get(f"restarts.{child.name}", 0) + 1
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        self._pulse.facts[down_fact(child.name)] = last_words(self._folder, child.name) or f"it {how}"
        if not self._stop:
            log.warning("%s %s; starting it again in %.1f s", child.name, how, backoff)

    def _look_for_silence(self) -> None:
        beats = read_heartbeats(self._folder)
        now = time.monotonic()
        # Where we slept ourselves, the whole machine was paused: nobody's fault.
        if now - self._looked_s > LOOK_EVERY_S + self._silence_s / 2:
            self._pardon_until_s = now + self._silence_s
        self._looked_s = now
        if now < self._pardon_until_s:
            return
        for child in self._children:
            if child.process is None:
                continue
            if now > child.kill_at_s:
                child.process.kill()
            beat = beats.get(child.name)
            if beat is not None and beat.beat_ns / 1e9 >= child.started_s:
                child.was_running |= beat.health is Health.RUNNING
                if child.was_running:
                    self._pulse.facts.pop(down_fact(child.name), None)
                quiet_s = now - beat.beat_ns / 1e9
                # The first load of a model blocks its process; what runs must beat.
                allowed_s = self._silence_s if child.was_running else START_PATIENCE_S
            else:
                quiet_s, allowed_s = now - child.started_s, START_PATIENCE_S
            if quiet_s > allowed_s:
                child.process.kill()
                log.error("%s has not been heard of for %.0f s; replacing it", child.name, quiet_s)

    def _end_all(self) -> None:
        """TERM to all at once, KILL to those that take too long."""
        living = [child for child in self._children if child.process is not None]
        for child in living:
            if child.process is not None:
                child.process.terminate()
        deadline = time.monotonic() + self._stop_patience_s
        for child in living:
            if child.process is None:
                continue
            try:
                child.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("%s does not stop; killing it", child.name)
                child.process.kill()
                child.process.wait()
            self._close(child)

    def _close(self, child: Child) -> None:
        if child.process is not None and child.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                child.process.stdin.close()
        os.close(child.pidfd)
        child.process, child.pidfd = None, -1
