# SPDX-License-Identifier: Apache-2.0
"""Shows measurements."""

import dataclasses
import statistics
from collections.abc import Sequence


@dataclasses.dataclass(frozen=True)
class Figure:
    """One measured value, with the aim and the value of the former service."""

    what: str
    value: float
    unit: str
    target: float | None = None
    today: float | None = None
    more_is_better: bool = False

    @property
    def met(self) -> str:
        if self.target is None:
            return ""
        met = self.value >= self.target if self.more_is_better else self.value <= self.target
        return "yes" if met else "NO"

    @property
    def ratio(self) -> str:
        """How many times better than the figure of the former service."""
        if self.today is None or not self.value:
            return ""
        better = self.value / self.today if self.more_is_better else self.today / self.value
        return f"{better:.1f}x"


def percentile(values: Sequence[float], percent: int) -> float:
    if len(values) == 1:
        return values[0]
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def show(figures: Sequence[Figure]) -> None:
    rows = [("", "ours", "target", "met", "today's", "better")]
    for figure in figures:
        sign = "≥" if figure.more_is_better else "≤"
        rows.append(
            (
                figure.what,
                f"{figure.value:,.4g} {figure.unit}",
                "" if figure.target is None else f"{sign} {figure.target:,g} {figure.unit}",
                figure.met,
                "" if figure.today is None else f"{figure.today:,g} {figure.unit}",
                figure.ratio,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("  ".join(cells).rstrip())
