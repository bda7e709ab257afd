# SPDX-License-Identifier: Apache-2.0
"""The limits of a plan that starts on its own, and the cost of a move."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel
    from watcher.model.types import Floats

MBIT_PER_MIB = 8 * 2**20 / 10**6


@dataclasses.dataclass(frozen=True)
class Bounds:
    """The limits of one plan. The default is no limit, for a plan that a person starts."""

    actions: int | None = None
    """Actions of the plan, of every type; None: any number."""
    memory_mb: float = math.inf
    """Memory of servers, in MiB, that its migrations may copy."""
    margin: float = 0.0
    """The factor by which the gain of a move has to exceed its cost."""
    bandwidth: float = 10_000.0
    """The bandwidth, in Mbit/s, at which a host's network copies memory."""
    lasting: float = 3600.0
    """Seconds for which a move is of use, because the server stays on its new host."""
    hysteresis: float = 0.0
    """The share of a threshold by which balancing goes below it, once it is exceeded."""

    def prices(self, model: ComputeModel) -> Floats:
        """float [V]: the share of a host's load that a move of each server has to even out.

        A move occupies the networks of two hosts for as long as the copy takes, and is of
        use for as long as the server rests: its cost is the ratio of these two times.
        """
        from watcher.model.compute import MEMORY

        seconds = model.demand[:, MEMORY] * MBIT_PER_MIB / self.bandwidth
        return self.margin * 2 * seconds / max(self.lasting, 1.0)


UNBOUND = Bounds()
