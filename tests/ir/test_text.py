"""The printed graph says what each operator is, what it costs, and how its values are scaled."""

from edgedistill.ir.plan import arena, macs
from edgedistill.ir.text import text
from tests.graphs import small_float_graph, small_integer_graph


def test_an_integer_graph() -> None:
    graph = small_integer_graph(0)
    printed = text(graph)
    lines = {line.split()[0]: line for line in printed.splitlines() if line}
    assert lines["small0:"].startswith("small0: int8, 17 operators")
    for op in graph.ops:
        assert op.kind in lines[op.name]
    y = graph.tensors["conv_2d_0"]
    assert y.quant is not None
    first = lines["conv_2d_0"]
    for part in (
        "3x3 pad 1 relu6",
        "[1,16,16,8]",
        f"{y.quant.scale[0]:.9g}",
        "-128",
        "op0_w[8,3,3,3]",
        "55,296",
    ):
        assert part in first
    assert "3x3 /2 pad 1 relu" in lines["depthwise_conv_2d_2"]
    assert "constant" in lines["depthwise_conv_2d_9"] and "sigmoid" in lines["table_11"]
    assert "outputs: fully_connected_16" in printed
    assert (
        f"{sum(macs(graph).values()):,} MACs" in printed and f"arena {arena(graph).peak:,} bytes" in printed
    )


def test_a_float_graph_has_no_scales() -> None:
    printed = text(small_float_graph(0))
    assert "small0: float32" in printed and "0.0156" not in printed


def test_the_same_graph_prints_the_same() -> None:
    assert text(small_integer_graph(4)) == text(small_integer_graph(4)) != text(small_integer_graph(5))
