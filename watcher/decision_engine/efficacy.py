# SPDX-License-Identifier: Apache-2.0
"""The efficacy of a plan, in numbers.

A goal defines which indicators its strategies report and which ratios are computed from
them; a strategy reports values; ``compute`` checks and combines the two.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from watcher.common.errors import Invalid

if TYPE_CHECKING:
    from watcher.decision_engine.goals import Goal

GAIN = "Of what the goal measures, the part that the plan improves."


@dataclasses.dataclass(frozen=True)
class Indicator:
    """A number that strategies of a goal report."""

    name: str
    description: str
    schema: Mapping[str, Any]
    """JSON schema (draft 4) of the value."""
    unit: str | None = None
    required: bool = True


@dataclasses.dataclass(frozen=True)
class Ratio:
    """A global indicator: one indicator in percent of another one."""

    name: str
    description: str
    part: str
    whole: str

    def of(self, values: Mapping[str, float]) -> float:
        """Percent, with two decimals; 0 without a part, or without a whole."""
        part, whole = values.get(self.part, 0), values.get(self.whole, 0)
        return round(100 * part / whole, 2) if part and whole else 0


@dataclasses.dataclass(frozen=True)
class Specification:
    """All indicators of a goal, and the ratios that summarise a plan."""

    indicators: Sequence[Indicator] = ()
    ratios: Sequence[Ratio] = ()

    def stored(self) -> list[dict[str, Any]]:
        """The form in the database and the API; the schemas are JSON texts."""
        return [
            {
                "name": indicator.name,
                "description": indicator.description,
                "unit": indicator.unit,
                "schema": json.dumps(indicator.schema) if indicator.schema else None,
            }
            for indicator in self.indicators
        ]


Rows = list[dict[str, Any]]


def compute(
    goal: type[Goal], values: Mapping[str, float], gain: float | None = None
) -> tuple[Rows, Rows]:
    """Global efficacy and indicators, both as lists of {name, description, unit, value}.

    *values* are what the strategy reports; if it reports nothing, nothing is
    checked.  Invalid if they do not fit the goal.  The *gain*, in percent, stands after
    the ratios of goals that have some.
    """
    specification = goal.efficacy
    if values:
        _check(goal, values)
    gains = [_row("gain", GAIN, "%", gain)] if specification.ratios and gain is not None else []
    return (
        [
            _row(ratio.name, ratio.description, "%", ratio.of(values))
            for ratio in specification.ratios
        ]
        + gains,
        [
            _row(each.name, each.description, each.unit, values[each.name])
            for each in specification.indicators
            if each.name in values
        ],
    )


def _check(goal: type[Goal], values: Mapping[str, float]) -> None:
    # Imported here, because it takes megabytes, and only goals with indicators need it.
    from jsonschema import Draft4Validator

    known = {indicator.name: indicator for indicator in goal.efficacy.indicators}
    for name, value in values.items():
        if name not in known:
            raise Invalid(
                f"{name}: the goal '{goal.display_name}' has no such efficacy indicator; "
                f"it has {', '.join(known) or 'none'}."
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Invalid(f"{name}: the efficacy indicator must be a number, not {value!r}.")
        error = next(Draft4Validator(known[name].schema).iter_errors(value), None)
        if error or not math.isfinite(value):
            why = error.message if error else "it must be finite"
            raise Invalid(f"{name}: the efficacy indicator cannot be {value!r}: {why}.")
    for name, indicator in known.items():
        if indicator.required and name not in values:
            raise Invalid(f"{name}: the strategy reports no value for this efficacy indicator.")


def _row(name: str, description: str, unit: str | None, value: float) -> dict[str, Any]:
    return {"name": name, "description": description, "unit": unit, "value": value}
