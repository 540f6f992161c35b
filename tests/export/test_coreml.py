"""The Core ML package: what it holds, read back, and what its program means, evaluated in NumPy."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from edgedistill.errors import InputError, OutputError
from edgedistill.export import coreml
from edgedistill.export.metadata import Metadata
from edgedistill.ir import interpret
from edgedistill.ir.graph import Graph, Tensor
from tests import graphs

pytest.importorskip("coremltools", reason="coremltools is not installed")
LABELS = tuple(f"class {i}" for i in range(10))
META = Metadata("small", "a test model", LABELS, 1 / 64, 3, "0.1.0", provenance={"teacher": "t"})
NO_LABELS = Metadata("small", "a test model", (), 1 / 64, 3, "0.1.0")


@pytest.fixture(scope="module")
def integer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, Path]:
    graph, path = graphs.small_integer_graph(0), tmp_path_factory.mktemp("coreml") / "m.mlpackage"
    coreml.write(graph, META, path)
    return graph, path


def real_input(graph: Graph, x: np.ndarray) -> np.ndarray:
    """What an app gives the model: real values, NCHW."""
    quant = graph.tensors[graph.inputs[0]].quant
    real = x.astype(np.float32)
    if quant is not None:
        real = (real - quant.zero_point) * quant.scale[0]
    return real.transpose(0, 3, 1, 2) if real.ndim == 4 else real


def largest_difference(graph: Graph, path: Path, seed: int) -> tuple[int, int, int]:
    """(worst LSB, differing values, compared values) of the int8 values in the file's program."""
    x = graphs.random_input(graph, 1, seed)
    wanted = interpret.run(graph, {graph.inputs[0]: x}, family="F", keep=True)
    got = coreml.evaluate(path, real_input(graph, x))
    worst = differing = count = 0
    for name, value in wanted.items():
        if f"{name}_int8" in got:
            q = got[f"{name}_int8"]
            q = q.transpose(0, 2, 3, 1) if q.ndim == 4 else q
            lsb = np.abs(q.astype(np.int32) - value)
            worst, differing, count = (
                max(worst, int(lsb.max())),
                differing + int((lsb > 0).sum()),
                count + lsb.size,
            )
    return worst, differing, count


def test_the_file_holds_the_graph(integer: tuple[Graph, Path]) -> None:
    graph, path = integer
    assert coreml.check(path, graph) == []


def test_one_changed_weight_is_found(integer: tuple[Graph, Path]) -> None:
    graph, path = integer
    w = graph.tensors["op3_w"]
    data = w.data.copy()
    data.flat[5] ^= 1
    assert coreml.check(path, graph.with_tensors(Tensor(w.name, w.shape, w.dtype, w.quant, data))) == [
        "conv_2d_3: int8 weights 'op3_w' differ"
    ]


def test_a_changed_scale_and_a_missing_operator_are_found(integer: tuple[Graph, Path]) -> None:
    graph, path = integer
    t = graph.tensors["add_4"]
    other = graph.with_tensors(Tensor(t.name, t.shape, t.dtype, graphs.qparams(0.5, t.quant.zero_point)))
    assert "add_4: scale or zero point of the output differs" in coreml.check(path, other)
    shorter = graph.replace(ops=graph.ops[:-1])
    assert "1 operators linear in the file, 0 in the graph" in coreml.check(path, shorter)


def test_the_program_means_the_graph(integer: tuple[Graph, Path]) -> None:
    graph, path = integer
    worst, differing, count = 0, 0, 0
    for seed in range(4):
        w, d, c = largest_difference(graph, path, seed)
        worst, differing, count = max(worst, w), differing + d, count + c
    # Sums are float32, so a value on the edge of a half can fall to the other side, and later layers follow.
    assert worst <= 3 and differing < count // 100


@pytest.mark.parametrize(
    "name",
    [
        "conv_5x5_lopsided",
        "conv_stride2_odd",
        "depthwise_stride2_even",
        "average_8x8",
        "dense",
        "max_pool_padded",
        "reshape",
        "table_gelu",
        "add_odd",
        "mul_gate",
        "concat",
    ],
)
def test_every_operator_is_printed(name: str, tmp_path: Path) -> None:
    graph, path = graphs.integer_cases(2)[name], tmp_path / "m.mlpackage"
    coreml.write(graph, NO_LABELS, path)
    assert coreml.check(path, graph) == []
    x = graphs.random_input(graph, 1)
    got = coreml.evaluate(path, real_input(graph, x))[graph.outputs[0]]
    got = got.transpose(0, 2, 3, 1) if got.ndim == 4 else got
    quant = graph.tensors[graph.outputs[0]].quant
    wanted = interpret.run(graph, {graph.inputs[0]: x}, family="F")[graph.outputs[0]]
    lsb = np.abs(np.rint(got / quant.scale[0]) + quant.zero_point - wanted)
    assert got.shape == wanted.shape and lsb.max() <= 1 and (lsb > 0).mean() < 0.02


