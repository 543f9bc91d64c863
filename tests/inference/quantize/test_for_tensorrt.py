"""The form that NNCF makes for TensorRT: int8 around 0 everywhere, and it sees what the model sees.

No card is here, and no TensorRT: its rules are checked in the file, and what the numbers in it are worth by ONNX
Runtime, on the processor. Once as it runs such graphs, in integers; once with its optimizations off, where each
QuantizeLinear rounds and all else is float: that is what the file says, and what TensorRT is to do.

Measured on DEIMv2-Femto and -Atto (not RF-DETR), with 28 pictures and with 74: 99.0 to 100 % of the finds in common.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import pytest
import simplejpeg

from appliance.inference.picture import Decoder
from appliance.inference.quantize import nncf_int8, pictures
from appliance.inference.quantize.agreement import LEAST, Agreement, agreement
from appliance.inference.rfdetr import Preprocessor
from appliance.inference.selftest import Answer, answer
from appliance.inference.store.errors import RefusedError
from tests.inference.test_real_footage import STILLS, frames
from tests.rig import CLIP, MODEL, SHARED, need

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from appliance.messages import Floats

ATTO = MODEL.with_name("deimv2_atto_rfdetr_contract_320.onnx")
PERSON = 1
THRESHOLD = 0.5
HALF_S = 69.7
OFF, ON = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
SIDE = 16


def session(model: Path | bytes, optimizations: Any = ON) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    options.log_severity_level = 3
    options.graph_optimization_level = optimizations
    given = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])


@cache
def album(side: int) -> tuple[Sequence[Floats], Sequence[Floats]]:
    """Return what to calibrate with, of the clip's first half, and what to compare with, of its second, as tensors.

    Every 30th frame and every 5th, and the stills without people in turn: as test_int8_on_the_clip has them.
    """
    need(CLIP, *(SHARED / "media" / "stills" / f"{name}.jpg" for name in STILLS))
    decoder, fill = Decoder(384), Preprocessor(side).fill
    halves: tuple[list[bytes], list[bytes]] = ([], [])
    for number, (seconds, frame) in enumerate(frames(CLIP)):
        is_second = seconds >= HALF_S
        if number % (5 if is_second else 30) == 0:
            rgb = np.ascontiguousarray(decoder.decode(frame))
            halves[is_second].append(bytes(simplejpeg.encode_jpeg(rgb, 90)))
    for number, name in enumerate(STILLS):
        halves[number % 2].append((SHARED / "media" / "stills" / f"{name}.jpg").read_bytes())
    first, second = ([fill(pictures.decoded(jpeg)).copy() for jpeg in half] for half in halves)
    return first, second


@cache
def seen(model: Path, side: int, optimizations: Any = ON) -> list[Answer]:
    """Return the model's answers to the pictures to compare with."""
    runs = session(model, optimizations)
    rows = (runs.run(["dets", "labels"], {"input": tensor}) for tensor in album(side)[1])
    return [answer(dets[0], labels[0]) for dets, labels in rows]


def compared(form: Path, model: Path, side: int, optimizations: Any) -> Agreement:
    return agreement(seen(model, side), seen(form, side, optimizations), THRESHOLD, {PERSON})


def quantizers(model: Path) -> list[tuple[Any, list[Any]]]:
    """Return each QuantizeLinear and DequantizeLinear, with its constants."""
    import onnx
    from onnx import numpy_helper

    document = onnx.load(model)
    onnx.checker.check_model(document)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in document.graph.initializer}
    nodes = [node for node in document.graph.node if node.op_type.endswith("quantizeLinear")]
    nodes += [node for node in document.graph.node if node.op_type == "QuantizeLinear"]
    return [(node, [constants[name] for name in node.input if name in constants]) for node in nodes]


def assert_tensorrt_takes(model: Path) -> None:
    """Its parser's rules: int8, around 0, scales above 0; more than one scale for weights alone; no int32 bias."""
    there = quantizers(model)
    assert {node.op_type for node, _ in there} == {"QuantizeLinear", "DequantizeLinear"}
    for node, constants in there:
        *of_weights, scale, zero = constants
        assert (zero.dtype, zero.any()) == (np.int8, False), node.name
        assert scale.dtype == np.float32
        assert np.all(scale > 0), node.name
        assert zero.shape == scale.shape
        assert of_weights or scale.size == 1, node.name
        assert all(weight.dtype == np.int8 and abs(weight.astype(int)).max() <= 127 for weight in of_weights)


