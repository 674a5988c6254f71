# -*- test-case-name: tests.test_benchmarks -*-
"""
Bars, as SVG.
"""

from __future__ import annotations

from html import escape

from attrs import frozen

from benchmarks.results import Spread

__all__ = ["Bar", "draw", "in_figures"]

#: Pixels. The labels have the left of a picture, the numbers what is right of the bars.
LEFT = 240
BARS = 400
RIGHT = 80
TOP = 58
STEP = 24
THICK = 15

#: Of ours, and of others.
COLOURS = ("#a9b4bd", "#b5672c")

_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #222 }
.title { font-weight: 600; font-size: 15px }
.unit { fill: #666; font-size: 12px }
.ours { font-weight: 600 }
.spread { stroke: #222; stroke-width: 1.2 }
"""


@frozen
class Bar:
    """
    One peer in a picture.
    """

    label: str
    spread: Spread
    ours: bool = False


def in_figures(value: float) -> str:
    """
    A number with as many figures as it is worth: 1,234, 56, 7.8 or 0.12.
    """
    if value >= 20:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _row(bar: Bar, y: int, scale: float) -> str:
    """A label, a bar, a line from the least to the most, and a number."""
    middle = y + THICK / 2
    low, high = LEFT + bar.spread.low * scale, LEFT + bar.spread.high * scale
    width = bar.spread.middle * scale
    emphasis = ' class="ours"' if bar.ours else ""
    text = y + THICK - 3
    return (
        f'<text{emphasis} x="{LEFT - 8}" y="{text}" text-anchor="end">'
        f"{escape(bar.label)}</text>\n"
        f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{THICK}" '
        f'fill="{COLOURS[bar.ours]}"/>\n'
        f'<line class="spread" x1="{low:.1f}" x2="{high:.1f}" '
        f'y1="{middle}" y2="{middle}"/>\n'
        f'<text{emphasis} x="{max(LEFT + width, high) + 6:.1f}" y="{text}">'
        f"{in_figures(bar.spread.middle)}</text>\n"
    )


def draw(title: str, unit: str, bars: list[Bar]) -> str:
    """
    A picture of bars, in their order. Lines through them reach from the least to the
    most.

    :param unit: What the numbers are.
    """
    most = max((bar.spread.high for bar in bars), default=0) or 1.0
    scale = BARS / most
    width, height = LEFT + BARS + RIGHT, TOP + STEP * len(bars) + 8
    rows = [_row(bar, TOP + STEP * at, scale) for at, bar in enumerate(bars)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img">\n'
        f"<title>{escape(title)}</title>\n"
        f"<style>{_STYLE}</style>\n"
        f'<rect width="{width}" height="{height}" rx="6" fill="#fff"/>\n'
        f'<text class="title" x="16" y="24">{escape(title)}</text>\n'
        f'<text class="unit" x="16" y="42">{escape(unit)}</text>\n'
        f"{''.join(rows)}</svg>\n"
    )
