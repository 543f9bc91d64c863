"""Record what the `rfdetr` package 1.11.2 does with generated pictures. Run by hand; no test runs it.

In a virtual environment of its own with rfdetr 1.11.2, onnx and onnxruntime (the package brings torch, 2 GB, and is no
dependency of ours; torch's build for the CPU will do), from the root of the checkout, in about a minute:

    python -m tests.inference.golden.make_golden

Nothing of the package is written out again here. predict() itself is called; hooks on its model note what it is given
and what it answers, and put answers of our own in their place where a rule is to be seen that random weights hardly
ever touch. Weights are random, from a seed: no trained ones can be had without a download, and none of this depends on
what the model has learnt.

Writes, beside this file:

- inputs.npz: for each of PICTURES what predict() gave its model, uint16 [3, side, side]: the value in 0..1 before the
  normalisation (times STD, plus MEAN), times 65535. Rounding takes at most 1/131070 off, 0.002 of a grey level.
- outputs.npz: the model's raw answers, float32 as they were, and predict()'s rows for them at each threshold:
  `<case>/dets`, `<case>/labels`, `<case>/size` (width, height), `<case>/<threshold>/xyxy|confidence|class_id`.
- onnx.npz: what the package's own ONNX export answers to the first of SEEN in ONNX Runtime.
- coco_classes.json: the package's COCO ids and names.
- facts.json: versions, seed, each picture's SHA-256, and how far the export is from torch.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from tests.inference.golden.pictures import PICTURES, SEEN, SMALL, Picture

HERE = Path(__file__).parent
RFDETR = "1.11.2"
SEED = 20
THRESHOLDS = (0.05, 0.3, 0.5, 0.7, 0.9)
"""At the lowest more than 300 pairs of query and class pass: the package's limit shows."""
HIDDEN = -12.0
_DECLARED: list[Any] = []
"""Kept for as long as the process lives: a declaration ends with its library."""


def main() -> None:
    assert version("rfdetr") == RFDETR
    package = load_package()
    model = seeded_nano(package)
    spy = Spy(model.model.model)
    inputs: dict[str, Any] = {}
    outputs: dict[str, Any] = {}
    facts: dict[str, str] = {}
    for picture in PICTURES:
        shape = None if picture in SEEN else (SMALL, SMALL)
        model.predict(picture.rgb(), shape=shape)
        unit = spy.tensor[0] * np.array(model.stds)[:, None, None] + np.array(model.means)[:, None, None]
        inputs[picture.name] = np.rint(unit * 65535).astype(np.uint16)
        facts[picture.name] = hashlib.sha256(picture.rgb().tobytes()).hexdigest()
    for picture in SEEN:
        outputs |= recorded(picture.name, model, spy, picture)
    for case, (dets, labels) in crafted().items():
        spy.instead = {"pred_boxes": torch.from_numpy(dets)[None], "pred_logits": torch.from_numpy(labels)[None]}
        outputs |= recorded(case, model, spy, SEEN[0], *CRAFTED_THRESHOLDS)
    spy.instead = None
    exported, distances = by_onnx(model, spy)
    save("inputs", inputs)
    save("outputs", outputs)
    save("onnx", exported)
    classes = importlib.import_module("rfdetr.assets.coco_classes").COCO_CLASSES
    write("coco_classes", {str(number): name for number, name in classes.items()})
    versions = {name: version(name) for name in ("rfdetr", "torch", "torchvision", "onnx", "onnxruntime", "numpy")}
    write("facts", {"versions": versions, "seed": SEED, "onnx_from_torch": distances, "sha256": facts})


