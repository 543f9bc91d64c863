"""TensorRT's calibration caches: what is read of them, what is refused, and what a graph made by one answers.

No cache of TensorRT's own making is here. Those that are applied are made by this test, of what a model's tensors were
on the clip's first half: what a calibrator by entropy would have chosen is not known. It matters much, for nothing is
smoothed: by the greatest value of all pictures 16 % of DEIMv2-Femto's finds are left and 80 % of -Atto's, by the
greatest of their quantiles (0.9999) 99 and 77 %, by the mean of these 100 and 99 %.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.inference.quantize import calibration_cache
from appliance.inference.quantize.agreement import LEAST
from appliance.inference.quantize.calibration_cache import apply, read
from appliance.inference.quantize.products import own_weights, products
from appliance.inference.store.errors import RefusedError
from tests.inference.onnx_maker import model as made_by_hand
from tests.inference.quantize.test_for_tensorrt import (
    OFF,
    ON,
    album,
    assert_tensorrt_takes,
    compared,
    session,
    small_model,
    tensors,
)
from tests.rig import MODEL, need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from appliance.messages import Floats

FIRST = "TRT-8601-EntropyCalibration2"
WRITTEN = f"""{FIRST}
input: 3caa54fc
onnx::Conv_329: 3c96d93c
(Unnamed Layer* 64) [Shuffle]_output: 0
/backbone/encoder/layer.0/Add_output_0: 3b810A13
"""
"""As TensorRT writes them: names with colons and spaces, and a tensor that was always 0."""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "calibration.cache"


def text(scales: Mapping[str, float], first: str = FIRST) -> str:
    """Return a cache with these scales."""
    return "\n".join([first, *(f"{name}: {struct.pack('>f', scale).hex()}" for name, scale in scales.items()), ""])


def test_each_tensor_has_the_scale_that_its_digits_are(cache: Path) -> None:
    cache.write_text(WRITTEN)
    scales = read(cache)
    assert list(scales) == ["input", "onnx::Conv_329", "/backbone/encoder/layer.0/Add_output_0"]
    brightest_blue = (1 - 0.406) / 0.225
    assert 127 * scales["input"] == pytest.approx(brightest_blue, rel=1e-3)


@pytest.mark.parametrize(
    "first", ["TRT-101401-EntropyCalibration2", "TRT-5105-EntropyCalibration", "TRT-8502-MinMaxCalibration", FIRST]
)
def test_all_calibrators_that_write_one_scale_for_a_tensor_are_known(cache: Path, first: str) -> None:
    cache.write_text(text({"input": 0.25}, first))
    assert read(cache) == {"input": 0.25}


def test_lines_may_end_as_on_windows_and_the_last_may_be_empty(cache: Path) -> None:
    cache.write_bytes(WRITTEN.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    assert len(read(cache)) == 3


NAMES = st.text(st.characters(codec="ascii", categories=("L", "N", "P"), include_characters=" "), min_size=1)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_nan=False, allow_infinity=False, width=32)


@given(st.dictionaries(NAMES.filter(lambda name: name == name.strip()), POSITIVE, max_size=5))
def test_no_bit_of_a_scale_is_lost(tmp_path_factory: pytest.TempPathFactory, scales: dict[str, float]) -> None:
    cache = tmp_path_factory.mktemp("caches") / "cache"
    cache.write_text(text(scales))
    assert read(cache) == scales


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no calibration cache of TensorRT's"),
        (b"\x08\x07\x12\x07pytorch\xff", "is no calibration cache of TensorRT's"),
        (b"input: 3caa54fc\n", "is no calibration cache of TensorRT's"),
        (b"TRT-8601-LegacyCalibration\ninput: 3caa54fc\n", "LegacyCalibration; known are EntropyCalibration, "),
        (f"{FIRST}\ninput: 3caa54fc\nwhat is this\n".encode(), "line 3: not a tensor's name"),
        (f"{FIRST}\n\ninput: 3caa54fcab\n".encode(), "line 3: not a tensor's name"),
        (f"{FIRST}\ninput: 0.0208\n".encode(), "line 2: not a tensor's name"),
        (f"{FIRST}\n: 3caa54fc\n".encode(), "line 2: not a tensor's name"),
        (f"{FIRST}\ninput: 7fc00000\n".encode(), "line 2: 7fc00000 is nan, and no scale"),
        (f"{FIRST}\ninput: 7f800000\n".encode(), "line 2: 7f800000 is inf, and no scale"),
        (f"{FIRST}\ninput: bcaa54fc\n".encode(), "line 2: bcaa54fc is -0.02"),
    ],
)
def test_whatever_is_no_cache_is_refused_with_the_line(cache: Path, content: bytes, words: str) -> None:
    cache.write_bytes(content)
    with pytest.raises(RefusedError) as refused:
        read(cache)
    assert str(refused.value).startswith(str(cache))
    assert words in str(refused.value)


def test_a_file_that_is_not_there_or_a_folder_is_refused(cache: Path) -> None:
    with pytest.raises(RefusedError, match="there is no such file"):
        read(cache)
    with pytest.raises(RefusedError, match="Is a directory"):
        read(cache.parent)


def test_of_a_file_that_is_too_large_nothing_is_believed(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_cache, "_MOST_BYTES", 1 << 20)
    content = text({"input": 0.25}).encode()
    cache.write_bytes(content + b"\n" * ((1 << 20) - len(content)))
    assert read(cache) == {"input": 0.25}
    cache.write_bytes(cache.read_bytes() + b"\n")
    with pytest.raises(RefusedError, match="has more than 1 MiB"):
        read(cache)


def activations(model: Path) -> list[str]:
    import onnx

    graph = onnx.load(model).graph
    own_weights(graph)
    return list(dict.fromkeys(product.activation for product in products(graph)))


def ranges(model: Path, shown: Iterable[Floats], quantile: float) -> dict[str, float]:
    """Return each activation's scale: 127 of it are the quantile of its absolute values, the greatest of all shown."""
    import onnx

    document = onnx.load(model)
    names = activations(model)
    inner = [name for name in names if name != "input"]
    del document.graph.output[:]
    document.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in inner)
    runs = session(document.SerializeToString())
    most = dict.fromkeys(names, 0.0)
    for tensor in shown:
        values = dict(zip(inner, runs.run(inner, {"input": tensor}), strict=True)) | {"input": tensor}
        most = {name: max(so_far, float(np.quantile(np.abs(values[name]), quantile))) for name, so_far in most.items()}
    return {name: greatest / 127 for name, greatest in most.items()}


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.onnx"
    path.write_bytes(small_model())
    return path


