"""Says what was checked of a Core ML package, which predicts on Apple's systems only."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError, InputError
from edgedistill.ir.graph import Graph
from edgedistill.record import Parity

EVALUATED = 4  # inputs: the NumPy evaluation of a program is slow, and one input touches every operator

Int8 = NDArray[np.int8]


def coreml(path: Path, graph: Graph | None, x: Int8, expected: Int8) -> Parity:
    """A row with how='not run' whose note tells what was read back from the package.

    Args:
        path: the .mlpackage folder.
        graph: the integer graph; None: nothing can be compared.
        x: inputs int8 [N, ...], of which a few are evaluated.
        expected: the interpreter's answers to them.

    Raises:
        GateError: the package cannot be read, or it is not the graph.
    """
    note = f"Core ML predicts on Apple's systems only; {_checked(path, graph, x, expected)}"
    return Parity(runtime="coreml", artifact=path.name, how="not run", note=note)


def _checked(path: Path, graph: Graph | None, x: Int8, expected: Int8) -> str:
    if not (path / "Manifest.json").is_file():
        raise GateError(
            "the Core ML package has no Manifest.json", where=str(path), fix="copy the whole folder"
        )
    if importlib.util.find_spec("coremltools") is None:
        return "the package was not read back (coremltools is not installed)"
    if graph is None:
        return "the package was not compared (there is no graph beside it)"
    from edgedistill.export.coreml_check import check, evaluate
    from edgedistill.export.coreml_printer import mil_name

    try:
        problems = check(path, graph)
    except InputError as error:
        raise GateError(error.what, where=str(path), fix=error.fix) from error
    if problems:
        raise GateError(
            f"the Core ML package is not the graph: {problems[0]}"
            + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""),
            where=str(path),
            fix="build again",
        )
    quant = graph.tensors[graph.inputs[0]].quant
    assert quant is not None
    answer = f"{mil_name(graph.outputs[0])}_int8"
    identical = values = 0
    for q, wanted in zip(x[:EVALUATED], expected[:EVALUATED], strict=True):
        real = (q[None].astype(np.float32) - quant.zero_point) * quant.scale[0]
        got = evaluate(path, real.transpose(0, 3, 1, 2) if real.ndim == 4 else real).get(answer)
        if got is None or got.size != wanted.size:
            return "operators, scales and weights in the file are the graph's"
        identical += int((got.reshape(-1) == wanted.reshape(-1)).sum())
        values += wanted.size
    return (
        "operators, scales and weights in the file are the graph's, and its program evaluated in NumPy "
        f"agrees on {identical} of {values} values ({min(len(x), EVALUATED)} inputs)"
    )
