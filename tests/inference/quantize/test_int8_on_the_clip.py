"""int8 forms of trained weights, on real footage: they see what the model sees, and OpenVINO's in less time.

The weights are DEIMv2-Femto's behind RF-DETR's contract (../shared/models/README.md), not RF-DETR's own: how much of
RF-DETR is lost in 8 bits is not known from this. RF-DETR's graph with random weights, which could be had as well, would
show what it costs and nothing else: it finds nothing that could be lost.

Calibrated with every 30th frame of the clip's first half and every other still; compared on its second half (three more
visits) and the other stills. Other choices of 28 to 82 pictures have left 98.0 to 100 % of the finds to OpenVINO's
form, and 96.4 to 97.8 % to ONNX Runtime's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import simplejpeg

from appliance.config import Camera, Model, Settings
from appliance.inference import int8
from appliance.inference.digest import sha256
from appliance.inference.opening import Detectors
from appliance.inference.picture import Decoder
from appliance.inference.quantize import nncf_int8, pictures, work
from appliance.inference.quantize.agreement import LEAST
from appliance.inference.quantize.makers import makers
from appliance.inference.rfdetr import postprocess
from appliance.inference.store.errors import RefusedError
from appliance.ipc.heartbeat import HeartbeatFile
from appliance.stage import Pulse, StageContext, Stop
from tests.inference.test_real_footage import STILLS, VISITS, frames
from tests.rig import CLIP, MODEL, ROOT, SHARED, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from appliance.inference.quantize.work import Outcome
    from appliance.ipc.run_folder import RunFolder

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

THRESHOLD = 0.5
THREADS = 2
HALF_S = 69.7
SHOWN_EVERY, CALIBRATED_EVERY, COMPARED_EVERY = 10, 30, 5
"""Frames: SHOWN_EVERY of the first half, the others of their halves."""
JPEG_QUALITY = 90
TIMELY = "it saves no time here"


@dataclass(frozen=True)
class Album:
    """JPEGs of the clip, each with its second, of the first and of the second half; and stills without people."""

    first: Sequence[tuple[float, bytes]]
    second: Sequence[tuple[float, bytes]]
    stills: Sequence[bytes]

    @property
    def to_calibrate(self) -> list[bytes]:
        return [*(jpeg for _, jpeg in self.first[:: CALIBRATED_EVERY // SHOWN_EVERY]), *self.stills[::2]]

    @property
    def to_compare(self) -> list[bytes]:
        return [*(jpeg for _, jpeg in self.second), *self.stills[1::2]]


@pytest.fixture(scope="module")
def album() -> Album:
    need(CLIP, MODEL, *(SHARED / "media" / "stills" / f"{name}.jpg" for name in STILLS))
    if nncf_is_missing():
        pytest.skip("not here: nncf (PyPI; the locked NumPy is too new for it elsewhere)")
    decoder = Decoder(384)
    first: list[tuple[float, bytes]] = []
    second: list[tuple[float, bytes]] = []
    for number, (seconds, frame) in enumerate(frames(CLIP)):
        half, every = (first, SHOWN_EVERY) if seconds < HALF_S else (second, COMPARED_EVERY)
        if number % every == 0:
            rgb = np.ascontiguousarray(decoder.decode(frame))
            half.append((seconds, bytes(simplejpeg.encode_jpeg(rgb, JPEG_QUALITY))))
    return Album(first, second, [(SHARED / "media" / "stills" / f"{name}.jpg").read_bytes() for name in STILLS])


def nncf_is_missing() -> bool:
    """Return whether it cannot be used here, loaded as the command loads it: so that it reports to nobody."""
    try:
        nncf_int8.version()
    except RefusedError:
        return True
    return False


def order(*backends: str) -> work.Order:
    return work.Order(MODEL, sha256(MODEL), makers(backends, None), THREADS, THRESHOLD, ("person",))


def quantize(one: work.Order, album: Album, state: Path) -> tuple[list[Outcome], list[str]]:
    """Do it, with the album's parts in the place of a third here and there; return what came of it, and was said."""
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "apart", lambda _: (album.to_calibrate, album.to_compare))
        return list(work.quantize(one, [], state, said.append)), said


