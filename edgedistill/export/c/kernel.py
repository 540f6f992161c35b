"""The table of C kernels: files that are pasted into a model when one of its operators needs them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

from edgedistill.ir.interpret import Family


@dataclass(frozen=True)
class Kernel:
    """A file under kernels/ or one instance of a macro from it, and what must stand before."""

    text: str
    needs: tuple[str, ...] = ()

    def source(self) -> str:
        """The C text."""
        if not self.text.endswith(".h"):
            return self.text + "\n"
        return resources.files("edgedistill.export.c.kernels").joinpath(self.text).read_text(encoding="utf-8")


KERNELS: Mapping[str, Kernel] = MappingProxyType(
    {
        "whole": Kernel(
            "/* No float unit is used. */\n#undef EDGE_FLOAT\n#define EDGE_FLOAT 0\n#define EDGE_FIXED 1"
        ),
        "base": Kernel("base.h"),
        "dsp": Kernel("dsp.h", ("base",)),
        "neon": Kernel("neon.h", ("base",)),
        "requantise": Kernel("requantise.h", ("base",)),
        "helium": Kernel("helium.h", ("base",)),
        "high": Kernel("high.h", ("base",)),
        "add": Kernel("add.h", ("dsp", "high", "helium", "neon")),
        "add_float": Kernel("add_float.h", ("requantise", "helium", "neon")),
        "add_fixed": Kernel("add_fixed.h", ("requantise", "neon")),
        "mul": Kernel("mul.h", ("high", "neon")),
        "mul_float": Kernel("mul_float.h", ("requantise", "neon")),
        "unfold": Kernel("unfold.h", ("dsp", "requantise", "neon")),
        "product_helium": Kernel("product_helium.h", ("unfold", "helium")),
        "product_neon": Kernel("product_neon.h", ("unfold",)),
        "product": Kernel("product.h", ("product_helium", "product_neon")),
        "conv": Kernel("conv.h", ("product",)),
        "fused": Kernel("conv_add.h", ("product",)),
        "conv_add": Kernel("EDGE_CONV_ADD(add)", ("fused", "add")),
        "conv_add_float": Kernel("EDGE_CONV_ADD(add_float)", ("fused", "add_float")),
        "conv_add_fixed": Kernel("EDGE_CONV_ADD(add_fixed)", ("fused", "add_fixed")),
        "dense": Kernel("dense.h", ("dsp", "requantise", "helium", "neon")),
        "plane": Kernel("plane.h", ("dsp", "requantise", "neon")),
        "depthwise": Kernel("depthwise.h", ("plane", "helium")),
        "max_pool": Kernel("max_pool.h", ("base",)),
        "table": Kernel("table.h", ("base",)),
        "copy": Kernel("copy.h"),
        "int16": Kernel("int16.h", ("base",)),
        "conv16": Kernel("conv16.h", ("dsp", "int16")),
        "depthwise16": Kernel("depthwise16.h", ("int16",)),
        "add16": Kernel("add16.h", ("int16",)),
        "quantise16": Kernel("quantise16.h", ("int16",)),
    }
)
"""In the order in which they are pasted: a kernel stands after what it needs."""


_FIXED = MappingProxyType({**KERNELS, "requantise": Kernel("requantise_fixed.h", ("whole", "base"))})


def sources(names: Iterable[str], family: Family = "F") -> tuple[str, ...]:
    """The texts of the named kernels and all that they need, in order."""
    kernels = _FIXED if family == "D" else KERNELS
    wanted: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += kernels[name].needs
    return tuple(kernel.source() for name, kernel in kernels.items() if name in wanted)
