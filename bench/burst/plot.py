"""The plot of a burst as SVG: two panels over the number of control planes, both axes logarithmic.

Written by hand, so that it needs no library: text and lines take the reader's light or dark background.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 860, 330
PANEL_WIDTH, PANEL_HEIGHT = 340, 220
TOP, LEFTS = 44, (62, 490)

STYLE = """
text { font: 12px system-ui, sans-serif; fill: #24292f; }
.title { font-weight: 600; font-size: 13px; }
.grid { stroke: #8c959f; stroke-opacity: .35; }
.line { fill: none; stroke-width: 2; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } }
"""


@dataclass(frozen=True)
class Line:
    """One way's figures: (control planes, value) with values above 0."""

    name: str
    colour: str
    points: Sequence[tuple[int, float]]


@dataclass(frozen=True)
class Panel:
    """Lines that share an axis; `unit` follows the numbers on it."""

    title: str
    unit: str
    lines: Sequence[Line]


def svg(left: Panel, right: Panel) -> str:
    """Two panels side by side, with one legend for both: the left one's."""
    panels = "\n".join(_panel(panel, x) for panel, x in zip((left, right), LEFTS, strict=True))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{left.title}; {right.title}">\n<style>{STYLE}</style>\n{panels}\n{_legend(left)}\n</svg>\n'
    )


def _panel(panel: Panel, left: int) -> str:
    counts = sorted({count for line in panel.lines for count, _ in line.points})
    values = [value for line in panel.lines for _, value in line.points]
    decades = range(math.floor(math.log10(min(values))), math.ceil(math.log10(max(values))) + 1)
    x = _scale(math.log10(counts[0]), math.log10(counts[-1]), left, left + PANEL_WIDTH)
    y = _scale(decades[0], decades[-1], TOP + PANEL_HEIGHT, TOP)
    parts = [_text(left, TOP - 18, panel.title, "title")]
    for decade in decades:
        height = y(decade)
        parts.append(f'<path class="grid" d="M{left} {height:.1f}h{PANEL_WIDTH}"/>')
        parts.append(_text(left - 6, height + 4, f"{10**decade:g}{panel.unit}", anchor="end"))
    for count in counts:
        across = x(math.log10(count))
        parts.append(f'<path class="grid" d="M{across:.1f} {TOP}v{PANEL_HEIGHT}"/>')
        parts.append(_text(across, TOP + PANEL_HEIGHT + 17, str(count), anchor="middle"))
    for line in panel.lines:
        places = [(x(math.log10(count)), y(math.log10(value))) for count, value in line.points]
        path = "M" + "L".join(f"{across:.1f} {height:.1f}" for across, height in places)
        parts.append(f'<path class="line" stroke="{line.colour}" d="{path}"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{h:.1f}" r="3.5" fill="{line.colour}"/>' for a, h in places]
    return "\n".join(parts)


def _legend(panel: Panel) -> str:
    parts = []
    left, height = LEFTS[0], HEIGHT - 22
    for line in panel.lines:
        parts.append(f'<path class="line" stroke="{line.colour}" d="M{left} {height}h22"/>')
        parts.append(_text(left + 28, height + 4, line.name))
        left += 62 + 7 * len(line.name)
    parts.append(_text(WIDTH - 30, height + 4, "control planes created at once", anchor="end"))
    return "\n".join(parts)


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    span = (high - low) or 1.0
    return lambda value: start + (value - low) / span * (end - start)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{text}</text>'
