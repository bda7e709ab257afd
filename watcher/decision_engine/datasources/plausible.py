# SPDX-License-Identifier: Apache-2.0
"""Leaves out values of metrics that no host or server can have.

A counter that was reset, a wrong unit or a wrong formula gives such values, and one of them in
a sum is worse than none.
"""

import math
from collections.abc import Mapping, Sequence

from watcher.cloud.compute import Host, Server
from watcher.model.undone import Undone, grouped

_CPU = (-10.0, 1000.0)
"""A rate may be a little below 0, and above 100 while a server has more threads than vCPUs."""
_AMOUNT = (0.0, 1e12)

RANGES: Mapping[str, tuple[float, float]] = {
    "host_cpu_usage": _CPU,
    "instance_cpu_usage": _CPU,
    "host_outlet_temp": (-100.0, 1000.0),
    "host_inlet_temp": (-100.0, 1000.0),
}
"""The least and the greatest possible value, in the unit of the metric."""


def plausible(
    name: str, resources: Sequence[Host | Server], values: Mapping[str, float]
) -> tuple[Mapping[str, float], list[Undone]]:
    """The possible ones of *values*, by uuid, and which of *resources* have others."""
    least, most = RANGES.get(name, _AMOUNT)
    wrong = {
        uuid
        for uuid, value in values.items()
        if not (math.isfinite(value) and least <= value <= most)
    }
    if not wrong:
        return values, []
    remarks = grouped(
        (
            (each.hostname if isinstance(each, Host) else each.name or each.uuid, f"of {name}")
            for each in resources
            if each.uuid in wrong
        ),
        "values",
    )
    return {uuid: values[uuid] for uuid in values if uuid not in wrong}, remarks
