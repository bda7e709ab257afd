# SPDX-License-Identifier: Apache-2.0
from watcher.plugins import Goal, Indicator, Ratio, Specification

_COUNT = {"type": "integer", "minimum": 0}


class MemoryHeadroomGoal(Goal):
    """Keep memory free on every host."""

    name = "memory_headroom"
    display_name = "Memory headroom"
    efficacy = Specification(
        indicators=(
            Indicator("short_hosts_count", "Hosts with too little free memory.", _COUNT),
            Indicator("relieved_hosts_count", "Of these, those that the plan relieves.", _COUNT),
        ),
        ratios=(
            Ratio(
                "relieved_hosts_ratio",
                "Hosts that the plan relieves, out of those with too little free memory.",
                part="relieved_hosts_count",
                whole="short_hosts_count",
            ),
        ),
    )
