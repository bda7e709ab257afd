# SPDX-License-Identifier: Apache-2.0
"""The bare metal snapshot."""

import dataclasses
from collections.abc import Sequence

from watcher.cloud.baremetal import BaremetalNode


@dataclasses.dataclass(frozen=True, eq=False)
class BaremetalModel:
    """The machines of a cloud at one moment.  Immutable."""

    nodes: Sequence[BaremetalNode]
    """Sorted by uuid."""
    keeps_hosts_up: bool
    """Whether compute still shows a host as up when its machine is switched off."""
