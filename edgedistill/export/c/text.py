"""Writes C: identifiers, comments, strings, arrays and structures."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from edgedistill.export.c.layout import Channels, Multiplier
from edgedistill.export.metadata import Metadata
from edgedistill.ir.numerics import FixedPoint

_WIDTH = 100


def identifier(name: str) -> str:
    """A C identifier's tail from a model's name: lower case, without the package's own name in front."""
    found = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    return found.removeprefix("edgedistill_") or "model"


def symbol(meta: Metadata) -> str:
    """The stem of a model's files and of every public symbol."""
    return "edgedistill_" + identifier(meta.name)


def comment(text: str) -> str:
    """Text that is safe inside a comment."""
    plain = "".join(c if " " <= c <= "~" else " " for c in text)
    return " ".join(plain.replace("*/", "* /").replace("/*", "/ *").replace("??", "? ?").split())


def string(text: str) -> str:
    """A C string literal of the text's UTF-8 bytes."""
    plain = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-.,:;()/+")
    return '"' + "".join(chr(b) if b in plain else f"\\{b:03o}" for b in text.encode()) + '"'


def real(value: np.float32) -> str:
    """A float32 as a hexadecimal C constant, which is exact."""
    return f"{float(value).hex()}f"


def scale(value: Multiplier) -> str:
    """Family D's multiplier, or family F's in two forms, one of which the compiler takes."""
    if isinstance(value, FixedPoint):
        return f"{{{value.q31}, {min(value.shift, 30)}}}"  # where any sum but 0 saturates
    return f"EDGE_SCALE(0x{int(value.view(np.uint32)):08X}u, {real(value)})"


def lines(items: Sequence[str], indent: str = "    ") -> str:
    """Items between commas, broken at the page's width."""
    lengths = np.fromiter(map(len, items), np.int64, len(items))  # large models have hundreds of thousands
    ends = [0, *np.cumsum(lengths + len(", ")).tolist()]
    rows, start = [], 0
    while start < len(items):
        room = ends[start] + _WIDTH - len(indent) - len(",") + len(", ")
        stop = max(bisect_right(ends, room) - 1, start + 1)  # a row holds one item at least
        rows.append(indent + ", ".join(items[start:stop]) + ",")
        start = stop
    return "\n".join(rows).removesuffix(",")


def bytes_array(name: str, values: NDArray[np.int8]) -> str:
    """``static const int8_t name[]``, on a word's boundary."""
    body = lines([*map(str, values.reshape(-1).tolist())])
    return f"static const int8_t {name}[{values.size}] EDGE_ALIGNED = {{\n{body}\n}};\n"


def words_array(name: str, values: NDArray[np.int32]) -> str:
    """``static const int32_t name[]``."""
    return f"static const int32_t {name}[{values.size}] = {{\n{lines([*map(str, values.tolist())])}\n}};\n"


def scales_array(name: str, values: Sequence[Multiplier]) -> str:
    """``static const edge_scale_t name[]``."""
    return f"static const edge_scale_t {name}[{len(values)}] = {{\n{lines([*map(scale, values)])}\n}};\n"


def channels_array(name: str, values: Channels) -> str:
    """``static const edge_channel_t name[]``."""
    rows = [f"{{{b}, {scale(s)}}}" for b, s in zip(values.bias.tolist(), values.scale, strict=True)]
    return f"static const edge_channel_t {name}[{len(rows)}] = {{\n{lines(rows)}\n}};\n"


def structure(kind: str, name: str, fields: Mapping[str, int | str]) -> str:
    """``static const kind name`` by named fields."""
    body = lines([f".{field} = {value}" for field, value in fields.items()])
    return f"static const {kind} {name} = {{\n{body}\n}};\n"