def applied(model: Path, scales: Mapping[str, float], folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder / apply(model, scales, folder)


def test_a_graph_with_it_answers_as_the_model_does_but_for_the_rounding(small: Path, tmp_path: Path) -> None:
    form = applied(small, ranges(small, tensors(30), 1.0), tmp_path / "form")
    assert_tensorrt_takes(form)
    for optimizations in (ON, OFF):
        model, eight_bits = session(small, optimizations), session(form, optimizations)
        for tensor in tensors(40)[30:]:
            wanted, answered = (runs.run(None, {"input": tensor})[0] for runs in (model, eight_bits))
            assert np.corrcoef(wanted.ravel(), answered.ravel())[0, 1] > 0.99
            assert 0 < np.abs(answered - wanted).mean() < 0.1 * wanted.std()


def test_a_scale_is_what_one_step_of_the_tensor_stands_for(small: Path, tmp_path: Path) -> None:
    import onnx

    form = applied(small, dict.fromkeys(activations(small), 0.5), tmp_path / "form")
    document = onnx.load(form)
    rounded = next(node.output[0] for node in document.graph.node if node.op_type == "DequantizeLinear")
    document.graph.output.append(onnx.helper.make_empty_tensor_value_info(rounded))
    tensor = 40 * tensors(1)[0]
    given = session(document.SerializeToString(), OFF).run([rounded], {"input": tensor})[0]
    assert np.array_equal(given, np.clip(np.rint(tensor / 0.5), -128, 127) * 0.5)


def graph_of(nodes: Sequence[Any], constants: Mapping[str, Any], opset: int = 17) -> bytes:
    """Return a model of these nodes, from `input` float32 [1, 4, 4] to `output`."""
    from onnx import TensorProto, helper, numpy_helper

    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 4, 4])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, list("abc"[: 3 - ("rows" in constants)]))],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)]).SerializeToString())


