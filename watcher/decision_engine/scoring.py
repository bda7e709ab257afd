# SPDX-License-Identifier: Apache-2.0
"""Scoring engines: from features to a result, both JSON texts."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

from watcher.common.errors import Invalid

MIB = 1024 * 1024


class ScoringEngine(ABC):
    """Base of all scoring engines.  One object serves all threads."""

    name: str
    description: str
    metainfo: str = ""
    """Information for clients, in a format of the scoring engine."""

    @abstractmethod
    def score(self, features: str) -> str:
        """The result for *features*.  Invalid if they are not what this engine takes."""
        raise NotImplementedError


class ScoringContainer(ABC):
    """Base of plug-ins that bring any number of scoring engines."""

    @abstractmethod
    def engines(self) -> Sequence[ScoringEngine]:
        raise NotImplementedError


class DummyScorer(ScoringEngine):
    """Classifies the workload of a server by simple thresholds, in place of a trained model."""

    name = "dummy_scorer"
    description = "Dummy workload classifier"

    WORKLOADS: ClassVar = ("idle", "cpu-intensive", "memory-intensive", "disk-intensive")
    FEATURES: ClassVar = (
        "cpu_percent",
        "memory_total_bytes",
        "memory_available_bytes",
        "page_reads_per_second",
        "page_writes_per_second",
        "disk_read_bytes_per_second",
        "disk_write_bytes_per_second",
        "network_received_bytes_per_second",
        "network_sent_bytes_per_second",
    )
    metainfo = json.dumps(
        {
            "feature_columns": FEATURES,
            "result_columns": ("workload", *(f"{name}_probability" for name in WORKLOADS)),
            "workloads": WORKLOADS,
        }
    )

    def score(self, features: str) -> str:
        numbers = _numbers(features)
        if len(numbers) != len(self.FEATURES):
            raise Invalid(
                f"features: must be {len(self.FEATURES)} numbers, not {len(numbers)}: "
                f"{', '.join(self.FEATURES)}."
            )
        cpu, _, _, reads, writes, disk_read, disk_write, _, _ = numbers
        if cpu >= 80:
            return json.dumps([1, 0, 100, 0, 0])
        if reads >= 1000 and writes >= 1000:
            return json.dumps([2, 0, 0, 100, 0])
        if disk_read >= 50 * MIB and disk_write >= 50 * MIB:
            return json.dumps([3, 0, 0, 0, 100])
        hints = [50 if cpu >= 40 else 0, 50 if reads >= 500 or writes >= 500 else 0, 0]
        return json.dumps([0, 50 if any(hints) else 100, *hints])


class _Statistic(ScoringEngine):
    """The sum, mean or other aggregate of a list of numbers."""

    def __init__(self, name: str, kind: str, of: Callable[[list[float]], float]) -> None:
        self.name = f"dummy_{name}_scorer"
        self.description = f"Dummy Scorer calculating the {kind} value"
        self._of = of

    def score(self, features: str) -> str:
        numbers = _numbers(features)
        if not numbers:
            raise Invalid("features: must be at least one number.")
        return json.dumps([self._of(numbers)])


class DummyScoringContainer(ScoringContainer):
    """Shows how one plug-in brings several scoring engines."""

    def engines(self) -> Sequence[ScoringEngine]:
        return (
            _Statistic("min", "minimum", min),
            _Statistic("max", "maximum", max),
            _Statistic("avg", "average", lambda numbers: sum(numbers) / len(numbers)),
        )


def _numbers(features: str) -> list[float]:
    try:
        numbers = json.loads(features)
    except ValueError:
        numbers = None
    if not isinstance(numbers, list) or not all(type(each) in (int, float) for each in numbers):
        raise Invalid("features: must be a JSON list of numbers.")
    return numbers
