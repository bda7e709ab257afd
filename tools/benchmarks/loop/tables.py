# SPDX-License-Identifier: Apache-2.0
"""Results as a table: a row for each measure, a column for each policy."""

from collections.abc import Callable, Mapping, Sequence

from .tally import Result

ROWS: Sequence[tuple[str, Callable[[Result], float]]] = (
    ("host-minutes above 80 %", lambda each: each.overload),
    ("servers starved", lambda each: each.starved),
    ("... for hours, in all", lambda each: each.starved_hours),
    ("moves", lambda each: each.moves),
    ("GiB copied", lambda each: each.gib),
    ("migrations failed", lambda each: each.failed),
    ("servers back within an hour", lambda each: each.back),
    ("servers moved again within one", lambda each: each.again),
    ("runs", lambda each: each.runs),
    ("plans that moved something", lambda each: each.plans),
    ("CPU seconds of Watcher", lambda each: each.cpu_seconds),
    ("kWh", lambda each: each.watt_hours / 1000),
)


def text(results: Mapping[str, Result]) -> str:
    """The table for a terminal."""
    rows = _cells(results)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def rst(results: Mapping[str, Result]) -> str:
    """The table for the documentation."""
    rows = _cells(results)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([rule, lines[0] or "..", rule, *lines[1:], rule]) + "\n"


def _cells(results: Mapping[str, Result]) -> list[list[str]]:
    head = ["In a week", *results]
    return [head] + [
        [name, *(_number(measure(each)) for each in results.values())] for name, measure in ROWS
    ]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == round(value) else f"{value:.1f}"
