"""Lays out the two files of a model: the header that an application includes, and the source."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgedistill.errors import InputError, UnsupportedOpError
from edgedistill.export.c import kernel, text
from edgedistill.export.c.int16 import print_int16
from edgedistill.export.c.layout import quant
from edgedistill.export.c.operators import OPERATORS, Printed, Site
from edgedistill.export.c.steps import steps
from edgedistill.export.metadata import Metadata
from edgedistill.ir import plan
from edgedistill.ir.graph import Graph
from edgedistill.ir.interpret import Family
from edgedistill.ir.plan import ArenaPlan, Step

FAMILIES: Mapping[Family, str] = {
    "F": "one float32 multiplication rounded half to even, as CPU runtimes have it",
    "D": "fixed point rounded twice, as TensorFlow Lite Micro and the TFLite reference kernels have it",
}
"""What the header says of its arithmetic."""


@dataclass(frozen=True)
class Model:
    """``name`` is the stem of both files and of every public symbol."""

    name: str
    header: str
    source: str


def memory(graph: Graph) -> ArenaPlan:
    """The arena as the C program uses it: fused steps, values overwritten in place, scratch bytes."""
    return plan.arena(graph, steps(graph))


def check(graph: Graph, family: Family = "F") -> None:
    """Says before anything is written, or trained, that an int8 graph cannot be printed.

    Raises:
        UnsupportedOpError: names every operator that this family's C cannot compute.
    """
    _steps(graph, memory(graph), family)


def model(graph: Graph, meta: Metadata, family: Family = "F") -> Model:
    """Header and source of an integer graph with one input and one output."""
    name = text.symbol(meta)
    labels = meta.labels or graph.labels
    arena = memory(graph)
    source = _source(graph, meta, name, labels, arena, family)
    return Model(name, _header(graph, meta, name, labels, arena, family), source)


def _tensor_macros(graph: Graph, tensor: str, stem: str, what: str, arena: ArenaPlan) -> str:
    value, q = graph.tensors[tensor], quant(graph, tensor)
    shape = value.shape[1:]
    offset = next(p.offset for p in arena.tensors if p.name == tensor)
    return f"""
/* {what}: int8 {"x".join(map(str, shape))}, real = SCALE * (q - ZERO_POINT) */
#define {stem}_BYTES {math.prod(shape)}
#define {stem}_RANK {len(shape)}
#define {stem}_SHAPE {{{", ".join(map(str, shape))}}}
#define {stem}_SCALE {q.scale[0]:.9g}{"" if set(f"{q.scale[0]:.9g}") & set(".e") else ".0"}f
#define {stem}_ZERO_POINT ({q.zero_point})
#define {stem}_OFFSET {offset} /* where these bytes may lie within the arena */
"""


def _header(
    graph: Graph, meta: Metadata, name: str, labels: Sequence[str], arena: ArenaPlan, family: Family
) -> str:
    upper = name.upper()
    notes = [f"{key}: {value}" for key, value in sorted(meta.provenance.items())]
    about = "\n".join(
        f" * {text.comment(line)}"
        for line in (f"{meta.name}, version {meta.version}", meta.description, *notes)
    )
    count = f"\n#define {upper}_LABEL_COUNT {len(labels)}" if labels else ""
    table = f"\n/* Names of the outputs, UTF-8. */\nextern const char *const {name}_labels[{len(labels)}];\n"
    return f"""/*
{about}
 *
 * C99 without heap, stdio or libm. The answer is the same, to the bit, on every processor.
 */
#ifndef {upper}_H
#define {upper}_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

/* Family {family}: {FAMILIES[family]}. */
#define {upper}_FAMILY '{family}'

/* Working memory that the caller provides; its content means nothing between calls. */
#define {upper}_ARENA_BYTES {max(arena.peak, plan.ALIGNMENT_BYTES)}
#define {upper}_ARENA_ALIGNMENT 4
{_tensor_macros(graph, graph.inputs[0], f"{upper}_INPUT", "Input", arena)}{
        _tensor_macros(graph, graph.outputs[0], f"{upper}_OUTPUT", "Output", arena)
    }{count}
{table if labels else ""}
/*
 * One inference. Images: q = pixel - 128, rows from top to bottom, channels last.
 *
 * input and output may lie outside the arena, or within it at INPUT_OFFSET and OUTPUT_OFFSET,
 * which then spares their memory. Returns 0, or -1 if a pointer is null or the arena is not
 * aligned to ARENA_ALIGNMENT bytes. Re-entrant: calls with different arenas may run at once.
 */