def node(kind: str, *inputs: str, to: str, **attributes: Any) -> Any:
    from onnx import helper

    return helper.make_node(kind, inputs, [to], to, **attributes)


def kinds(model: Path) -> list[str]:
    import onnx

    return [one.op_type for one in onnx.load(model).graph.node]


RANDOM = np.random.default_rng(3)
MATRIX = RANDOM.standard_normal((4, 4), np.float32)
SHOWN = RANDOM.standard_normal((1, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("one", "constants"),
    [
        (("MatMul", "input", "vector"), {"vector": MATRIX[0]}),
        (("MatMul", "matrix", "input"), {"matrix": MATRIX}),
        (("MatMul", "input", "input"), {}),
        (("MatMul", "input", "three"), {"three": MATRIX[np.newaxis]}),
        (("Add", "input", "matrix"), {"matrix": MATRIX}),
    ],
)
def test_what_is_no_product_with_a_matrix_on_the_right_is_left_alone(
    one: tuple[str, ...], constants: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / "made.onnx"
    kind, *inputs = one
    nodes = [node("MatMul", "input", "other", to="product"), node(kind, *inputs, to="left_alone")]
    nodes.append(node("Concat", "product", "left_alone", to="output", axis=-1))
    path.write_bytes(graph_of(nodes, {"other": MATRIX, **constants}))
    form = applied(path, {"input": 0.02}, tmp_path / "form")
    assert kinds(form) == ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "MatMul", kind, "Concat"]
    import onnx

    assert list(onnx.load(form).graph.node[4].input) == inputs


def test_a_tensor_is_rounded_once_for_all_that_take_it_and_a_matrix_too(tmp_path: Path) -> None:
    path = tmp_path / "made.onnx"
    nodes = [
        node("MatMul", "input", "matrix", to="a"),
        node("MatMul", "input", "matrix", to="b"),
        node("Add", "a", "b", to="c"),
        node("Add", "c", "matrix", to="output"),
    ]
    path.write_bytes(graph_of(nodes, {"matrix": MATRIX}))
    form = applied(path, {"input": 0.02}, tmp_path / "form")
    rounding = ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear"]
    assert kinds(form) == [*rounding, "MatMul", "MatMul", "Add", "Add"]
    off = session(form).run(None, {"input": SHOWN})[0] - session(path).run(None, {"input": SHOWN})[0]
    assert 0 < np.abs(off).max() < 0.2


def test_a_matrix_behind_another_name_is_found_and_becomes_the_products_own(tmp_path: Path) -> None:
    """As PyTorch writes what is equal, RF-DETR's decoder for one."""
    path = tmp_path / "made.onnx"
    nodes = [
        node("Identity", "matrix", to="same"),
        node("Identity", "same", to="same_again"),
        node("MatMul", "input", "matrix", to="a"),
        node("MatMul", "a", "same_again", to="output"),
    ]
    path.write_bytes(graph_of(nodes, {"matrix": MATRIX}))
    form = applied(path, {"input": 0.02, "a": 0.05}, tmp_path / "form")
    rounding = ["QuantizeLinear", "DequantizeLinear", "DequantizeLinear", "MatMul"]
    assert kinds(form) == [*rounding, *rounding]
    wanted, answered = (session(one).run(None, {"input": SHOWN})[0] for one in (path, form))
    assert np.corrcoef(wanted.ravel(), answered.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("is_transposed", [0, 1])
def test_a_matrix_is_rounded_by_the_greatest_weight_of_each_of_the_outputs(is_transposed: int, tmp_path: Path) -> None:
    """One output's weights are a million times another's, and one has none: by one scale for all, nothing is left."""
    path = tmp_path / "made.onnx"
    weights = MATRIX * np.array([1000, 1, 0, 0.001], np.float32)
    constants = {"rows": np.array([4, 4], np.int64), "matrix": weights.T.copy() if is_transposed else weights}
    flat = node("Reshape", "input", "rows", to="flat")
    product = node("Gemm", "flat", "matrix", to="output", transB=is_transposed)
    path.write_bytes(graph_of([flat, product], constants))
    form = applied(path, {"flat": 0.02}, tmp_path / "form")
    assert_tensorrt_takes(form)
    wanted, answered = (session(one).run(None, {"input": SHOWN})[0] for one in (path, form))
    assert np.all(np.abs(answered - wanted) <= 0.03 * np.abs(weights).sum(0))
    assert np.any(answered[:, 3])


def test_what_the_cache_does_not_know_stays_as_it_is(small: Path, tmp_path: Path) -> None:
    names = activations(small)
    assert len(names) == 5
    some = dict.fromkeys(names[:3], 0.02)
    form = applied(small, {**some, "(Unnamed Layer* 64) [Shuffle]_output": 0.5}, tmp_path / "form")
    assert kinds(form).count("QuantizeLinear") == 3


def test_a_cache_of_another_model_is_refused_with_how_many_tensors_are_known(small: Path, tmp_path: Path) -> None:
    names = activations(small)
    for known in ([], names[:1]):
        with pytest.raises(RefusedError, match=rf"knows {len(known)} of the 5 tensors of small\.onnx .* another model"):
            apply(small, dict.fromkeys([*known, "onnx::Conv_329"], 0.02), tmp_path)
    assert list(tmp_path.iterdir()) == [small]


def test_a_model_that_has_no_weights_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(made_by_hand({"dets": np.zeros((1, 300, 4), np.float32)}))
    with pytest.raises(RefusedError, match="knows 0 of the 0 tensors"):
        apply(path, {"input": 0.02}, tmp_path)


def test_what_is_no_model_or_an_old_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "made.onnx"
    with pytest.raises(RefusedError, match="cannot be read as an ONNX model"):
        apply(path, {"input": 0.02}, tmp_path)
    path.write_bytes(b"no model")
    with pytest.raises(RefusedError, match="cannot be read as an ONNX model"):
        apply(path, {"input": 0.02}, tmp_path)
    path.write_bytes(graph_of([node("MatMul", "input", "matrix", to="output")], {"matrix": MATRIX}, opset=12))
    with pytest.raises(RefusedError, match="opset 12, and int8 takes 13"):
        apply(path, {"input": 0.02}, tmp_path)


@pytest.mark.real
@pytest.mark.timeout(300)
def test_with_quantiles_of_the_clip_it_sees_what_the_model_sees(
    tmp_path: Path, figure: Callable[[str, str], None]
) -> None:
    need(MODEL)
    (tmp_path / "cache").write_text(text(ranges(MODEL, album(384)[0], 0.9999)))
    form = applied(MODEL, read(tmp_path / "cache"), tmp_path / "form")
    assert_tensorrt_takes(form)
    alike = compared(form, MODEL, 384, OFF)
    figure(f"a calibration cache of quantiles, for {MODEL.name} (DEIMv2, not RF-DETR)", str(alike))
    assert alike.finds > 150
    assert alike.complaint() == "", LEAST
