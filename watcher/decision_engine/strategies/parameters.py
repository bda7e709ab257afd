# SPDX-License-Identifier: Apache-2.0
"""Schemas of the parameters that several strategies have in common."""

from typing import Any


def period(
    default: float, description: str = "Seconds over which metrics are averaged."
) -> dict[str, Any]:
    return {"description": description, "type": "number", "default": default}


def granularity() -> dict[str, Any]:
    return {
        "description": "Seconds between two measures of a metric.",
        "type": "number",
        "default": 300,
    }


def aggregation_method() -> dict[str, Any]:
    return {
        "description": "How the metrics of servers and hosts are aggregated: mean, min, max or "
        "count. 'node' is the former name of 'compute_node', and wins unless empty.",
        "type": "object",
        "properties": {
            "instance": {"type": "string", "default": "mean"},
            "compute_node": {"type": "string", "default": "mean"},
            "node": {"type": "string", "default": ""},
        },
        "default": {"instance": "mean", "compute_node": "mean", "node": ""},
    }
