# SPDX-License-Identifier: Apache-2.0
"""Whether nova's scheduler finds hosts for servers for which a plan names none."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from watcher.model import undone
from watcher.model.compute import MEMORY, ComputeModel
from watcher.model.whatif import WhatIf

EXAMINED = 200
"""The most servers for which another distribution is tried when one finds no host."""


class Scheduler:
    """The hosts of the whole cloud, also those outside of an audit's scope.

    Which hosts nova picks is not known, so several distributions of the servers before it are
    tried.  A server is without a host if none of them leaves a host for it.
    """

    def __init__(self, cloud: ComputeModel) -> None:
        self._at_first = WhatIf(cloud.free_to_leave_zones)
        self._at_first.release(undone.NOT_LIVE)  # those that are moved cold
        self._now = self._at_first.copy()
        self._model = cloud
        self._picked: list[int] = []

    def enable_host(self, hostname: str, enabled: bool = True) -> None:
        """Let a host take servers, because the plan enables it; or let it take none again."""
        for what_if in (self._at_first, self._now):
            what_if.takers[self._model.host_index[hostname]] = enabled

    def enable_one_for(self, uuid: str, hostnames: Iterable[str]) -> str | None:
        """Enable the first of some hosts with which the scheduler finds a host for a server.
        None, and none is enabled, if it finds none with any."""
        for hostname in hostnames:
            self.enable_host(hostname)
            if not self.pick(uuid):
                return hostname
            self.enable_host(hostname, enabled=False)
        return None

    def place_server(self, uuid: str, hostname: str) -> None:
        """Move a server to the destination that the plan names; to be called before ``pick``."""
        server, host = self._model.server_index[uuid], self._model.host_index[hostname]
        for what_if in (self._at_first, self._now):
            if what_if.possible_hosts(server)[host]:
                what_if.move(server, host)

    def pick(self, uuid: str) -> str:
        """Let the scheduler pick a host for a server.  Returns why it finds none, a key of
        ``undone.REASONS``; empty if it finds one, or if only nova can judge that."""
        server = self._model.server_index[uuid]
        if _place(self._now, server):
            self._picked.append(server)
            return ""
        why = self._at_first.why_not(server)
        if why == undone.NO_GAIN:
            why = "" if self._distribute([*self._picked, server]) else self._now.why_not(server)
        return "" if why == undone.ONE_AT_A_TIME else why

    def choices(self, uuid: str) -> int:
        """How many hosts may take a server, without the others that move."""
        return int(self._at_first.possible_hosts(self._model.server_index[uuid]).sum())

    def _distribute(self, servers: list[int]) -> bool:
        """Place all *servers* anew, those that fit on few hosts first.  False if that is
        impossible."""
        if len(servers) > EXAMINED:
            return False
        what_if = self._at_first.copy()
        choices = {each: int(what_if.possible_hosts(each).sum()) for each in servers}
        servers = sorted(servers, key=lambda each: (choices[each], -what_if.demand[each].sum()))
        if not all(_place(what_if, each) for each in servers):
            return False
        self._now, self._picked = what_if, servers
        return True


def _place(what_if: WhatIf, server: int) -> bool:
    """Move a server to the host with the least memory that takes it, if there is one."""
    fit = what_if.possible_hosts(server)
    if not fit.any():
        return False
    what_if.move(server, int(np.where(fit, what_if.free[:, MEMORY], np.inf).argmin()))
    return True
