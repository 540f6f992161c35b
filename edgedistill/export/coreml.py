"""Core ML: the graph printed as an ML program for iPhone, iPad and Mac (iOS 17, macOS 14).

Input: float32 NCHW, batch 1, real-valued (``input_scale * (pixel - 128 - input_zero_point)``),
because Core ML takes no int8. The first operator quantises it to the graph's own int8 values.

An integer graph becomes float operators between ``quantize`` and ``dequantize`` with the
graph's scales, weights stored as int8 (``constexpr_affine_dequantize``), computed in float32:
float16 would round the scales. Sums are therefore float32, not int32: a value can differ from
the interpreter where it lies within float32 rounding of a half. Four-dimensional values are
NCHW. A float32 value has its name in the graph, letters that MIL does not allow replaced by
``_``; the int8 value behind it is ``NAME_int8``.

With labels the model is a classifier: outputs are the logits, the probabilities by label, and
the predicted label. Core ML predicts on Apple's systems only; coreml_check.py reads the file back
and evaluates it in NumPy.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from edgedistill.errors import OutputError, UnsupportedOpError, writing
from edgedistill.export import NO_INT16, exportable
from edgedistill.export.coreml_check import check, evaluate
from edgedistill.export.coreml_printer import PROBABILITIES, import_coremltools, mil_name, program, quiet
from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph

__all__ = ["check", "evaluate", "mil_name", "write"]


def write(graph: Graph, meta: Metadata, path: Path) -> None:
    """Writes ``path``, a .mlpackage folder; the same graph and metadata give the same bytes.

    Raises:
        UnsupportedOpError: some activations are int16.
        OutputError: the suffix is another one, or the folder cannot be written.
        InputError: coremltools is not installed.
    """
    if path.suffix != ".mlpackage":
        raise OutputError(
            "a Core ML model is a folder whose name ends in .mlpackage",
            where=str(path),
            fix="rename the output",
        )
    if not exportable(("coreml",), graph):
        raise UnsupportedOpError(
            f"a Core ML model cannot hold int16 activations: {NO_INT16['coreml']}",
            where=graph.name,
            fix="leave coreml out of the formats, or quantise without int16",
        )
    with quiet():
        ct = import_coremltools()
        flat = len(graph.tensors[graph.outputs[0]].shape) == 2  # one score per class, not a map of scores
        labels = (meta.labels or graph.labels) if flat else ()
        classifier = ct.ClassifierConfig(list(labels), "label", PROBABILITIES) if labels else None
        model = ct.convert(
            program(graph, ct, bool(labels)),
            convert_to="mlprogram",
            minimum_deployment_target=ct.target.iOS17,
            compute_precision=ct.precision.FLOAT32,
            # The default passes merge scales and move zero points, which changes the arithmetic.
            pass_pipeline=ct.PassPipeline.EMPTY,
            classifier_config=classifier,
            skip_model_load=True,
        )
        _describe(model, graph, meta)
        with writing("the Core ML model", path):
            model.save(str(path))
            _make_reproducible(path, ct)


def _describe(model: Any, graph: Graph, meta: Metadata) -> None:
    x = graph.inputs[0]
    value = f"{meta.input_noun} - 128 - {meta.input_zero_point}"
    contract = f"float32 NCHW, batch 1: {meta.input_scale!r} * ({value})"
    model.short_description = meta.description
    model.author = "edgedistill"
    model.version = meta.version
    model.input_description[mil_name(x)] = contract
    model.user_defined_metadata["name"] = meta.name
    model.user_defined_metadata["labels"] = json.dumps(list(meta.labels), ensure_ascii=False)
    model.user_defined_metadata["preprocessing"] = contract
    model.user_defined_metadata["provenance"] = json.dumps(
        dict(meta.provenance), ensure_ascii=False, sort_keys=True
    )
    model.user_defined_metadata["numerics"] = "int8 scales, float32 sums" if graph.is_integer else "float32"


def _make_reproducible(path: Path, ct: Any) -> None:
    """Takes the date and the random identifiers out of a package."""
    file = path / "Data" / "com.apple.CoreML" / "model.mlmodel"
    spec = ct.models.utils.load_spec(str(path))
    spec.description.metadata.userDefined.pop("com.github.apple.coremltools.conversion_date", None)
    file.write_bytes(spec.SerializeToString(deterministic=True))
    manifest_path = path / "Manifest.json"
    manifest = json.loads(manifest_path.read_text())
    fixed = {
        old: str(uuid.uuid5(uuid.NAMESPACE_URL, entry["path"]))
        for old, entry in manifest["itemInfoEntries"].items()
    }
    entries = {fixed[old]: entry for old, entry in manifest["itemInfoEntries"].items()}
    manifest["itemInfoEntries"] = dict(sorted(entries.items()))
    manifest["rootModelIdentifier"] = fixed[manifest["rootModelIdentifier"]]
    manifest_path.write_text(json.dumps(manifest, indent=4) + "\n")