int {name}_invoke(const int8_t *input, int8_t *output, void *arena);

#ifdef __cplusplus
}}
#endif

#endif
"""


def _source(
    graph: Graph, meta: Metadata, name: str, labels: Sequence[str], arena: ArenaPlan, family: Family
) -> str:
    printed = _steps(graph, arena, family)
    names = [k for _, part in printed for k in part.kernels]
    address = _addresses(graph, arena)
    calls = []
    for step, part in printed:
        if part.calls:
            title = " + ".join(f"{text.comment(op.name)} ({op.kind})" for op in step.ops)
            shape = "x".join(map(str, graph.tensors[step.output].shape[1:]))
            body = "\n".join("    " + line for line in part.calls.split("\n"))
            calls.append(f"    /* {title} -> {shape} */\n{body}")
    output = graph.outputs[0]
    if address[output] == "input":  # an output that no step writes
        size = graph.tensors[output].size_bytes
        calls.append(f"    edge_copy(input, output, 1, {size}, {size});")
        names.append("copy")
    uses_arena = any("memory" in call for call in calls)
    strings = text.lines([*map(text.string, labels)])
    table = f"const char *const {name}_labels[{len(labels)}] = {{\n{strings}\n}};\n"
    parts = [
        f'/* {text.comment(meta.name)}: constants, kernels and the inference. */\n#include "{name}.h"\n\n'
        "#include <stddef.h>\n",
        *kernel.sources(names, family),
        *(part.constants for _, part in printed if part.constants),
        *([table] if labels else []),
        f"""int {name}_invoke(const int8_t *input, int8_t *output, void *arena)
{{
{
            "    int8_t *const memory = (int8_t *)arena;" + chr(10) if uses_arena else ""
        }    if (input == NULL || output == NULL || arena == NULL ||
        ((uintptr_t)arena & ({name.upper()}_ARENA_ALIGNMENT - 1u)) != 0u) {{
        return -1;
    }}
{chr(10).join(calls)}
    return 0;
}}
""",
    ]
    return "\n".join(parts)


def _steps(graph: Graph, arena: ArenaPlan, family: Family) -> list[tuple[Step, Printed]]:
    """Every step of the program.

    Raises:
        UnsupportedOpError: names every operator that this family's C cannot compute.
    """
    address = _addresses(graph, arena)
    offsets = {p.name: p.offset for p in arena.tensors}
    found, lacking = [], []
    for i, step in enumerate(steps(graph)):
        scratch = f"memory + {offsets[step.scratch_name]}" if step.scratch else "NULL"
        site = Site(address, scratch, f"op{i}", family)
        last = step.ops[-1]
        printer = print_int16 if graph.is_int16(last) else OPERATORS.get(last.kind)
        if printer is None:
            lacking.append(f"{last.name} ({last.kind}): there is no kernel for it")
            continue
        try:
            found.append((step, printer(graph, step, site)))
        except InputError as error:
            lacking.append(f"{last.name} ({last.kind}): {error.what}")
    if lacking:
        raise UnsupportedOpError(
            f"the C of family {family} cannot compute {len(lacking)} of {len(graph.ops)} operators: "
            + "; ".join(lacking),
            where=graph.name,
            fix="leave C out of the formats, or change these layers or their scales",
        )
    return found


def _addresses(graph: Graph, arena: ArenaPlan) -> Mapping[str, str]:
    """C expressions: ``input``, ``output``, or a place in the arena."""
    source = {op.outputs[0]: op.inputs[0] for op in graph.ops if op.kind == "RESHAPE"}

    def root(name: str) -> str:
        while name in source:
            name = source[name]
        return name

    output = root(graph.outputs[0])
    found = {p.name: f"memory + {p.offset}" for p in arena.tensors}
    for name in graph.activations():
        if root(name) == graph.inputs[0]:
            found[name] = "input"
        elif root(name) == output:
            found[name] = "output"
    return found