def test_float_graph_means_the_interpreter(tmp_path: Path) -> None:
    graph, path = graphs.small_float_graph(0), tmp_path / "m.mlpackage"
    coreml.write(graph, META, path)
    assert coreml.check(path, graph) == []
    x = graphs.random_input(graph, 1)
    wanted = interpret.run(graph, {graph.inputs[0]: x})[graph.outputs[0]]
    got = coreml.evaluate(path, real_input(graph, x))
    np.testing.assert_allclose(got[graph.outputs[0]], wanted, atol=1e-5)
    assert got["class_probabilities"].sum() == pytest.approx(1, abs=1e-5)


def test_float_functions_are_the_functions(tmp_path: Path) -> None:
    x = np.linspace(-5, 5, 64, dtype=np.float32)[None]
    net = graphs.Builder("fn", 0, integer=False)
    image = net.input((1, 64))
    made = {fn: net.table(image, fn, 1.0, 0, 0.3) for fn in graphs.FUNCTIONS}
    graph = net.graph(*made.values())
    coreml.write(graph, NO_LABELS, tmp_path / "m.mlpackage")
    assert coreml.check(tmp_path / "m.mlpackage", graph) == []
    got = coreml.evaluate(tmp_path / "m.mlpackage", x)
    for fn, name in made.items():
        np.testing.assert_allclose(
            got[name][0], graphs.FUNCTIONS[fn](x[0].astype(np.float64), 0.3), atol=2e-6
        )


def test_the_interface_is_a_classifier_with_the_contract(integer: tuple[Graph, Path]) -> None:
    import coremltools as ct

    spec = ct.models.utils.load_spec(str(integer[1]))
    description = spec.description
    assert [i.name for i in description.input] == ["image"]
    assert list(description.input[0].type.multiArrayType.shape) == [1, 3, 16, 16]
    assert description.predictedFeatureName == "label"
    assert {"label", "fully_connected_16"} <= {o.name for o in description.output}
    assert "0.015625 * (pixel - 128 - 3)" in description.input[0].shortDescription
    assert description.metadata.userDefined["numerics"] == "int8 scales, float32 sums"
    assert spec.specificationVersion == 8  # iOS 17


def test_same_graph_same_bytes(integer: tuple[Graph, Path], tmp_path: Path) -> None:
    graph, path = integer
    coreml.write(graph, META, tmp_path / "again.mlpackage")
    files = [p.relative_to(path) for p in sorted(path.rglob("*")) if p.is_file()]
    assert len(files) == 3
    for file in files:
        assert (path / file).read_bytes() == (tmp_path / "again.mlpackage" / file).read_bytes(), file


def test_nothing_is_printed_on_the_way(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    coreml.write(graphs.integer_cases(0)["dense"], NO_LABELS, tmp_path / "m.mlpackage")
    assert capfd.readouterr() == ("", "")


def test_a_wrong_suffix_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"ends in \.mlpackage"):
        coreml.write(graphs.integer_cases(0)["dense"], NO_LABELS, tmp_path / "m.mlmodel")


def test_a_broken_package_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        coreml.check(tmp_path / "none.mlpackage", graphs.integer_cases(0)["dense"])


def test_without_the_library_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "coremltools", None)
    with pytest.raises(InputError, match="pip install coremltools"):
        coreml.write(graphs.integer_cases(0)["dense"], NO_LABELS, tmp_path / "m.mlpackage")


@pytest.mark.parametrize("name", ["bool", "state", "1st", "image.0/raw:0", "_x"])
def test_names_that_mil_does_not_allow_are_replaced(name: str, tmp_path: Path) -> None:
    import coremltools as ct

    net = graphs.Builder("odd/name", 0)
    net.dense(net.input((1, 24), name=name), 5)
    coreml.write(net.graph(), NO_LABELS, tmp_path / "m.mlpackage")
    assert coreml.check(tmp_path / "m.mlpackage", net.graph()) == []
    spec = ct.models.utils.load_spec(str(tmp_path / "m.mlpackage"))
    assert [i.name for i in spec.description.input] == [coreml.mil_name(name)] != [name]


def test_a_map_of_scores_is_no_classifier(tmp_path: Path) -> None:
    graph = graphs.integer_cases(0)["conv_same"]
    coreml.write(graph, META, tmp_path / "m.mlpackage")
    assert "class_probabilities" not in coreml.evaluate(tmp_path / "m.mlpackage", np.zeros((1, 5, 8, 8)))
