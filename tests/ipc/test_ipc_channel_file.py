"""A channel file is what its header says or it is refused by name; too little shared memory is an error, no crash."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.ipc import channel_file
from appliance.ipc.channel_file import MAX_SLOTS, Header
from appliance.ipc.errors import CorruptError, RefusedError, SharedMemoryFullError
from tests.ipc.values import U64

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TEMPLATE = bytes(range(256)) * 20
HEADER_BYTES = 48

HEADERS = st.builds(
    Header,
    slots=st.integers(1, MAX_SLOTS),
    generation=U64,
    first=st.integers(HEADER_BYTES, 10_000),
    stride=st.integers(5000, 10_000),
    size=st.integers(1, 5000),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "porch"


def make(path: Path, slots: int = 3) -> None:
    """Leave a good channel file at `path`."""
    file = channel_file.create(path, slots, TEMPLATE)
    file.rename(path)
    file.close()


@given(HEADERS)
def test_a_header_comes_back_as_it_was_packed(header: Header) -> None:
    assert Header.unpack(header.pack(), "here", header.total) == header


@given(HEADERS)
def test_a_header_that_claims_more_than_its_file_has_is_refused(header: Header) -> None:
    with pytest.raises(CorruptError, match=r"^here: "):
        Header.unpack(header.pack(), "here", header.total - 1)


@pytest.mark.parametrize(
    "header",
    [
        Header(0, 1, 4096, 4096, 100),
        Header(MAX_SLOTS + 1, 1, 4096, 4096, 100),
        Header(3, 1, HEADER_BYTES - 1, 4096, 100),
        Header(3, 1, 4096, 4096, 4097),
        Header(3, 1, 4096, 0, 0),
        Header(1, 1, 4096, channel_file.MAX_SLOT_BYTES + 1, 100),
        Header(3, 1, 2**64 - 1, 4096, 100),
    ],
    ids=["no slots", "too many", "slot in header", "slots overlap", "empty slots", "huge slots", "far away"],
)
def test_a_header_whose_slots_cannot_be_is_refused(path: Path, header: Header) -> None:
    path.write_bytes(header.pack().ljust(100_000, b"\0"))
    with pytest.raises(CorruptError, match=f"^{path}: "):
        channel_file.open_for_reading(path)


def test_a_file_of_something_else_is_refused_naming_both(path: Path) -> None:
    make(path)
    path.write_bytes(b"JFIFJFIF" + path.read_bytes()[8:])
    with pytest.raises(CorruptError, match=f"^{path}: .*b'JFIFJFIF'.*b'PORCHIPC'"):
        channel_file.open_for_reading(path)


def test_a_file_of_another_version_is_refused_naming_both(path: Path) -> None:
    make(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:8] + b"\7\0\0\0" + whole[12:])
    with pytest.raises(CorruptError, match=f"^{path}: .*version 7.*reads 1"):
        channel_file.open_for_reading(path)


@given(st.binary(max_size=200), st.binary(max_size=64), st.integers(0, HEADER_BYTES))
def test_whatever_the_bytes_a_header_is_read_or_refused_by_name(junk: bytes, patch: bytes, at: int) -> None:
    good = Header(4, 1, 4096, 8192, 8000)
    patched = bytearray(good.pack())
    patched[at : at + len(patch)] = patch
    for data in (junk, bytes(patched)):
        with contextlib.suppress(CorruptError):
            assert Header.unpack(data, "here", good.total).total <= good.total


@pytest.mark.parametrize("length", [0, 1, HEADER_BYTES - 1, HEADER_BYTES, 4096, 12_000])
def test_a_file_cut_off_is_refused_by_name(path: Path, length: int) -> None:
    make(path)
    os.truncate(path, length)
    with pytest.raises(CorruptError, match=f"^{path}: "):
        channel_file.open_for_reading(path)


def test_where_there_is_no_file_yet_it_is_not_found(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        channel_file.open_for_reading(path)


def test_every_slot_of_a_new_file_holds_the_template(path: Path) -> None:
    make(path, slots=5)
    assert path.stat().st_size == channel_file.required_bytes(5, len(TEMPLATE))
    with contextlib.closing(channel_file.open_for_reading(path)) as file:
        assert file.header.slots == 5
        assert [bytes(file.slot(i)) for i in range(5)] == [TEMPLATE] * 5
        assert {file.source(i) for i in range(5)} == {f"{path} slot {i}" for i in range(5)}


def test_slots_begin_on_pages_of_their_own(path: Path) -> None:
    make(path)
    with contextlib.closing(channel_file.open_for_reading(path)) as file:
        assert (file.header.first % 4096, file.header.stride % 4096) == (0, 0)


def test_a_reader_cannot_write(path: Path) -> None:
    make(path)
    with contextlib.closing(channel_file.open_for_reading(path)) as file:
        assert file.slot(0).readonly


def test_no_two_files_have_the_same_generation(path: Path) -> None:
    generations = set()
    for _ in range(20):
        make(path)
        with contextlib.closing(channel_file.open_for_reading(path)) as file:
            generations.add(file.header.generation)
    assert len(generations) == 20


def test_readers_of_the_file_before_keep_it_until_they_let_go(path: Path) -> None:
    make(path)
    with contextlib.closing(channel_file.open_for_reading(path)) as old:
        file = channel_file.create(path, 3, b"\1" * len(TEMPLATE))
        file.rename(path)
        file.close()
        assert bytes(old.slot(0)) == TEMPLATE
        with contextlib.closing(channel_file.open_for_reading(path)) as new:
            assert bytes(new.slot(0)) == b"\1" * len(TEMPLATE)


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_nobody_else_may_read_a_channel_file(path: Path) -> None:
    make(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_a_publisher_killed_while_it_made_its_file_has_left_is_removed_by_the_next(path: Path) -> None:
    neighbour = path.with_name(".porch2.0123456789abcdef")
    neighbour.touch()
    channel_file.create(path, 3, TEMPLATE).close()  # killed before it could rename
    make(path)
    assert set(path.parent.iterdir()) == {path, neighbour}


def refuse_fallocate(number: int) -> object:
    def posix_fallocate(*_args: object) -> None:
        raise OSError(number, os.strerror(number))

    return posix_fallocate


def test_too_little_shared_memory_is_refused_with_both_sizes_and_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", refuse_fallocate(errno.ENOSPC))
    stats = os.statvfs(path.parent)
    needed = channel_file.required_bytes(3, len(TEMPLATE))
    with pytest.raises(SharedMemoryFullError) as caught:
        channel_file.create(path, 3, TEMPLATE)
    numbers = [int(n.replace(",", "")) for n in re.findall(r"(?<= )\d[\d,]*(?= )", str(caught.value))]
    assert numbers[0] == needed
    assert numbers[1] <= stats.f_blocks * stats.f_frsize
    assert str(path) in str(caught.value)
    assert "--shm-size" in str(caught.value)
    assert list(path.parent.iterdir()) == []


def test_another_error_of_the_file_system_is_told_with_its_own_words_and_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "posix_fallocate", refuse_fallocate(errno.EIO))
    with pytest.raises(RefusedError, match="Input/output"):
        channel_file.create(path, 3, TEMPLATE)
    assert list(path.parent.iterdir()) == []


ON_A_SMALL_TMPFS = """
import pathlib, subprocess, sys
from appliance.ipc import channel_file
from appliance.ipc.errors import SharedMemoryFullError

