"""The journal in the run folder: whatever happens to its process, it has what was noted, and brings nothing back."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from appliance.controller.outbox import journal as journal_module
from appliance.controller.outbox.event import Event
from appliance.controller.outbox.journal import Journal

FIRST = 1_700_000_000_000_000
"""Microseconds since 1970, as the outbox numbers them."""


def event(number: int, topic: str = "porch/event", **payload: object) -> Event:
    return Event(number, topic, payload, number * 1000, late=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.journal"


class Noted(NamedTuple):
    """What the journal held when its file had this size."""

    size: int
    pending: dict[int, Event]
    newest: dict[str, Event]


class AnyLife(RuleBasedStateMachine):
    """Put, remove, die and come back; a death cuts what was being written at any byte."""

    journal: Journal

    @initialize(largest=st.sampled_from([0, 200, 1000, 1_000_000]), done_most=st.sampled_from([1, 3, 5000]))
    def begin(self, largest: int, done_most: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "events.journal")
        self.before = journal_module.LARGEST, journal_module.DONE_MOST
        journal_module.LARGEST, journal_module.DONE_MOST = largest, done_most
        self.number = FIRST
        self.pending: dict[int, Event] = {}
        self.newest: dict[str, Event] = {}
        self.history: list[Noted] = []
        self.inode = 0
        self.open()

    def teardown(self) -> None:
        if hasattr(self, "journal"):
            self.journal.close()
            journal_module.LARGEST, journal_module.DONE_MOST = self.before
            self.folder.cleanup()

    @rule(topic=st.sampled_from("abc"), word=st.text(max_size=5), step=st.integers(1, 10**6))
    def put(self, topic: str, word: str, step: int) -> None:
        self.number += step
        one = event(self.number, topic, word=word)
        self.journal.put(one)
        self.pending[one.number] = self.newest[topic] = one
        self.note()

    @precondition(lambda self: self.pending)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.pending)))
        del self.pending[number]
        self.journal.remove(number)
        self.note()

    @rule(number=st.integers(0, FIRST))
    def remove_what_is_not_there(self, number: int) -> None:
        self.journal.remove(number)

    @rule()
    def reopen(self) -> None:
        self.journal.close()
        self.open()

    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        """The file was renamed into place whole: only what was appended since can be cut."""
        size = data.draw(st.integers(self.history[0].size, self.path.stat().st_size))
        self.journal.close()
        os.truncate(self.path, size)
        whole = [noted for noted in self.history if noted.size <= size][-1]
        without_newline = [noted for noted in self.history if noted.size == size + 1]
        self.journal = Journal(self.path)
        if without_newline and self.journal.pending == without_newline[0].pending:
            whole = without_newline[0]
        self.pending, self.newest = dict(whole.pending), dict(whole.newest)
        self.inode = 0
        self.note()

    def open(self) -> None:
        self.journal = Journal(self.path)
        self.inode = 0
        self.note()

    def note(self) -> None:
        status = self.path.stat()
        if status.st_ino != self.inode:
            self.inode = status.st_ino
            self.history.clear()
        self.history.append(Noted(status.st_size, dict(self.pending), dict(self.newest)))

    @invariant()
    def it_has_what_it_must(self) -> None:
        if hasattr(self, "journal"):
            assert self.journal.pending == self.pending
            assert self.journal.newest == self.newest
            assert not self.journal.done.keys() & self.pending.keys()


TestAnyLife = AnyLife.TestCase


def test_the_file_is_its_owners_alone(path: Path) -> None:
    Journal(path).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("size", range(0, 130, 3))
def test_a_file_that_lost_its_end_anywhere_has_nothing_that_was_never_put(path: Path, size: int) -> None:
    put = {FIRST + number: event(FIRST + number) for number in range(2)}
    journal = Journal(path)
    for one in put.values():
        journal.put(one)
    journal.close()
    os.truncate(path, size)
    again = Journal(path)
    assert again.pending.items() <= put.items()
    again.close()


@pytest.mark.parametrize(
    "content", [b"\xff\xfe\x00", b"[[[[", b"\n\n", b'{"a": 1}\n', b"-5\n", "\u00b2\n".encode(), b"9" * 5000]
)
def test_rubbish_is_passed_over(path: Path, content: bytes) -> None:
    whole = event(FIRST)
    path.write_bytes(content + b"\n" + whole.line().encode() + b"\n")
    journal = Journal(path)
    assert journal.pending == {FIRST: whole}
    journal.close()


def test_what_was_done_when_it_was_opened_is_known(path: Path) -> None:
    journal = Journal(path)
    for number in (FIRST, FIRST + 1):
        journal.put(event(number))
        journal.remove(number)
    journal.close()
    again = Journal(path)
    assert set(again.done) == {FIRST, FIRST + 1}
    assert not again.pending
    again.close()


def test_a_file_that_grows_too_large_is_written_anew_without_what_is_done(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "LARGEST", 2000)
    monkeypatch.setattr(journal_module, "DONE_MOST", 10)
    journal = Journal(path)
    for number in range(FIRST, FIRST + 500):
        journal.put(event(number))
        journal.remove(number)
    assert len(journal.done) == 10
    assert path.stat().st_size < 2200
    journal.close()


def test_a_folder_that_is_gone_stops_nobody_and_is_told_once(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    journal = Journal(path.parent / "gone" / "events.journal")
    for number in range(FIRST, FIRST + 3):
        journal.put(event(number))
    journal.remove(FIRST)
    assert list(journal.pending) == [FIRST + 1, FIRST + 2]
    assert [record.levelname for record in caplog.records].count("WARNING") == 1


def test_a_long_outage_does_not_write_the_whole_file_anew_for_each_event(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "LARGEST", 2000)
    journal = Journal(path)
    rewritten: list[Path] = []
    replace = Path.replace

    def note(fresh: Path, target: Path) -> Path:
        rewritten.append(fresh)
        return replace(fresh, target)

    monkeypatch.setattr(Path, "replace", note)
    for number in range(FIRST, FIRST + 500):
        journal.put(event(number))
    journal.close()
    assert len(rewritten) < 20


def test_what_was_done_is_known_after_two_deaths_too(path: Path) -> None:
    """Its row may still be on disk: the outbox would bring it back, and tell it twice."""
    journal = Journal(path)
    for number in (FIRST, FIRST + 1):
        journal.put(event(number))
        journal.remove(number)
    for _ in range(2):
        journal.close()
        journal = Journal(path)
    journal.close()
    assert set(journal.done) == {FIRST, FIRST + 1}


def test_an_event_that_found_no_room_spoils_none_after_it(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal(path)
    write = os.write
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", lambda descriptor, content: write(descriptor, content[:10]))
        journal.put(event(FIRST))
    journal.put(event(FIRST + 1))
    journal.close()
    again = Journal(path)
    again.close()
    assert FIRST + 1 in again.pending


def test_a_folder_that_has_room_again_has_the_journal_again(path: Path) -> None:
    late = path.parent / "late"
    journal = Journal(late / "events.journal")
    journal.put(event(FIRST))
    late.mkdir()
    journal.put(event(FIRST + 1))
    journal.close()
    again = Journal(late / "events.journal")
    again.close()
    assert FIRST + 1 in again.pending


def test_a_removal_that_was_cut_is_not_another_events(path: Path) -> None:
    """Numbers are short where the clock began in 1970."""
    journal = Journal(path)
    journal.put(event(17))
    journal.put(event(170))
    journal.remove(170)
    journal.close()
    os.truncate(path, path.stat().st_size - 2)
    again = Journal(path)
    again.close()
    assert 17 in again.pending


def test_the_newest_of_a_quiet_topic_does_not_come_back_after_many_others(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "DONE_MOST", 3)
    journal = Journal(path)
    for number in range(FIRST, FIRST + 5):
        journal.put(event(number, "quiet" if number == FIRST else "busy"))
        journal.remove(number)
    for _ in range(2):
        journal.close()
        journal = Journal(path)
    journal.close()
    assert not journal.pending


def test_a_file_that_cannot_be_written_anew_takes_lines_as_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "LARGEST", 1000)
    journal = Journal(path)
    tried: list[Path] = []

    def full(fresh: Path, _target: Path) -> Path:
        tried.append(fresh)
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", full)
        for number in range(FIRST, FIRST + 200):
            journal.put(event(number))
    journal.close()
    again = Journal(path)
    again.close()
    assert len(again.pending) == 200
    assert len(tried) < 20
