"""Draws the report's charts as inline SVG, so that the page needs no script and no network.

Colours come from the page's style sheet through class names, so that dark mode and print
recolour the charts too. Every label is escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

WIDTH, HEIGHT = 560, 280  # of a line chart, in its own units; the page scales it
LEFT, RIGHT, TOP, BOTTOM = 52, 16, 16, 36
MAX_CELLS = 2_500  # of a confusion matrix: the page stays small with many classes
MAX_LABELLED = 24  # classes; past this the matrix has no room for names and counts


@dataclass(frozen=True)
class Series:
    """One line: ``points`` are (x, y); ``css`` names its colour class in the page."""

    label: str
    css: str
    points: tuple[tuple[float, float], ...]


_MIDDLE = 0.5  # of a cell's colour: past this its count has the colour's own opposite, with an outline
_LEAST = 1e-300  # of a scale's span: the logarithm of less may be none


@dataclass(frozen=True)
class Level:
    """A horizontal reference line."""

    label: str
    value: float


def ticks(low: float, high: float, count: int = 5) -> tuple[float, ...]:
    """Round numbers that cover [low, high]: steps of 1, 2 or 5 times a power of ten."""
    span = high - low if high > low else abs(high) or 1.0
    rough = max(span, _LEAST) / max(1, count - 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(i * step for i in range(first, max(last, first + 1) + 1))


def _number(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") if abs(value) < 1e4 else f"{value:.3g}"


def _text(css: str, x: float, y: float, content: str, anchor: str = "start", more: str = "") -> str:
    return (
        f'<text class="{css}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {more}>{escape(content)}</text>'
    )


@dataclass(frozen=True)
class _Plane:
    """Places values in a chart's frame."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float
    log: bool = False  # of x

    def px(self, x: float) -> str:
        low, high = self.x_low, self.x_high
        if self.log:
            low, high, x = math.log(low), math.log(high), math.log(x)
        return f"{LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT):.1f}"

    def py(self, y: float) -> str:
        share = (y - self.y_low) / (self.y_high - self.y_low)
        return f"{HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM):.1f}"

    def rules(self, marks: Sequence[float], percent: bool) -> list[str]:
        """Horizontal lines with their values."""
        out = []
        for mark in marks:
            text, y = f"{100 * mark:.4g} %" if percent else _number(mark), self.py(mark)
            out.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}"/>')
            out.append(
                f'<text class="tick" x="{LEFT - 8}" y="{y}" dy=".33em" text-anchor="end">{text}</text>'
            )
        return out

    def numbers(self, marks: Sequence[float], label: str) -> list[str]:
        """Values along the horizontal axis, and its name."""
        inside = [mark for mark in marks if self.x_low <= mark <= self.x_high]
        out = [
            _text("tick", float(self.px(mark)), HEIGHT - BOTTOM + 18, _number(mark), "middle")
            for mark in inside
        ]
        return [*out, _text("tick", (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 2, label, "middle")]

    def level(self, level: Level) -> list[str]:
        """A line across at its value, with its label above, or below where there is no room."""
        height = self.py(level.value)
        above = float(height) + (-5 if float(height) - TOP > 22 else 14)
        rule = f'<line class="level" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{height}" y2="{height}"/>'
        return [rule, _text("tick", LEFT + 6, above, level.label)]


def lines(
    title: str,
    series: Sequence[Series],
    *,
    percent: bool = False,
    divider: tuple[float, str] | None = None,
    levels: Sequence[Level] = (),
) -> Markup:
    """Lines over epochs. ``divider``: (x, label) starts a shaded stage."""
    series = [s for s in series if s.points]
    if not series:
        return Markup('<p class="empty">Nothing was trained in this build.</p>')
    xs = [x for s in series for x, _ in s.points]
    ys = [y for s in series for _, y in s.points if math.isfinite(y)] + [level.value for level in levels]
    if not ys:
        return Markup('<p class="empty">No finite value was recorded.</p>')
    marks = ticks(min(ys), min(1.0, max(ys)) if percent else max(ys))
    plane = _Plane(min(xs), max(max(xs), min(xs) + 1), marks[0], marks[-1])
    px, py = plane.px, plane.py
    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    if divider:
        x, label = divider
        start = px(max(plane.x_low, x - 0.5))
        wide = WIDTH - RIGHT - float(start)
        out.append(
            f'<rect class="stage" x="{start}" y="{TOP}" width="{wide:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
        )
        out.append(
            _text("tick", WIDTH - RIGHT - 4, HEIGHT - BOTTOM - 9 if percent else TOP + 15, label, "end")
        )
    out += plane.rules(marks, percent)
    out += plane.numbers([m for m in ticks(plane.x_low, plane.x_high, 6) if m == int(m)], "epoch")
    for level in levels:
        out += plane.level(level)
    for s in series:
        finite = [(x, y) for x, y in s.points if math.isfinite(y)]
        path = " ".join(f"{px(x)},{py(y)}" for x, y in finite)
        out.append(f'<polyline class="line {escape(s.css)}" points="{path}"/>')
        for x, y in finite if len(finite) <= 60 else finite[-1:]:
            shown = f"{100 * y:.2f} %" if percent else f"{y:.4g}"
            out.append(
                f'<circle class="dot {escape(s.css)}" cx="{px(x)}" cy="{py(y)}" r="2.6">'
                f"<title>{escape(s.label)}, epoch {int(x)}: {shown}</title></circle>"
            )
    out.append("</svg>")
    return Markup("".join(out))


def dots(
    title: str,
    series: Sequence[Series],
    x_label: str,
    *,
    log: bool = False,
    best: Series | None = None,
    level: Level | None = None,
) -> Markup:
    """Single results over a number, shares as percent. ``log``: of x; ``best``: a line through the best."""
    points = [p for s in series for p in s.points]
    if not points:
        return Markup('<p class="empty">No trial gave a result.</p>')
    xs, ys = [x for x, _ in points], [y for _, y in points] + ([level.value] if level else [])
    marks = ticks(min(ys), min(1.0, max(ys)))
    x_low, x_high = min(xs), max(xs)
    if x_low == x_high:
        x_low, x_high = (x_low / 2, x_high * 2) if log else (x_low - 0.5, x_high + 0.5)
    plane = _Plane(x_low, x_high, marks[0], marks[-1], log)
    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    out += plane.rules(marks, percent=True)
    out += plane.numbers(_log_ticks(x_low, x_high) if log else ticks(x_low, x_high, 6), x_label)
    if level:
        out += plane.level(level)
    if best and best.points:
        path = " ".join(f"{plane.px(x)},{plane.py(y)}" for x, y in best.points)
        out.append(f'<polyline class="line {escape(best.css)}" points="{path}"/>')
    for s in series:
        for x, y in s.points:
            out.append(
                f'<circle class="dot {escape(s.css)}" cx="{plane.px(x)}" cy="{plane.py(y)}" r="5">'
                f"<title>{escape(s.label)}, {escape(x_label)} {x:.4g}: {100 * y:.2f} %</title></circle>"
            )
    out.append("</svg>")
    return Markup("".join(out))


@dataclass(frozen=True)
class Dot:
    """What a thing costs, ``x``, and how good it is, ``y``; ``low`` and ``high`` are a band of x."""

    label: str
    css: str
    x: float
    y: float
    low: float | None = None
    high: float | None = None
    name: str = ""  # written beside it
    square: bool = False

    @property
    def ends(self) -> tuple[float, float]:
        """The band, or the value twice."""
        return (self.x if self.low is None else self.low, self.x if self.high is None else self.high)


def scatter(
    title: str,
    dots: Sequence[Dot],
    x_label: str,
    *,
    percent: bool = False,
    limit: float | None = None,
    level: Level | None = None,
    stairs: Sequence[Dot] = (),
) -> Markup:
    """Each dot by cost and quality. What lies beyond ``limit`` is shaded.

    Args:
        limit: the largest x that is allowed.
        stairs: dots of which the line of the best, from cheap to dear, is drawn.
    """
    if not dots:
        return Markup('<p class="empty">Nothing is known of this.</p>')
    xs = [end for dot in dots for end in dot.ends] + ([limit] if limit is not None else [])
    ys = [dot.y for dot in dots] + ([level.value] if level else [])
    along, up = ticks(min(xs), max(xs)), ticks(min(ys), min(1.0, max(ys)) if percent else max(ys))
    plane = _Plane(along[0], along[-1], up[0], up[-1])
    px, py = plane.px, plane.py
    out = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    if limit is not None:
        at, middle = px(limit), (LEFT + WIDTH - RIGHT) / 2
        wide = WIDTH - RIGHT - float(at)
        tall = HEIGHT - TOP - BOTTOM
        out.append(f'<rect class="stage" x="{at}" y="{TOP}" width="{wide:.1f}" height="{tall}"/>')
        out.append(f'<line class="level" x1="{at}" x2="{at}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        side, anchor = (-6, "end") if float(at) > middle else (6, "start")
        out.append(_text("tick", float(at) + side, HEIGHT - BOTTOM - 8, "limit", anchor))
    out += plane.rules(up, percent)
    out += plane.numbers(along, x_label)
    if level:
        out += plane.level(level)
    steps: list[str] = []
    highest = -math.inf
    for dot in sorted(stairs, key=lambda dot: (dot.x, -dot.y)):
        if dot.y > highest:
            steps += [f"{px(dot.x)},{py(highest)}"] if steps else []
            steps.append(f"{px(dot.x)},{py(dot.y)}")
            highest = dot.y
    if len(steps) > 1:
        out.append(f'<polyline class="line float" points="{" ".join(steps)}"/>')
    for dot in dots:
        out += _marked(dot, plane, f"{100 * dot.y:.2f} %" if percent else f"{dot.y:.4g}", x_label)
    out.append("</svg>")
    return Markup("".join(out))


def _marked(dot: Dot, plane: _Plane, quality: str, x_label: str) -> list[str]:
    """The dot with its band, its name, and its figures for a pointer."""
    x, y, out = plane.px(dot.x), plane.py(dot.y), []
    low, high = dot.ends
    if low < high:
        css = f"line thin {escape(dot.css)}"
        out.append(f'<line class="{css}" x1="{plane.px(low)}" x2="{plane.px(high)}" y1="{y}" y2="{y}"/>')
    tip = f"<title>{escape(dot.label)}: {quality}, {escape(x_label)} {dot.x:.4g}</title>"
    css = f"dot {escape(dot.css)}"
    if dot.square:
        left, top = float(x) - 5.5, float(y) - 5.5
        out.append(
            f'<rect class="{css}" x="{left:.1f}" y="{top:.1f}" width="11" height="11" rx="2">{tip}</rect>'
        )
    else:
        out.append(f'<circle class="{css}" cx="{x}" cy="{y}" r="{7 if dot.name else 4.5}">{tip}</circle>')
    if dot.name:
        right = float(x) < (LEFT + WIDTH - RIGHT) / 2
        height = float(y) + (-10 if float(y) - TOP > 24 else 22)
        out.append(
            _text("value", float(x) + (8 if right else -8), height, dot.name, "start" if right else "end")
        )
    return out


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """1, 2 and 5 times powers of ten, or powers of ten alone over three decades or more."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    return tuple(m * 10.0**power for power in range(first, last + 1) for m in steps)


def bars(title: str, groups: Sequence[tuple[str, Sequence[tuple[str, str, float]]]], unit: str) -> Markup:
    """Horizontal bars: groups of (label, [(bar label, css class, value)]), longest bar full width."""
    values = [value for _, rows in groups for _, _, value in rows]
    if not values:
        return Markup('<p class="empty">No latency was measured in this build.</p>')
    top = max(max(values), 1e-12)
    bar, gap, head, label_width, number_width = 20, 5, 24, 76, 92
    full = WIDTH - label_width - number_width
    height = sum(head + len(rows) * (bar + gap) + 10 for _, rows in groups)
    out = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">']
    y = 0
    for name, rows in groups:
        out.append(f'<text class="group" x="0" y="{y + 15}">{escape(name)}</text>')
        y += head
        for label, css, value in rows:
            long = max(2.0, value / top * full)
            middle = y + bar / 2
            out.append(f'<text class="tick" x="0" y="{middle}" dy=".33em">{escape(label)}</text>')
            out.append(
                f'<rect class="bar {escape(css)}" x="{label_width}" y="{y}" '
                f'width="{long:.1f}" height="{bar}" rx="3">'
                f"<title>{escape(name)}, {escape(label)}: {value:.4g} {escape(unit)}</title></rect>"
            )
            out.append(
                f'<text class="value" x="{label_width + long + 8:.1f}" y="{middle}" dy=".33em">'
                f"{value:.3g} {escape(unit)}</text>"
            )
            y += bar + gap
        y += 10
    out.append("</svg>")
    return Markup("".join(out))


def confusion(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Markup:
    """True class by row, answer by column; shade is the share of the row."""
    if not matrix:
        return Markup('<p class="empty">No confusion matrix was recorded.</p>')
    n = len(matrix)
    names = [str(labels[i]) if i < len(labels) else str(i) for i in range(n)]
    labelled = n <= MAX_LABELLED
    longest = min(14, max(len(name) for name in names)) if labelled else 0
    cell = 34 if n <= 12 else 26 if labelled else max(2.0, 560 / n)
    left = 34 + 7.2 * longest
    below = 24 + (5.6 * longest + 10 if labelled else 8)
    width, height = left + n * cell + (8 + 4 * longest if labelled else 4), n * cell + below + 4
    out = [f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="Confusion matrix">']
    out.append(f'<rect class="board" x="{left:.1f}" y="2" width="{n * cell:.1f}" height="{n * cell:.1f}"/>')
    cells = [(count, i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) if count]
    cells.sort(key=lambda c: (-c[0], c[1], c[2]))
    for count, i, j in cells[:MAX_CELLS]:
        share = count / max(1, sum(matrix[i]))
        css = "right" if i == j else "wrong"
        x, y = left + j * cell, 2 + i * cell
        strength = 0.12 + 0.88 * math.sqrt(share)
        tip = f"<title>{escape(names[i])} taken for {escape(names[j])}: {count} ({100 * share:.1f} %)</title>"
        out.append(
            f'<rect class="cell {css}" x="{x + 0.5:.1f}" y="{y + 0.5:.1f}" width="{cell - 1:.1f}" '
            f'height="{cell - 1:.1f}" rx="2" fill-opacity="{strength:.2f}">{tip}</rect>'
        )
        if labelled:
            tone = f"strong {css}" if strength > _MIDDLE else "weak"
            out.append(_text(f"count {tone}", x + cell / 2, y + cell / 2, str(count), "middle", 'dy=".35em"'))
    if labelled:
        for i, name in enumerate(names):
            short = name if len(name) <= 14 else name[:13] + "…"
            centre = 2 + (i + 0.5) * cell
            out.append(
                f'<text class="tick" x="{left - 6:.1f}" y="{centre:.1f}" dy=".35em" text-anchor="end">'
                f"{escape(short)}</text>"
            )
            x, y = left + (i + 0.5) * cell, n * cell + 16
            turn = f'transform="rotate(40 {x:.1f} {y:.1f})"' if longest > 3 else ""
            anchor = "start" if longest > 3 else "middle"
            out.append(_text("tick", x, y, short, anchor, turn))
    side = 2 + n * cell / 2
    out.append(_text("axis", 12, side, "true class", "middle", f'transform="rotate(-90 12 {side:.1f})"'))
    out.append(_text("axis", left + n * cell / 2, height - 6, "answer", "middle"))
    out.append("</svg>")
    return Markup("".join(out))
