# SPDX-License-Identifier: Apache-2.0
"""JSON schemas of the parameters of strategies."""

from collections.abc import Mapping
from typing import Any, Final


def number(description: str, default: float, **schema: Any) -> dict[str, Any]:
    """A number; *schema* has its limits, or the type integer."""
    return {"description": description, "type": "number", "default": default, **schema}


def text(description: str, **schema: Any) -> dict[str, Any]:
    """A text; *schema* has its default, if it has one, and its limits."""
    return {"description": description, "type": "string", **schema}


def flag(description: str) -> dict[str, Any]:
    return {"description": description, "type": "boolean", "default": False}


def by_name(description: str, defaults: Mapping[str, Any], **schema: Any) -> dict[str, Any]:
    """An object that has a value for each name of *defaults*; *schema* is that of the values."""
    properties = {name: {**schema, "default": value} for name, value in defaults.items()}
    return {
        "description": description,
        "type": "object",
        "properties": properties,
        "default": dict(defaults),
    }


def period(default: float) -> dict[str, Any]:
    return number("Seconds over which metrics are averaged.", default)


def granularity() -> dict[str, Any]:
    return number("Seconds between two measures of a metric.", 300)


def aggregation_method() -> dict[str, Any]:
    return by_name(
        "How the metrics of servers and hosts are aggregated: mean, min, max or count. 'node' is "
        "the former name of 'compute_node', and wins unless empty.",
        {"instance": "mean", "compute_node": "mean", "node": ""},
        type="string",
    )


CONSOLIDATION: Final[Mapping[str, Mapping[str, Any]]] = {
    "target_utilization": number(
        "The share of a host's capacity up to which the plan fills it.",
        1.0,
        minimum=0,
        exclusiveMinimum=True,
        maximum=1,
    ),
    "reserve_hosts": number(
        "Hosts without servers that stay in service, and are brought back into it if there are "
        "too few.",
        0,
        type="integer",
        minimum=0,
    ),
}
"""The parameters of all strategies that consolidate."""
