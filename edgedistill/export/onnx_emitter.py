"""The ONNX file under construction: nodes, constants and the layout of every value.

Every artifact takes the same bytes, so a model's inputs and outputs are NHWC; ONNX's
convolutions are NCHW. One Transpose stands at the entry, and one at the exit where an
output has four dimensions; every 4-D value between them is NCHW.

Names: a value is called as in the graph. Where an input or output of the model took that
name for its NHWC form, the NCHW form is called ``NAME/NCHW``. Helper values carry a suffix
after a slash (``NAME/index``, ``NAME/float``), so they never collide with the graph's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from edgedistill.ir.graph import Graph, Op, Tensor
from edgedistill.ir.ops import Concat, Conv2D, DepthwiseConv2D, MaxPool2D

OPSET = 17  # the oldest with all operators used, read by every ONNX Runtime since 1.12 (mobile builds too)
IR_VERSION = 8  # the one that opset 17 was published with (ONNX 1.12, versioning table)
MICROSOFT = "com.microsoft"
NCHW_FROM_NHWC = (0, 3, 1, 2)
NHWC_FROM_NCHW = (0, 2, 3, 1)
_ELEMENT = {
    "int8": TensorProto.INT8,
    "int16": TensorProto.FLOAT,  # whole numbers, see onnx_int16.py
    "int32": TensorProto.INT32,
    "float32": TensorProto.FLOAT,
}

AttrValue = int | float | Sequence[int]


class Emitter:
    """Collects what the printers of the operators write."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, TensorProto] = {}

    def tensor(self, name: str) -> Tensor:
        """The graph's tensor of that name."""
        return self.graph.tensors[name]

    def value(self, name: str) -> str:
        """The name of an activation (or of a constant operand) as the operators see it: 4-D in NCHW."""
        t = self.tensor(name)
        if t.data is not None:
            data = t.data.transpose(NCHW_FROM_NHWC) if t.data.ndim == 4 else t.data
            return self.constant(name, data)
        at_border = name in self.graph.inputs or name in self.graph.outputs
        return f"{name}/NCHW" if at_border and len(t.shape) == 4 else name

    def node(
        self,
        op_type: str,
        inputs: Sequence[str],
        output: str,
        name: str,
        attrs: Mapping[str, AttrValue] | None = None,
        domain: str = "",
    ) -> str:
        """Appends a node and returns its output."""
        extra: dict[str, Any] = dict(attrs or {})
        made = helper.make_node(op_type, list(inputs), [output], name=name, domain=domain, **extra)
        self.nodes.append(made)
        return output

    def constant(self, name: str, array: NDArray[Any] | np.generic) -> str:
        """An initialiser, written once; a NumPy scalar becomes a rank-0 tensor and stays one."""
        if name not in self.constants:
            # np.ascontiguousarray would give a rank-0 scale rank 1, and another kernel rounds otherwise.
            self.constants[name] = numpy_helper.from_array(np.array(array, order="C", copy=True), name)
        return name

    def quant(self, name: str) -> tuple[str, str]:
        """The names of an activation's scale and zero point, both rank 0."""
        q = self.tensor(name).quant
        assert q is not None and q.axis is None, f"{name} is not an int8 activation"
        scale = self.constant(f"{name}/scale", np.float32(q.scale[0]))
        return scale, self.constant(f"{name}/zero_point", np.int8(q.zero_point))

    def weights(self, name: str) -> str:
        """A layer's weights in ONNX's layout: [O,I,KH,KW], depthwise [C,1,KH,KW], dense [O,I]."""
        data = self.tensor(name).data
        assert data is not None, f"{name} is not a constant"
        if data.ndim == 2:
            return self.constant(name, data)
        return self.constant(name, data.transpose((3, 0, 1, 2) if self._is_depthwise(name) else (0, 3, 1, 2)))

    def weight_quant(self, name: str) -> tuple[str, str]:
        """Scales and zero points of weights, one per output channel (rank 1)."""
        t = self.tensor(name)
        assert t.quant is not None and t.data is not None
        channels = t.shape[-1] if self._is_depthwise(name) else t.shape[0]
        scale = np.broadcast_to(t.quant.scale, (channels,))
        return (
            self.constant(f"{name}/scale", scale),
            self.constant(f"{name}/zero_point", np.zeros(channels, np.int8)),
        )

    def _is_depthwise(self, name: str) -> bool:
        return any(op.kind == "DEPTHWISE_CONV_2D" for op in self.graph.consumers(name))

    def enter(self) -> None:
        """Transposes 4-D inputs of the model to NCHW."""
        for name in self.graph.inputs:
            if len(self.tensor(name).shape) == 4:
                self.node("Transpose", [name], f"{name}/NCHW", f"{name}/to_NCHW", {"perm": NCHW_FROM_NHWC})

    def leave(self) -> None:
        """Transposes 4-D outputs of the model back to NHWC."""
        for name in self.graph.outputs:
            if len(self.tensor(name).shape) == 4:
                self.node("Transpose", [f"{name}/NCHW"], name, f"{name}/to_NHWC", {"perm": NHWC_FROM_NCHW})

    def reshape(self, op: Op) -> None:
        """Reshape in NHWC order, with a Transpose only where NCHW order is another one."""
        (x,), (y,) = op.inputs, op.outputs
        source, target = self.value(x), self.value(y)
        if _order_matters(self.tensor(x).shape):
            source = self.node(
                "Transpose", [source], f"{y}/from_NHWC", f"{op.name}/to_NHWC", {"perm": NHWC_FROM_NCHW}
            )
        shape = self.tensor(y).shape
        if _order_matters(shape):
            wanted = self._shape(y, shape)
            flat = self.node("Reshape", [source, wanted], f"{y}/as_NHWC", op.name)
            self.node("Transpose", [flat], target, f"{op.name}/to_NCHW", {"perm": NCHW_FROM_NHWC})
        else:
            self.node("Reshape", [source, self._shape(y, _as_nchw(shape))], target, op.name)

    def _shape(self, y: str, shape: tuple[int, ...]) -> str:
        # 0 keeps the batch dimension, whatever it is.
        return self.constant(f"{y}/shape", np.array((0, *shape[1:]), np.int64))

    def table(self, op: Op) -> None:
        """An int8 function of 256 entries: Cast, Add 128, Gather."""
        x, table = op.inputs
        (y,) = op.outputs
        data = self.tensor(table).data
        assert data is not None and data.shape == (256,)
        wide = self.node(
            "Cast", [self.value(x)], f"{y}/wide", f"{op.name}/cast", {"to": int(TensorProto.INT32)}
        )
        offset = self.constant("table/offset", np.int32(128))
        index = self.node("Add", [wide, offset], f"{y}/index", f"{op.name}/add")
        self.node("Gather", [self.constant(table, data), index], self.value(y), op.name, {"axis": 0})

    def pool(self, op: Op) -> Mapping[str, AttrValue]:
        """The attributes of MaxPool."""
        a = op.attrs
        assert isinstance(a, MaxPool2D)
        return {"kernel_shape": a.kernel, "strides": a.stride, "pads": onnx_pads(a.pads)}

    def concat_axis(self, op: Op) -> int:
        """The axis of a concatenation in NCHW."""
        a = op.attrs
        assert isinstance(a, Concat)
        rank = len(self.tensor(op.outputs[0]).shape)
        axis = a.axis % rank
        return (0, 2, 3, 1)[axis] if rank == 4 else axis

    def model(self) -> ModelProto:
        """The finished file, without its metadata."""
        g = self.graph
        inside = [n for n in g.activations() if n not in g.inputs and n not in g.outputs]
        proto = helper.make_graph(
            self.nodes,
            g.name,
            [self._info(n) for n in g.inputs],
            [self._info(n) for n in g.outputs],
            list(self.constants.values()),
            value_info=[self._info(n, _as_nchw(self.tensor(n).shape)) for n in inside],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        if any(n.domain == MICROSOFT for n in self.nodes):
            opsets.append(helper.make_opsetid(MICROSOFT, 1))
        return helper.make_model(proto, opset_imports=opsets, ir_version=IR_VERSION)

    def _info(self, name: str, shape: tuple[int, ...] | None = None) -> Any:
        t = self.tensor(name)
        return helper.make_tensor_value_info(name, _ELEMENT[t.dtype], ["N", *(shape or t.shape)[1:]])


def conv_attrs(e: Emitter, op: Op) -> dict[str, AttrValue]:
    """The attributes of Conv and QLinearConv: explicit pads, one group per channel where depthwise."""
    a = op.attrs
    assert isinstance(a, Conv2D | DepthwiseConv2D)
    shape = e.tensor(op.inputs[1]).shape
    return {
        "kernel_shape": shape[1:3],
        "strides": a.stride,
        "pads": onnx_pads(a.pads),
        "group": shape[3] if isinstance(a, DepthwiseConv2D) else 1,
    }


def onnx_pads(pads: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) as ONNX writes it: begins, then ends."""
    top, bottom, left, right = pads
    return top, left, bottom, right


def _as_nchw(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(shape[i] for i in NCHW_FROM_NHWC) if len(shape) == 4 else shape


def _order_matters(shape_NHWC: tuple[int, ...]) -> bool:
    """True when NHWC and NCHW lay the values out differently."""
    return len(shape_NHWC) == 4 and shape_NHWC[3] > 1 and shape_NHWC[1] * shape_NHWC[2] > 1