def load_package() -> Any:
    """Import rfdetr beside a torch without CUDA.

    PyPI's torchvision is built for torch with CUDA: beside torch+cpu its compiled half does not load, and its import
    then stumbles over two operators that only that half declares. They are declared here, without a body: nobody calls
    them, since RF-DETR has no NMS, and resize and normalize of torchvision are torch's own.
    """
    if "+cpu" in torch.__version__:
        _DECLARED.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            _DECLARED[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return importlib.import_module("rfdetr")


def seeded_nano(package: Any) -> Any:
    """Return RF-DETR nano with random weights and heads that spread.

    As they are made, all scores lie about 0.01 and all box offsets are zero: the heads are widened until tens of rows
    stand above one half and boxes are of all sizes, some beyond the picture's edge.
    """
    torch.manual_seed(SEED)
    model = package.RFDETRNano(pretrain_weights=None, device="cpu")
    with torch.no_grad():
        model.model.model.class_embed.weight.mul_(8)
        model.model.model.class_embed.bias.fill_(-13)
        model.model.model.bbox_embed.layers[-1].weight.normal_(0, 0.35)
    return model


class Spy:
    """Notes what the model is given and what it answers; answers `instead` where that is set."""

    def __init__(self, module: Any) -> None:
        self.tensor: Any = None
        self.answer: Any = None
        self.instead: Any = None
        self._hooks = (module.register_forward_pre_hook(self._given), module.register_forward_hook(self._answered))

    def leave(self) -> None:
        """Take the hooks off: the export traces the model, and would trace them too."""
        for hook in self._hooks:
            hook.remove()

    def _given(self, _module: Any, given: Any) -> None:
        self.tensor = given[0].detach().numpy().copy()

    def _answered(self, _module: Any, _given: Any, answer: Any) -> Any:
        answer = self.instead or answer
        self.answer = {name: answer[name].detach().numpy()[0].copy() for name in ("pred_boxes", "pred_logits")}
        return self.instead


def recorded(case: str, model: Any, spy: Spy, picture: Picture, *thresholds: float) -> dict[str, Any]:
    """Return the raw outputs, and predict()'s rows at each threshold."""
    found: dict[str, Any] = {f"{case}/size": np.array((picture.width, picture.height))}
    for threshold in thresholds or THRESHOLDS:
        rows = model.predict(picture.rgb(), threshold=threshold)
        found[f"{case}/{threshold!r}/xyxy"] = rows.xyxy
        found[f"{case}/{threshold!r}/confidence"] = rows.confidence
        found[f"{case}/{threshold!r}/class_id"] = rows.class_id.astype(np.int32)
    return found | {f"{case}/dets": spy.answer["pred_boxes"], f"{case}/labels": spy.answer["pred_logits"]}


AT_A_THIRD = 0.3
CRAFTED_THRESHOLDS = (AT_A_THIRD, 0.5)


def crafted() -> dict[str, tuple[Any, Any]]:
    """Return answers that a model might give, each for one rule: dets [300, 4] and labels [300, 91]."""
    third = float(torch.logit(torch.tensor(AT_A_THIRD, dtype=torch.float64)))
    # Query, class, logit; a box where it is not the query's own.
    rows: dict[str, list[tuple[Any, ...]]] = {
        "at_the_threshold": [
            (3, 1, 0.0),  # one half, exactly
            (5, 1, 1e-6),
            (6, 1, -1e-6),
            (7, 1, third),
            (9, 1, third + 1e-6),
            (11, 1, third - 1e-6),
        ],
        "equal_logits": [(query, number, 1.5) for query in (200, 4, 77) for number in (18, 1, 90)],
        "scores_that_are_one": [(3, 1, 20.0), (8, 2, 40.0), (9, 1, 30.0), (1, 1, 25.0)],
        "scores_that_round_alike": [(10 * step, 1, 9.0 + step * 2e-6) for step in range(20)],
        "crowd": [(query, number, 2.0) for query in range(0, 300, 3) for number in (1, 3, 17, 18)],
        "beyond_the_edge": [
            (0, 1, 3.0, 0.02, 0.5, 0.2, 0.4),
            (1, 1, 2.9, 0.98, 0.5, 0.2, 0.4),
            (2, 1, 2.8, 0.5, 0.01, 0.2, 0.4),
            (3, 1, 2.7, 0.5, 0.99, 0.2, 0.4),
            (4, 1, 2.6, 0.5, 0.5, 1.6, 1.4),
            (5, 1, 2.5, 1.4, -0.3, 0.2, 0.4),
        ],
        "no_numbers": [(2, 1, float("nan")), (4, 1, float("inf")), (6, 1, 2.0)],
    }
    cases = {}
    for case, entries in rows.items():
        dets = np.full((300, 4), 0.2, np.float32)
        dets[:, 0] = np.linspace(0.2, 0.8, 300)  # so that a row shows which query it is of
        labels = np.full((300, 91), HIDDEN, np.float32)
        for query, number, logit, *box in entries:
            labels[query, number] = logit
            if box:
                dets[query] = box
        cases[case] = dets, labels
    return cases


def by_onnx(model: Any, spy: Spy) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what the package's own export answers to the first picture, and how far it is from torch for each."""
    known = []
    for picture in SEEN:
        model.predict(picture.rgb())
        known.append((picture, spy.tensor, spy.answer))
    spy.leave()
    with tempfile.TemporaryDirectory() as folder:
        path = model.export(output_dir=folder, verbose=False)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        answers, distances = {}, {}
        for picture, tensor, answer in known:
            dets, labels = session.run(("dets", "labels"), {"input": tensor})
            answers[picture.name] = {"dets": dets[0], "labels": labels[0]}
            distances[picture.name] = {
                "dets": float(np.abs(dets[0] - answer["pred_boxes"]).max()),
                "labels": float(np.abs(labels[0] - answer["pred_logits"]).max()),
            }
    return answers[SEEN[0].name], distances


def save(name: str, arrays: dict[str, Any]) -> None:
    np.savez_compressed(HERE / f"{name}.npz", **arrays)


def write(name: str, content: Any) -> None:
    (HERE / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
