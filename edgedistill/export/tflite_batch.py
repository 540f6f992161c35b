"""Fixes the batch of a .tflite file to 1, for runtimes that take no other: LiteRT.js."""

from __future__ import annotations

from edgedistill.export.tflite_flatbuffer import load_schema


def of_one(data: bytes) -> bytes:
    """A file of ours in which every open dimension is 1; all else stays as it is, byte for byte.

    Args:
        data: printed by ``export.tflite``; its tensors' shapes are those of batch 1 already.
    """
    changed = bytearray(data)
    model = load_schema().Model.GetRootAs(changed, 0)
    for graph in (model.Subgraphs(i) for i in range(model.SubgraphsLength())):
        for tensor in (graph.Tensors(i) for i in range(graph.TensorsLength())):
            if tensor.ShapeSignatureLength():
                signature = tensor.ShapeSignatureAsNumpy()  # within ``changed``
                signature[signature == -1] = 1
    return bytes(changed)
