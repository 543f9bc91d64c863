"""Real processes on one store: two at once, one that is killed, and a disk that is full."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.inference.store.shelf import Shelf, State
from tests.inference.store.customer import MODEL
from tests.inference.store.shop import Shop
from tests.inference.store.small_disk import model, run_on
from tests.rig import ROOT, wait_for

HALF = len(MODEL) // 2


def run(store: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(model("--store", store, *words), cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def begun(shop: Shop, store: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    """Starts a download that has half of the file, and waits for the rest until the shop is released."""
    started: list[subprocess.Popen[str]] = []
    # Whoever was started in the background ignores Ctrl-C, and so would what it starts; a handler is not inherited.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def start() -> subprocess.Popen[str]:
        shop.habits.silent_after = HALF
        started.append(
            subprocess.Popen(
                model("get", shop.url(), "--store", store),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        part = store / "porch.onnx.part"
        wait_for("half of the file is here", 30, lambda: part.exists() and part.stat().st_size >= HALF)
        return started[-1]

    yield start
    signal.signal(signal.SIGINT, before)
    for process in started:
        process.kill()
        process.communicate()


def test_the_second_of_two_says_that_another_one_is_getting_it(
    shop: Shop, store: Path, begun: Callable[[], subprocess.Popen[str]]
) -> None:
    first = begun()
    second = run(store, "get", shop.url())
    assert (second.returncode, second.stdout) == (1, "")
    assert second.stderr == "porch.onnx: another porchlight is getting it at this moment; let it end\n"
    assert run(store, "get", shop.url("/missing"), "--name", "other", "--max-bytes", "5").returncode == 2  # not locked
    shop.released.set()
    said, _ = first.communicate(timeout=30)
    assert first.returncode == 0
    assert f"model:\n  path: {store}/porch.onnx\n" in said
    assert Shelf(store).look("porch.onnx").state is State.INTACT


def test_whoever_is_killed_in_the_middle_is_gone_on_from(
    shop: Shop, store: Path, begun: Callable[[], subprocess.Popen[str]]
) -> None:
    first = begun()
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert not (store / "porch.onnx").exists()
    assert json.loads(run(store, "list", "--json").stdout)["models"] == []
    shop.released.set()
    second = run(store, "get", shop.url())
    assert second.returncode == 0, second.stderr
    assert shop.asked[-1].headers["Range"] == f"bytes={HALF}-"
    assert hashlib.sha256((store / "porch.onnx").read_bytes()).digest() == hashlib.sha256(MODEL).digest()


def test_whoever_is_stopped_by_hand_says_that_it_can_go_on(
    shop: Shop, begun: Callable[[], subprocess.Popen[str]]
) -> None:
    first = begun()
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=30)
    assert first.returncode == 1
    assert said.splitlines()[-1].startswith("stopped;")
    assert "Traceback" not in said


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_full_disk_is_one_line_with_both_sizes_and_leaves_nothing(
    shop: Shop, tmp_path: Path, tells_length: bool
) -> None:
    shop.habits.tells_length = tells_length
    disk = tmp_path / "disk"
    done = run_on(disk, "64k", *model("get", shop.url(), "--store", disk / "models"))
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    if tells_length:
        assert f"{disk}/models: not enough room: 0.1 MB are still to come, 0.1 MB are free" in line
    else:
        assert f"{disk}/models: the disk is full after 0.1 MB; what had come is removed again" in line
    assert done.stdout.split() == [".porch.onnx.lock"]
