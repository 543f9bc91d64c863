"""A model in float16 is of right types and gives the same answers, also where each float16 is rounded as on a card.

ONNX Runtime on a CPU casts most of a float16 model back to float32, and rounds little of it: what is infinite on a card
is finite there. `as_on_a_card` rounds every tensor that the file says is float16. Neither is TensorRT.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from appliance.inference.backends.onnxruntime_cpu import OnnxRuntimeCpu
from appliance.inference.detector import AbsentError, BackendError
from appliance.inference.gpu import half as half_module
from appliance.inference.gpu.half import half
from appliance.inference.picture import Decoder
from appliance.inference.quantize.agreement import agreement
from appliance.inference.rfdetr import Preprocessor
from appliance.inference.selftest import ROUNDED, answer, complaint
from appliance.inference.trial import golden_frame
from tests.inference.graphs import random_rfdetr
from tests.inference.onnx_maker import FLOAT, model, rows
from tests.inference.test_real_footage import frames
from tests.rig import CLIP, MODEL, SHARED, need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from appliance.inference.selftest import Answer
    from appliance.messages import Floats

SIDE = 224
ATTO = SHARED / "models" / "deimv2_atto_rfdetr_contract_320.onnx"
EVERY = 20
"""Frames of the clip."""


def halved(path: Path) -> Any:
    """Return the model that `half` makes of it, held against ONNX's rules once more."""
    to = path.with_suffix(".half")
    half(path, to)
    made = onnx.load(to, format="protobuf")
    assert len(made.graph.value_info) == 0
    onnx.checker.check_model(made, full_check=True)
    onnx.shape_inference.infer_shapes(made, check_type=True, strict_mode=True, data_prop=True)
    return made


def run(made: Any, tensor: Floats, level: Any = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.graph_optimization_level = 2, level
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"input": tensor})


def as_on_a_card(made: Any) -> Any:
    """Return the model with all operators in float32, and each result that was float16 rounded to that."""
    known = onnx.shape_inference.infer_shapes(made).graph
    halves = {one.name for one in known.value_info if one.type.tensor_type.elem_type == TensorProto.FLOAT16}
    rounding = onnx.ModelProto.FromString(made.SerializeToString())
    for tensor in rounding.graph.initializer:
        widen(tensor)
    nodes = []
    for node in rounding.graph.node:
        for attribute in node.attribute:
            widen(attribute.t)
            if node.op_type == "Cast" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
        casts = []
        for index, name in enumerate(node.output):
            if name in halves:
                node.output[index] = f"{name}_exact"
                casts.append(helper.make_node("Cast", [f"{name}_exact"], [f"{name}_near"], to=TensorProto.FLOAT16))
                casts.append(helper.make_node("Cast", [f"{name}_near"], [name], to=TensorProto.FLOAT))
        nodes += [onnx.NodeProto.FromString(node.SerializeToString()), *casts]
    del rounding.graph.node[:]
    rounding.graph.node.extend(nodes)
    return rounding


def widen(tensor: Any) -> None:
    if tensor.data_type == TensorProto.FLOAT16:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))


def run_as_on_a_card(made: Any, tensor: Floats) -> Any:
    """Run it so, without ONNX Runtime taking out what rounds."""
    return run(as_on_a_card(made), tensor, onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)


def types(made: Any) -> dict[str, int]:
    known = onnx.shape_inference.infer_shapes(made).graph
    described = (*known.value_info, *known.input, *known.output)
    return {
        **{tensor.name: tensor.data_type for tensor in made.graph.initializer},
        **{one.name: one.type.tensor_type.elem_type for one in described},
    }