folder = pathlib.Path(sys.argv[1])
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], capture_output=True).returncode:
    sys.exit("cannot mount")
fitting = channel_file.create(folder / "small", 3, bytes(5000))
fitting.rename(folder / "small")
try:
    channel_file.create(folder / "large", 4, bytes(20_000))
except SharedMemoryFullError as error:
    print(error)
print(sorted(path.name for path in folder.iterdir()))
fitting.slot(2)[:] = bytes([1]) * 5000  # every page of it was reserved: no SIGBUS on a full file system
"""


def test_a_channel_that_does_not_fit_a_real_tmpfs_is_refused_with_both_sizes(tmp_path: Path) -> None:
    done = subprocess.run(
        ["unshare", "--mount", sys.executable, "-c", ON_A_SMALL_TMPFS, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    if "cannot mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("needs the right to mount a small tmpfs (root)")
    assert done.returncode == 0, done.stderr
    said = re.match(rf"{tmp_path}/large needs ([\d,]+) bytes of shared memory, ([\d,]+) are free in", done.stdout)
    assert said is not None, done.stdout
    needed, free = (int(number.replace(",", "")) for number in said.groups())
    assert needed == channel_file.required_bytes(4, 20_000)
    assert free <= 65_536 - channel_file.required_bytes(3, 5000)
    assert done.stdout.endswith("['small']\n")