def small_model() -> bytes:
    """Return a graph with all that matters: what is never negative, attention, a bias, weights behind another name."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)

    def weights(name: str, *shape: int) -> Any:
        array = random.standard_normal(shape, np.float32)
        return numpy_helper.from_array(array / np.float32((array.size / 8) ** 0.5), name)

    nodes = [
        helper.make_node("Conv", ["input", "kernel", "bias"], ["seen"], "conv", pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["seen"], ["bright"], "relu"),
        helper.make_node("Conv", ["bright", "kernel2"], ["again"], "conv2", strides=[4, 4]),
        helper.make_node("Reshape", ["again", "shape"], ["tokens"], "reshape"),
        helper.make_node("MatMul", ["tokens", "left"], ["query"], "query"),
        helper.make_node("Transpose", ["tokens"], ["turned"], "turn", perm=[0, 2, 1]),
        helper.make_node("MatMul", ["query", "turned"], ["alike"], "alike"),
        helper.make_node("Softmax", ["alike"], ["attention"], "softmax"),
        helper.make_node("MatMul", ["attention", "tokens"], ["mixed"], "mix"),
        helper.make_node("Identity", ["left"], ["left_again"], "identity"),
        helper.make_node("MatMul", ["mixed", "left_again"], ["value"], "value"),
        helper.make_node("MatMul", ["value", "right"], ["output"], "last"),
    ]
    shape = numpy_helper.from_array(np.array([1, 16, 8], np.int64), "shape")
    kernels = [weights("kernel", 8, 3, 3, 3), weights("bias", 8), weights("kernel2", 8, 8, 4, 4)]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 16, 4])],
        [*kernels, shape, weights("left", 8, 8), weights("right", 8, 4)],
    )
    document = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(onnx.shape_inference.infer_shapes(document).SerializeToString())


def tensors(count: int) -> list[Floats]:
    random = np.random.default_rng(1)
    return [random.standard_normal((1, 3, SIDE, SIDE), np.float32) for _ in range(count)]


def calibration(given: Sequence[Floats]) -> nncf_int8.Calibration:
    """Return these tensors as a calibration, whose pictures are their numbers."""
    return nncf_int8.Calibration([bytes([number]) for number in range(len(given))], lambda number: given[number[0]])


def make(model: Path, given: Sequence[Floats], folder: Path) -> Path:
    """Make the form, or skip where NNCF is missing: loaded as the command loads it, so that it reports to nobody."""
    try:
        nncf_int8.version()
    except RefusedError:
        pytest.skip("not here: nncf (PyPI; the locked NumPy is too new for it elsewhere)")
    folder.mkdir(exist_ok=True)
    return folder / nncf_int8.for_tensorrt(model, calibration(given), folder)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small model, and its form."""
    folder = tmp_path_factory.mktemp("small")
    model = folder / "small.onnx"
    model.write_bytes(small_model())
    return model, make(model, tensors(30), folder / "form")


def test_all_of_it_is_int8_around_0_and_what_is_never_negative_too(small: tuple[Path, Path]) -> None:
    assert_tensorrt_takes(small[1])


def test_products_with_weights_are_in_8_bits_and_attention_is_not(small: tuple[Path, Path]) -> None:
    import onnx

    graph = onnx.load(small[1]).graph
    floats = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    both = {node.name for node in graph.node if len(node.input) > 1 and floats.issuperset(node.input[:2])}
    assert both == {"conv", "conv2", "query", "value", "last"}
    assert not any(floats.intersection(node.input) for node in graph.node if node.name in {"alike", "mix", "softmax"})


@pytest.mark.parametrize("optimizations", [ON, OFF])
def test_it_answers_as_the_model_does_but_for_the_rounding(small: tuple[Path, Path], optimizations: Any) -> None:
    model, form = (session(path, optimizations) for path in small)
    for tensor in tensors(40)[30:]:
        wanted, given = (runs.run(None, {"input": tensor})[0] for runs in (model, form))
        off = given - wanted
        assert np.corrcoef(wanted.ravel(), given.ravel())[0, 1] > 0.95
        assert 0 < np.abs(off).mean() < 0.2 * wanted.std()


@pytest.mark.real
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("model", "side"), [(MODEL, 384), (ATTO, 320)], ids=["femto", "atto"])
def test_it_sees_what_the_model_sees(
    model: Path, side: int, tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    need(model)
    form = make(model, album(side)[0], tmp_path / "form")
    assert_tensorrt_takes(form)
    for optimizations in (ON, OFF):
        alike = compared(form, model, side, optimizations)
        how = "in ONNX Runtime's integers" if optimizations == ON else "rounded as its graph says"
        figure(f"tensorrt_int8 of {model.name} (DEIMv2, not RF-DETR), {how}; TensorRT has not seen it", str(alike))
        assert alike.finds > 150
        assert alike.complaint() == "", LEAST
        assert alike.overlap > 0.9