def graph(
    path: Path, nodes: Sequence[Any], shape: Sequence[int], out: Sequence[int | None], **constants: np.ndarray[Any, Any]
) -> Path:
    """Write a model from `input` to `out`, float32, of these nodes."""
    made = helper.make_model(
        helper.make_graph(
            list(nodes),
            "made_here",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("out", TensorProto.FLOAT, out)],
            [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.save(made, path, format="protobuf")
    return path


def noise(*shape: int) -> Floats:
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("first", ["batch", "N", 1])
def test_the_contract_and_what_it_says_of_itself_are_kept_and_it_takes_one_picture(
    path: Path, first: int | str
) -> None:
    said = {
        "porchlight.only_for": "synthetic",
        "porchlight.notice": "of the test",
        "rfdetr_notes": '{"class_names": ["fox"]}',
    }
    found = rows([(3, (0.5, 0.5, 0.5, 0.5), 0, 2.0)], columns=3)
    inputs = {"input": (FLOAT, (first, 3, SIDE, SIDE))}
    path.write_bytes(model(found, inputs, brightness_to="labels", metadata=said))
    made = halved(path)
    assert {one.key: one.value for one in made.metadata_props} == said
    for tensors in (made.graph.input, made.graph.output):
        assert {one.type.tensor_type.elem_type for one in tensors} == {TensorProto.FLOAT}
        assert {one.type.tensor_type.shape.dim[0].dim_value for one in tensors} == {1}
    before, after = OnnxRuntimeCpu(path, 1), OnnxRuntimeCpu(path.with_suffix(".half"), 1)
    assert after.info.classes == {0: "fox"}
    assert (after.info.side, after.info.queries, after.info.columns) == (SIDE, 300, 3)
    assert (after.info.only_for, after.info.notice) == (before.info.only_for, before.info.notice)


def test_its_numbers_are_float16_and_its_file_is_half_as_large(path: Path) -> None:
    path.write_bytes(model(rows([])))
    made = halved(path)
    assert {tensor.data_type for tensor in made.graph.initializer} == {TensorProto.FLOAT16}
    assert 0.5 < path.with_suffix(".half").stat().st_size / path.stat().st_size < 0.52


def test_it_answers_as_the_model_does(path: Path) -> None:
    found = rows([(3, (0.5, 0.5, 0.5, 0.5), 1, 2.0), (9, (0.21, 0.33, 0.04, 0.07), 3, 0.7)])
    path.write_bytes(model(found, brightness_to="labels"))
    tensor = noise(1, 3, SIDE, SIDE)
    before = answer(*(one[0] for one in run(onnx.load(path), tensor)))
    made = halved(path)
    assert len(before.finds) == 2
    for dets, labels in (run(made, tensor), run_as_on_a_card(made, tensor)):
        assert complaint(before, answer(dets[0], labels[0]), ROUNDED) == ""


def a_normalization_in_pieces(path: Path) -> Path:
    """Write it as PyTorch did before opset 17."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[-1]),
        helper.make_node("Sub", ["input", "mean"], ["off"]),
        helper.make_node("Pow", ["off", "two"], ["square"]),
        helper.make_node("ReduceMean", ["square"], ["variance"], axes=[-1]),
        helper.make_node("Add", ["variance", "epsilon"], ["sum"]),
        helper.make_node("Sqrt", ["sum"], ["root"]),
        helper.make_node("Div", ["off", "root"], ["normal"]),
        helper.make_node("Mul", ["normal", "gain"], ["out"]),
    ]
    numbers = {"two": np.float32(2), "epsilon": np.float32(1e-12), "gain": noise(96)}
    return graph(path, nodes, (1, 7, 96), (1, 7, 96), **{name: np.asarray(one) for name, one in numbers.items()})


def test_a_normalization_in_pieces_stays_in_float32_from_the_square_to_the_root(path: Path) -> None:
    made = halved(a_normalization_in_pieces(path))
    kinds = {"Cast": 0, **{node.op_type: types(made)[node.output[0]] for node in made.graph.node}}
    wide = {kind for kind, element in kinds.items() if element == TensorProto.FLOAT} - {"Cast"}
    assert wide == {"Pow", "ReduceMean", "Add", "Sqrt"}
    assert [node.op_type for node in made.graph.node].count("Cast") == 5  # of input, mean, off, root and out


@pytest.mark.parametrize("size", [0.0, 1.0, 1000.0])
def test_it_takes_numbers_whose_squares_float16_has_not(path: Path, size: float) -> None:
    tensor = noise(1, 7, 96) * np.float32(size)
    (exact,) = run(onnx.load(a_normalization_in_pieces(path)), tensor)
    (near,) = run_as_on_a_card(halved(path), tensor)
    assert np.abs(near - exact).max() < 0.01


def test_without_that_the_same_numbers_come_to_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So the tests above can fail; and ONNX Runtime alone would not show it."""
    monkeypatch.setattr(half_module, "KEPT", frozenset())
    monkeypatch.setattr(half_module, "BEHIND", {})
    tensor = noise(1, 7, 96) * np.float32(1000)
    (exact,) = run(onnx.load(a_normalization_in_pieces(path)), tensor)
    made = halved(path)
    assert np.abs(run_as_on_a_card(made, tensor)[0] - exact).max() > 1
    assert np.abs(run(made, tensor)[0] - exact).max() < 0.05


def test_a_sum_behind_other_sums_is_float16_again(path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[-1]),
        helper.make_node("Add", ["mean", "one"], ["first"]),
        helper.make_node("Add", ["first", "one"], ["second"]),
        helper.make_node("Sqrt", ["second"], ["out"]),
    ]
    found = types(halved(graph(path, nodes, (1, 4), (1, 1), one=np.ones(1, np.float32))))
    assert found["second"] == found["out_float16"] == TensorProto.FLOAT16
    assert found["first_float32"] == TensorProto.FLOAT


def test_what_onnx_wants_in_float32_is_left_so_even_if_others_have_the_same_number_in_float16(path: Path) -> None:
    nodes = [
        helper.make_node("Mul", ["input", "third"], ["scaled"]),
        helper.make_node("Resize", ["scaled", "", "third"], ["out"], mode="linear"),
    ]
    third = np.asarray([1, 1, 4 / 3, 4 / 3], np.float32)
    made = halved(graph(path, nodes, (1, 4, 24, 4), (1, 4, 32, 5), third=third))
    written = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    assert written["third_float32"].tolist() == third.tolist()
    assert written["third"].dtype == np.float16
    assert types(made)["scaled"] == TensorProto.FLOAT16


def test_numbers_that_nodes_bring_are_converted_too(path: Path) -> None:
    nodes = [
        helper.make_node("Constant", [], ["half"], value_float=0.5),
        helper.make_node("Constant", [], ["some"], value=numpy_helper.from_array(np.array([1, 2, 3, 4], np.float32))),
        helper.make_node("Shape", ["input"], ["shape"]),
        helper.make_node("ConstantOfShape", ["shape"], ["zeros"]),
        helper.make_node("ConstantOfShape", ["shape"], ["ones"], value=numpy_helper.from_array(np.ones(1, np.float32))),
        helper.make_node("ConstantOfShape", ["shape"], ["whole"], value=numpy_helper.from_array(np.ones(1, np.int64))),
        helper.make_node("Cast", ["whole"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["input", "half", "some", "zeros", "ones", "cast"], ["out"]),
    ]
    made = halved(graph(path, nodes, (1, 4), (1, 4)))
    assert run(made, np.zeros((1, 4), np.float32))[0].tolist() == [[3.5, 4.5, 5.5, 6.5]]
    found = types(made)
    names = ("half", "some", "zeros", "ones", "cast", "out_float16")
    assert {found[name] for name in names} == {TensorProto.FLOAT16}
    assert found["whole"] == TensorProto.INT64


def test_no_number_becomes_infinite_or_nothing_but_what_was_so(path: Path) -> None:
    numbers = np.array([1e10, -1e10, np.inf, -np.inf, 1e-12, -1e-12, 0, 0.1], np.float32)
    made = halved(
        graph(path, [helper.make_node("Add", ["input", "numbers"], ["out"])], (1, 8), (1, 8), numbers=numbers)
    )
    (written,) = (numpy_helper.to_array(tensor) for tensor in made.graph.initializer)
    assert written.tolist() == [65504, -65504, np.inf, -np.inf, 2**-24, -(2**-24), 0, np.float16(0.1)]


def test_a_model_in_8_bits_has_float16_between_and_no_cast_before_its_products(path: Path) -> None:
    zero = np.int8(0)
    nodes = [
        helper.make_node("QuantizeLinear", ["input", "scale", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "scale", "zero"], ["left"]),
        helper.make_node("DequantizeLinear", ["weights", "scales", "zeros"], ["right"], axis=1),
        helper.make_node("MatMul", ["left", "right"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["most"], axes=[-1]),
        helper.make_node("Div", ["product", "most"], ["out"]),
    ]
    weights = np.random.default_rng(5).integers(-127, 127, (8, 6)).astype(np.int8)
    scales = np.linspace(0.001, 0.02, 6).astype(np.float32)
    numbers = {"scale": np.float32(0.02), "scales": scales, "zeros": np.zeros(6, np.int8)}
    constants = {name: np.asarray(one) for name, one in {**numbers, "zero": zero, "weights": weights}.items()}
    tensor = noise(1, 5, 8)
    (exact,) = run(onnx.load(graph(path, nodes, (1, 5, 8), (1, 5, 6), **constants)), tensor)
    made = halved(path)
    found = types(made)
    assert [one.version for one in made.opset_import] == [19]
    order = [node.op_type for node in made.graph.node if node.op_type != "Constant"]  # axes are inputs since opset 18
    assert order == ["Cast", *(node.op_type for node in nodes), "Cast"]
    names = ("scale", "scales", "left", "right", "product")
    assert {found[name] for name in names} == {TensorProto.FLOAT16}
    assert {found["weights"], found["bytes"]} == {TensorProto.INT8}
    assert np.abs(run_as_on_a_card(made, tensor)[0] - exact).max() < 0.02 * np.abs(exact).max()


def test_old_notes_on_types_and_sizes_are_not_believed(path: Path) -> None:
    nodes = [helper.make_node("Relu", ["input"], ["middle"]), helper.make_node("Relu", ["middle"], ["out"])]
    noted = onnx.load(graph(path, nodes, (1, 4), (1, 4)))
    noted.graph.value_info.append(helper.make_tensor_value_info("middle", TensorProto.INT64, (2, 4)))
    onnx.save(noted, path)
    assert types(halved(path))["middle"] == TensorProto.FLOAT16


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x08\x08"])
def test_what_is_no_model_is_refused_in_words_and_nothing_is_written(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(BackendError, match=r"^model\.onnx cannot be converted to float16: [^\n]+ [^\n]+$"):
        half(path, path.with_suffix(".half"))
    assert not path.with_suffix(".half").exists()


def test_a_model_that_was_cut_off_is_refused(path: Path) -> None:
    whole = model(rows([]), brightness_to="labels")
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BackendError, match=r"^model\.onnx cannot be converted to float16: "):
        half(path, path.with_suffix(".half"))


def test_a_model_that_contradicts_itself_is_refused(path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["input", "numbers"], ["out"])]
    with pytest.raises(BackendError, match=r"cannot be converted.*MatMul"):
        half(graph(path, nodes, (1, 4), (1, 4), numbers=noise(5, 4)), path.with_suffix(".half"))


def test_a_graph_in_a_graph_is_refused_by_name(path: Path) -> None:
    value = helper.make_tensor_value_info("value", TensorProto.FLOAT, (1, 4))
    branch = helper.make_graph([helper.make_node("Identity", ["input"], ["value"])], "branch", [], [value])
    nodes = [helper.make_node("If", ["yes"], ["out"], then_branch=branch, else_branch=branch)]
    with pytest.raises(BackendError, match=r"it has a graph in its graph \(If\)"):
        half(graph(path, nodes, (1, 4), (1, 4), yes=np.asarray(True)), path.with_suffix(".half"))


def test_files_that_cannot_be_read_or_written_are_told(path: Path, tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="No such file"):
        half(path, tmp_path / "half.onnx")
    path.write_bytes(model(rows([])))
    with pytest.raises(BackendError, match="No such file"):
        half(path, tmp_path / "nowhere" / "half.onnx")


def test_without_onnx_it_says_what_to_install(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_bytes(model(rows([])))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(BackendError, match=r"onnx, which is not installed.*pip install 'onnx>=1\.18'") as raised:
        half(path, path.with_suffix(".half"))
    assert not isinstance(raised.value, AbsentError)  # there is a card, and its owner can do something


def linked(source: Path, folder: Path) -> Path:
    """Return the model in a folder where something can be written beside it."""
    need(source)
    (folder / source.name).symlink_to(source)
    return folder / source.name


def golden_tensor(side: int) -> Floats:
    rgb = np.ascontiguousarray(Decoder(side).decode(golden_frame()))
    return np.array(Preprocessor(side).fill(rgb))


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("size", ["nano", "small"])
def test_rfdetrs_own_graph_is_converted_and_gives_numbers(
    tmp_path: Path, size: str, figure: Callable[[str, str], None]
) -> None:
    """Its weights are random: this says that the graph converts, and nothing of what RF-DETR loses in float16."""
    path = random_rfdetr(size, tmp_path)
    detector = OnnxRuntimeCpu(path, 2)
    tensor = golden_tensor(detector.info.side)
    before = answer(*(one[0] for one in run(onnx.load(path), tensor)))
    made = halved(path)
    assert path.with_suffix(".half").stat().st_size < 0.54 * path.stat().st_size
    for how in (run, run_as_on_a_card):
        dets, labels = how(made, tensor)
        assert np.isfinite(dets).all()
        assert np.isfinite(labels).all()
        after = answer(dets[0], labels[0])
        furthest = max(abs(one - other) for one, other in zip(before.best, after.best, strict=True))
        figure(f"RF-DETR {size}, random weights, float16, {how.__name__}", f"best scores within {furthest:.3f}")
        # Random weights give nearly the same score to everything, so a last bit decides what is chosen.
        assert how is run_as_on_a_card or complaint(before, after, ROUNDED) == ""


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize("source", [MODEL, ATTO], ids=["femto", "atto"])
def test_in_float16_trained_weights_see_what_they_saw(
    tmp_path: Path, source: Path, figure: Callable[[str, str], None]
) -> None:
    """They are DEIMv2's (../shared/models/README.md), not RF-DETR's, with their normalizations in pieces."""
    need(CLIP)
    path = linked(source, tmp_path)
    made = halved(path)
    side = OnnxRuntimeCpu(path, 2).info.side
    golden = golden_tensor(side)
    fill, decoder = Preprocessor(side).fill, Decoder(side)
    tensors = [np.array(fill(np.ascontiguousarray(decoder.decode(frame)))) for _, frame in frames(CLIP, EVERY)]
    exact = answers(onnx.load(path), [golden, *tensors])
    for name, rounded in (("ONNX Runtime's way", made), ("rounded everywhere", as_on_a_card(made))):
        near = answers(rounded, [golden, *tensors])
        alike = agreement(exact[1:], near[1:], 0.5, {1})
        figure(f"{path.stem} in float16, {name}, {alike.pictures} pictures", str(alike))
        assert complaint(exact[0], near[0], ROUNDED) == ""
        assert alike.finds > 50
        assert alike.share >= 0.99
        assert alike.presence >= 0.99 * alike.pictures
        assert alike.overlap > 0.95


def answers(made: Any, tensors: Sequence[Floats]) -> list[Answer]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [answer(*(one[0] for one in session.run(("dets", "labels"), {"input": tensor}))) for tensor in tensors]
