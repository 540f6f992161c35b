"""Draws the memory plan as inline SVG: which bytes of the arena each tensor takes, step by step."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

from edgedistill.ir.memory_map import blocks
from edgedistill.ir.plan import Placement
from edgedistill.report.svg import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH, ticks

LEFT = 76  # room for "100,000"
SHADES = 4  # classes mem0 to mem3 in the page's style sheet; neighbours in time differ
LABELLED_WIDTH, LABELLED_HEIGHT = 7.5, 15.0  # units that a character needs, and a line


def picture(tensors: Sequence[Placement], peak: int, lower_bound: int) -> Markup:
    """Steps from left to right, bytes from bottom to top; a dashed line where no plan can be lower."""
    shown = blocks(tensors)
    if not shown or peak <= 0:
        return Markup('<p class="empty">No memory plan was recorded in this build.</p>')
    steps = 1 + max(block.last for block in shown)
    top = max(ticks(0, peak)[-1], peak)

    def px(step: float) -> float:
        return LEFT + step / steps * (WIDTH - LEFT - RIGHT)

    def py(offset: float) -> float:
        return HEIGHT - BOTTOM - offset / top * (HEIGHT - TOP - BOTTOM)

    def line(css: str, offset: float) -> str:
        y = f"{py(offset):.1f}"
        return f'<line class="{css}" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>'

    def text(css: str, x: float, y: float, content: str, anchor: str = "middle") -> str:
        return (
            f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" dy=".35em" text-anchor="{anchor}">'
            f"{escape(content)}</text>"
        )

    title = f"Memory plan: {peak:,} bytes over {steps} steps; no plan can be below {lower_bound:,} bytes"
    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title}">']
    for mark in ticks(0, peak):
        out += [line("grid", mark), text("tick", LEFT - 8, py(mark), f"{mark:,.0f}", "end")]
    for i, block in enumerate(shown):
        x, y = px(block.first), py(block.offset + block.size)
        wide, high = px(block.last + 1) - x, max(1.0, py(block.offset) - y)
        names = escape(", ".join(block.names))
        when = f"step {block.first}" if block.first == block.last else f"steps {block.first} to {block.last}"
        out.append(
            f'<rect class="mem mem{i % SHADES}" x="{x:.1f}" y="{y:.1f}" '
            f'width="{wide:.1f}" height="{high:.1f}">'
            f"<title>{names}: {block.size:,} bytes at {block.offset:,}, {when}</title></rect>"
        )
        label = block.names[-1]
        if high >= LABELLED_HEIGHT and wide >= LABELLED_WIDTH * len(label) + 8:
            out.append(text("count mem-name", x + wide / 2, y + high / 2, label))
    out.append(line("level", lower_bound))
    for mark in ticks(0, steps, 8):
        if mark == int(mark) and mark < steps:
            out.append(text("tick", px(mark + 0.5), HEIGHT - BOTTOM + 13, str(int(mark))))
    out.append(text("tick", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 7, "step"))
    out.append("</svg>")
    return Markup("".join(out))
