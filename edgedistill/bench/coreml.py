"""Says what was checked of a Core ML package, which runs on Apple systems only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgedistill.errors import GateError
from edgedistill.ir.graph import Graph
from edgedistill.record import Parity


def coreml(path: Path, graph: Graph | None) -> Parity:
    """A row with how='not run' whose note tells what was read back from the package.

    Raises:
        GateError: the package cannot be read, or a weight in it is not the graph's.
    """
    return Parity(
        runtime="coreml",
        artifact=path.name,
        how="not run",
        note=f"Core ML predicts on Apple systems only; {_checked(path, graph)}",
    )


def _checked(path: Path, graph: Graph | None) -> str:
    if not (path / "Manifest.json").is_file():
        raise GateError(
            "the Core ML package has no Manifest.json", where=str(path), fix="copy the whole folder"
        )
    try:
        import coremltools
    except ImportError:
        return "the package was not read back (coremltools is not installed)"
    try:
        operations, constants = _read_back(coremltools, path)
    except Exception as error:  # protobuf, the MIL reader and the file system share no class of errors
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise GateError(
            f"the Core ML package cannot be read: {reason}", where=str(path), fix="build again"
        ) from error
    said = f"read back: {operations} operations"
    if graph is None:
        return said
    weights = [
        tensor
        for op in graph.ops
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
        for tensor in (graph.tensors[op.inputs[1]],)
        if tensor.data is not None
    ]
    lost = [w.name for w in weights if w.data is not None and not _present(w.data, constants)]
    if lost:
        raise GateError(
            f"{len(lost)} of {len(weights)} weights in the package are not the graph's, {lost[0]!r} first",
            where=str(path),
            fix="build again",
        )
    return f"{said}, all {len(weights)} weight tensors equal to the graph's"


def _read_back(coremltools: Any, path: Path) -> tuple[int, list[NDArray[Any]]]:
    """(operations that are not constants, every constant array of the program)."""
    from coremltools.converters.mil.frontend.milproto.load import load

    spec = coremltools.models.utils.load_spec(str(path))
    program = load(
        spec,
        specification_version=spec.specificationVersion,
        file_weights_dir=str(next(path.rglob("weights"), path)),
    )
    operations, constants = 0, []
    for op in program.functions["main"].operations:
        arrays = [np.asarray(value) for value in _values(op)]
        constants += [a for a in arrays if a.dtype.kind in "iuf" and a.size > 0]
        operations += op.op_type != "const"
    return operations, constants


def _values(op: Any) -> Iterator[Any]:
    """Constant values that an operation holds or gives."""
    for out in op.outputs:
        if out.val is not None:
            yield out.val
    for value in op.inputs.values():
        if not isinstance(value, list | tuple) and getattr(value, "val", None) is not None:
            yield value.val


def _present(weight: NDArray[Any], constants: list[NDArray[Any]]) -> bool:
    """Whether a constant holds the weight, as it is or with its channels first."""
    forms = [weight]
    if weight.ndim == 4:  # [O,KH,KW,I] -> [O,I,KH,KW]; [1,KH,KW,C] -> [C,1,KH,KW]
        forms += [weight.transpose(0, 3, 1, 2), weight.transpose(3, 0, 1, 2)]
    return any(
        np.array_equal(form.reshape(-1), constant.reshape(-1))
        for constant in constants
        if constant.size == weight.size
        for form in forms
    )