@dataclass(frozen=True)
class Done:
    """What one run of the command's work has made of the model, in this state folder."""

    state: Path
    outcomes: dict[str, Outcome]


@pytest.fixture(scope="module")
def done(album: Album, tmp_path_factory: pytest.TempPathFactory) -> Done:
    state = tmp_path_factory.mktemp("state")
    outcomes, _ = quantize(order("openvino_int8", "onnxruntime_int8"), album, state)
    return Done(state, {outcome.backend: outcome for outcome in outcomes})


def note(figure: Callable[[str, str], None], outcome: Outcome) -> None:
    alike = outcome.agreement
    figure(
        f"{outcome.backend} against the model (DEIMv2-Femto, not RF-DETR), {alike.pictures} pictures held back",
        f"{alike.share:.1%} of {alike.finds} finds in common, median overlap {alike.overlap:.3f}, presence alike in "
        f"{alike.presence}; {outcome.time_ratio:.2f} x the time of {outcome.rival} (medians of runs in turn)",
    )


def test_the_halves_have_people_and_nobody_in_them(album: Album) -> None:
    for half in (album.first, album.second):
        there = [any(first <= seconds <= last for first, last in VISITS) for seconds, _ in half]
        assert len(half) >= 70
        assert 0.5 < sum(there) / len(there) < 0.95
    assert (len(album.to_calibrate), len(album.to_compare)) == (28, 143)


def test_openvinos_form_sees_what_the_model_sees(done: Done, figure: Callable[[str, str], None]) -> None:
    outcome = done.outcomes["openvino_int8"]
    note(figure, outcome)
    alike = outcome.agreement
    assert alike.finds > 150
    assert alike.share >= LEAST
    assert alike.presence >= LEAST * alike.pictures
    assert alike.overlap > 0.9
    assert outcome.refused == ("" if outcome.time_ratio < 1 else TIMELY)


def test_onnxruntimes_form_does_too_and_is_kept_if_it_is_faster(done: Done, figure: Callable[[str, str], None]) -> None:
    """On x86-64 it takes half as long again as the model: then nobody is to have it."""
    outcome = done.outcomes["onnxruntime_int8"]
    note(figure, outcome)
    alike = outcome.agreement
    assert alike.share >= LEAST
    assert alike.presence >= LEAST * alike.pictures
    assert alike.overlap > 0.9
    assert outcome.refused == ("" if outcome.time_ratio < 1 else TIMELY)


def test_what_was_kept_can_be_read_and_nothing_else_is_there(done: Done) -> None:
    kept = {backend for backend, outcome in done.outcomes.items() if not outcome.refused}
    home = int8.home(done.state, sha256(MODEL))
    assert {path.name for path in done.state.rglob("*") if path.parent == home} == kept
    assert all(int8.read(home / backend) is not None for backend in kept)


@pytest.fixture
def context(folder: RunFolder, done: Done) -> Iterator[StageContext]:
    stop = Stop()
    settings = Settings(
        cameras=(Camera(id="porch", source="file:none"),),
        model=Model(path=MODEL, threads=THREADS),
        state_dir=done.state,
    )
    yield StageContext(settings, folder, Pulse(HeartbeatFile(folder, "inference"), "inference"), stop)
    os.close(stop.fileno())
    os.close(stop._write)


