# SPDX-License-Identifier: Apache-2.0
"""Pictures of the results: SVG, as text."""

import itertools
from collections.abc import Mapping, Sequence
from html import escape

from .tally import Result

WIDTH = 700
LEFT, RIGHT = 74, 16
"""Margins of a panel."""

COLOURS = ("#777777", "#D55E00", "#E69F00", "#0072B2", "#009E73", "#CC79A7")
"""The colours of Okabe and Ito, which colour-blind people can distinguish as well."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

STYLE = (
    "text{font-family:'DejaVu Sans',Verdana,sans-serif;font-size:12px;fill:#222}"
    ".t{font-size:14px;font-weight:bold}.s{fill:#555}.e{text-anchor:end}.m{text-anchor:middle}"
    ".g{stroke:#ddd;stroke-width:1}.a{stroke:#888;stroke-width:1}"
)


def of(results: Mapping[str, Result]) -> dict[str, str]:
    """SVG by the name of the picture."""
    overload = {name: each.overload_by_hour for name, each in results.items()}
    moves = {name: each.moves_by_hour for name, each in results.items() if each.moves}
    return {
        "overload": panels(overload, "Overload: minutes of hosts above 80 % CPU, per hour", "min"),
        "moves": sums(moves, "Servers moved since Monday 0:00"),
    }


def panels(series: Mapping[str, Sequence[float]], title: str, unit: str) -> str:
    """One panel for each series, all but the first one on the same scale."""
    height, gap, top = 74, 22, 48
    parts = [_text(LEFT, 20, title, "t")]
    rest = max([1, *itertools.chain(*list(series.values())[1:])])
    for number, (name, values) in enumerate(series.items()):
        y = top + number * (height + gap)
        most = nice(max(1, *values) if number == 0 else rest)
        parts += _axes(y, height, most, unit)
        points = _points(values, y, height, most)
        base = y + height
        parts.append(
            f'<polygon points="{LEFT},{base} {points} {WIDTH - RIGHT},{base}" '
            f'fill="{_colour(number)}"/>'
        )
        total = f"{name}: {sum(values):,.0f} {unit}"
        parts.append(_text(WIDTH - RIGHT, y - 4, total, "e"))
    return _svg(parts + _days(top, len(series) * (height + gap) - gap, series), series, height, gap)


def sums(series: Mapping[str, Sequence[float]], title: str) -> str:
    """The running sums of *series* as lines, with their names at the end."""
    height, top = 240, 48
    most = nice(max([sum(values) for values in series.values()] or [1]))
    parts = [_text(LEFT, 20, title, "t"), *_axes(top, height, most, "")]
    for number, values in enumerate(series.values()):
        grown = [sum(values[: hour + 1]) for hour in range(len(values))]
        parts.append(
            f'<polyline points="{_points(grown, top, height, most)}" fill="none" '
            f'stroke="{_colour(number + 1)}" stroke-width="2.5"/>'
        )
    for number, (name, values) in enumerate(series.items()):
        y = top + 16 + 18 * number
        parts.append(
            f'<line x1="{LEFT + 12}" x2="{LEFT + 36}" y1="{y - 4}" y2="{y - 4}" '
            f'stroke="{_colour(number + 1)}" stroke-width="2.5"/>'
        )
        parts.append(_text(LEFT + 44, y, f"{name}: {sum(values):,.0f}"))
    return _svg(parts + _days(top, height, series), {"": ()}, height, 0)


def nice(value: float) -> float:
    """The next round number, as the end of a scale."""
    scale = 1.0
    while scale * 10 < value:
        scale *= 10
    return next(scale * step for step in (1, 1.5, 2, 3, 4, 5, 10) if scale * step >= value)


def _axes(y: int, height: int, most: float, unit: str) -> list[str]:
    parts = []
    for part in (0, 0.5, 1):
        at = y + height * (1 - part)
        parts.append(f'<line class="g" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at}" y2="{at}"/>')
        label = f"{most * part:,g}" + (f" {unit}" if unit and part == 1 else "")
        parts.append(_text(LEFT - 6, at + 4, label, "e s"))
    return parts


def _days(top: int, height: int, series: Mapping[str, Sequence[float]]) -> list[str]:
    days = max((len(values) for values in series.values()), default=24) // 24 or 1
    width = (WIDTH - LEFT - RIGHT) / days
    parts = []
    for day in range(days + 1):
        x = LEFT + day * width
        parts.append(f'<line class="g" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{top + height}"/>')
        if day < days:
            parts.append(_text(x + width / 2, top + height + 18, DAYS[day % 7], "m s"))
    return parts


def _points(values: Sequence[float], y: int, height: int, most: float) -> str:
    width = (WIDTH - LEFT - RIGHT) / len(values)
    return " ".join(
        f"{LEFT + (hour + 0.5) * width:.1f},{y + height * (1 - value / most):.1f}"
        for hour, value in enumerate(values)
    )


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _text(x: float, y: float, text: str, kind: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}">{escape(text)}</text>'


def _svg(parts: Sequence[str], series: Mapping[str, object], height: int, gap: int) -> str:
    total = 48 + len(series) * (height + gap) - gap + 28
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total}" '
            f'width="{WIDTH}" height="{total}" role="img">',
            f"<style>{STYLE}</style>",
            f'<rect width="{WIDTH}" height="{total}" fill="#fff"/>',
            *parts,
            "</svg>\n",
        ]
    )
