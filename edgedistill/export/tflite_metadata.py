"""Writes what Android's tools read from a .tflite: its model metadata and the label file.

The tables are those of ``metadata_schema.fbs`` (TensorFlow Lite Support, version 1.0.0,
identifier "M001"); the comment behind each slot names its field. The label file is
appended to the model as a zip archive, stored, which both flatbuffer and zip readers
accept, because one starts at the file's head and the other at its end.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

from edgedistill.export.metadata import Metadata
from edgedistill.ir.graph import Graph

METADATA_NAME = "TFLITE_METADATA"
METADATA_IDENTIFIER = b"M001"
LABEL_FILE = "labels.txt"

_TENSOR_AXIS_LABELS = 2  # enum AssociatedFileType
_FEATURE_PROPERTIES, _IMAGE_PROPERTIES = 1, 2  # union ContentProperties
_NORMALIZATION_OPTIONS = 1  # union ProcessUnitOptions
_COLOR_SPACES = {1: 2, 3: 1}  # channels -> enum ColorSpaceType: GRAYSCALE, RGB


def normalization(meta: Metadata) -> tuple[float, float]:
    """(mean, std) with ``real = (pixel - mean) / std``.

    From ``real = scale * (q - zero_point)`` and ``q = pixel - 128``.
    """
    return 128.0 + meta.input_zero_point, 1.0 / meta.input_scale


def model_metadata(graph: Graph, meta: Metadata) -> bytes:
    """The ``ModelMetadata`` flatbuffer of a graph with images or features as its input."""
    import flatbuffers

    b = flatbuffers.Builder(1024)
    inputs = [_input(b, graph, name, meta) for name in graph.inputs]
    outputs = [_output(b, name, meta) for name in graph.outputs]
    subgraph = _table(
        b,
        {
            0: _text(b, graph.name),  # name
            2: _tables(b, inputs),  # input_tensor_metadata
            3: _tables(b, outputs),  # output_tensor_metadata
        },
    )
    slots = {
        0: _text(b, meta.name),  # name
        1: _text(b, meta.description),  # description
        2: _text(b, meta.version),  # version
        3: _tables(b, [subgraph]),  # subgraph_metadata
        4: _text(b, meta.provenance.get("author", "edgedistill")),  # author
        7: _text(b, "1.0.0"),  # min_parser_version
    }
    if "licence" in meta.provenance:
        slots[5] = _text(b, meta.provenance["licence"])  # license
    b.Finish(_table(b, slots), file_identifier=METADATA_IDENTIFIER)
    return bytes(b.Output())


def append_labels(model: bytes, labels: Sequence[str]) -> bytes:
    """The model followed by a zip with ``labels.txt`` (one name a line); unchanged without labels."""
    if not labels:
        return model
    file = io.BytesIO(model)
    entry = zipfile.ZipInfo(LABEL_FILE, date_time=(1980, 1, 1, 0, 0, 0))  # same labels, same bytes
    entry.compress_type = zipfile.ZIP_STORED  # Android maps it, so it cannot be deflated
    entry.external_attr = 0o644 << 16
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(entry, "".join(f"{' '.join(label.split())}\n" for label in labels))
    return file.getvalue()


def _input(b: Any, graph: Graph, name: str, meta: Metadata) -> int:
    shape = graph.tensors[name].shape
    if "front_end" not in meta.provenance and len(shape) == 4 and shape[3] in _COLOR_SPACES:
        size = _scalars(b, {0: ("Uint32", shape[2]), 1: ("Uint32", shape[1])})  # width, height
        b.StartObject(2)
        b.PrependInt8Slot(0, _COLOR_SPACES[shape[3]], 0)  # color_space
        b.PrependUOffsetTRelativeSlot(1, size, 0)  # default_size
        content = _union(b, 3, _IMAGE_PROPERTIES, b.EndObject())
        description = "pixels 0..255; real value (pixel - mean) / std, then the tensor's own quantisation"
    else:
        content = _union(b, 3, _FEATURE_PROPERTIES, _table(b, {}, size=0))
        description = meta.provenance.get("front_end", "features")
    mean, std = normalization(meta)
    options = _table(b, {0: _floats(b, [mean]), 1: _floats(b, [std])})  # mean, std
    unit = _union(b, 2, _NORMALIZATION_OPTIONS, options)
    stats = _table(
        b,
        {0: _floats(b, [(255.0 - mean) / std]), 1: _floats(b, [-mean / std])},  # max, min
    )
    return _table(
        b,
        {
            0: _text(b, name),  # name
            1: _text(b, description),  # description
            3: content,  # content
            4: _tables(b, [unit]),  # process_units
            5: stats,  # stats
        },
    )


def _output(b: Any, name: str, meta: Metadata) -> int:
    slots = {
        0: _text(b, name),  # name
        1: _text(b, "one score per label, before softmax"),  # description
        3: _union(b, 3, _FEATURE_PROPERTIES, _table(b, {}, size=0)),  # content
    }
    if meta.labels:
        file_name, file_text = _text(b, LABEL_FILE), _text(b, "names of the classes, one a line")
        b.StartObject(4)
        b.PrependUOffsetTRelativeSlot(0, file_name, 0)  # name
        b.PrependUOffsetTRelativeSlot(1, file_text, 0)  # description
        b.PrependInt8Slot(2, _TENSOR_AXIS_LABELS, 0)  # type
        slots[6] = _tables(b, [b.EndObject()])  # associated_files
    return _table(b, slots)


def _table(b: Any, slots: Mapping[int, int], size: int | None = None) -> int:
    """A table whose fields are all offsets."""
    b.StartObject(max(slots) + 1 if size is None else size)
    for slot, offset in slots.items():
        b.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return int(b.EndObject())


def _scalars(b: Any, slots: Mapping[int, tuple[str, int]]) -> int:
    b.StartObject(max(slots) + 1)
    for slot, (kind, value) in slots.items():
        getattr(b, f"Prepend{kind}Slot")(slot, value, 0)
    return int(b.EndObject())


def _union(b: Any, fields: int, kind: int, value: int) -> int:
    """A table of ``fields`` slots whose first two are a union's type and value."""
    b.StartObject(fields)
    b.PrependUint8Slot(0, kind, 0)
    b.PrependUOffsetTRelativeSlot(1, value, 0)
    return int(b.EndObject())


def _text(b: Any, text: str) -> int:
    return int(b.CreateString(text))


def _tables(b: Any, offsets: Sequence[int]) -> int:
    b.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        b.PrependUOffsetTRelative(offset)
    return int(b.EndVector())


def _floats(b: Any, values: Sequence[float]) -> int:
    b.StartVector(4, len(values), 4)
    for value in reversed(values):
        b.PrependFloat32(value)
    return int(b.EndVector())