def test_the_next_start_tries_it_and_takes_it_where_it_is_the_fastest_of_those_that_pass(
    done: Done, context: StageContext, album: Album, figure: Callable[[str, str], None]
) -> None:
    if done.outcomes["openvino_int8"].refused:
        pytest.skip("on this machine OpenVINO's form saves no time, so there is none")
    detectors = Detectors(context)
    passed = {one.backend: verdict.latency_ms for one, verdict in detectors._verdicts.items() if not verdict.refused}
    figure(
        "DEIMv2-Femto in trials, best of a few runs",
        ", ".join(f"{backend} {latency:.1f} ms" for backend, latency in sorted(passed.items(), key=lambda one: one[1])),
    )
    assert "openvino_int8" in passed
    assert not any("int8" in problem for problem in detectors.problems)
    assert detectors.current.backend == min(passed, key=lambda backend: passed[backend])
    assert detectors.current.info.name == MODEL.name
    seconds, jpeg = next((at, jpeg) for at, jpeg in album.second if VISITS[3][0] + 4 <= at <= VISITS[3][1])
    (seen,) = work._answers(detectors.current, [jpeg])
    assert max(find.score for find in seen.finds if find.class_id == 1) >= THRESHOLD, seconds
    assert postprocess(*detectors.current.detect(), 768, 432, THRESHOLD).class_ids.tolist().count(1) == 1


def another_models_weights(model: Path, _calibration: Any, folder: Path) -> str:
    """Write the graph with every matrix a fifth off, as if it had been trained on something else."""
    import onnx
    from onnx import numpy_helper

    random = np.random.default_rng(0)
    graph = onnx.load(model)
    for tensor in graph.graph.initializer:
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.ndim > 1:
            off = array * (1 + 0.2 * random.standard_normal(array.shape, np.float32))
            tensor.CopyFrom(numpy_helper.from_array(off, tensor.name))
    onnx.save(graph, folder / "model.onnx")
    return "model.onnx"


def test_a_form_of_other_weights_is_refused_with_the_figures_and_not_kept(
    album: Album, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figure: Callable[[str, str], None]
) -> None:
    monkeypatch.setattr(nncf_int8, "MAKERS", {"onnxruntime_int8": another_models_weights})
    few = Album(album.first, album.second[::3], album.stills)
    ((outcome,), _) = quantize(order("onnxruntime_int8"), few, tmp_path)
    figure("a form of other weights", f"{outcome.agreement}: refused")
    assert outcome.agreement.share < LEAST
    assert outcome.refused.endswith(f"finds, and {LEAST:.0%} are asked")
    assert list(tmp_path.iterdir()) == []


def test_the_command_says_only_its_own_words_where_there_is_no_terminal_and_leaves_only_the_form(
    album: Album, tmp_path: Path
) -> None:
    """No bars of NNCF's, no client id in the home folder. Of so few pictures the form may be kept, or refused."""
    for name in ("home", "temporary", "state", "pictures"):
        (tmp_path / name).mkdir()
    there = [jpeg for at, jpeg in album.first if any(first + 1 <= at <= last - 1 for first, last in VISITS)]
    for number, jpeg in enumerate(there[:: len(there) // 30]):
        (tmp_path / "pictures" / f"{number:03}.jpg").write_bytes(jpeg)
    within = {"HOME": tmp_path / "home", "TMPDIR": tmp_path / "temporary", "XDG_STATE_HOME": tmp_path / "state"}
    words = (MODEL, "--pictures", tmp_path / "pictures", "--count", 30, "--backend", "openvino_int8")
    ended = subprocess.run(
        [sys.executable, "-m", "appliance.cli", "model", "quantize", *map(str, words)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **{name: str(path) for name, path in within.items()}},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stderr.splitlines() == [
        "20 pictures to calibrate with, 10 held back for the comparison",
        "openvino_int8: calibrating; this takes minutes on a small machine",
    ]
    outcome, *then = ended.stdout.splitlines()
    assert outcome.startswith("openvino_int8: ")
    is_kept = outcome.endswith(": kept")
    assert (ended.returncode, len(then)) == ((0, 2) if is_kept else (2, 0))
    left = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"pictures", *(["state"] if is_kept else [])}
