# SPDX-License-Identifier: Apache-2.0
"""The migrations of a simulated cloud that have ended: what nova keeps of them."""

import collections
import dataclasses
import datetime
from collections.abc import Iterable, Mapping
from typing import Any

from oslo_utils import timeutils

from watcher.cloud.compute import Migration

KEPT_SECONDS = 86400.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Ended:
    server: str
    source: str
    destination: str
    ended: float
    """By the clock of the cloud."""
    succeeded: bool


class EndedMigrations:
    """Those of the last day, the oldest first.  *now* is by the clock of the cloud, in seconds."""

    def __init__(self) -> None:
        self._all: collections.deque[_Ended] = collections.deque()

    def add(
        self, server: str, source: str, destination: str, ended: float, succeeded: bool = True
    ) -> None:
        """A resize that stays on its host is no move between hosts."""
        if source != destination:
            self._all.append(_Ended(server, source, destination, ended, succeeded))
        while self._all and self._all[0].ended < ended - KEPT_SECONDS:
            self._all.popleft()

    def since(self, when: datetime.datetime, now: float) -> list[Migration]:
        """What ended after *when*, in naive UTC."""
        present = timeutils.utcnow()
        found = [
            Migration(
                each.server,
                each.source,
                each.destination,
                present - datetime.timedelta(seconds=now - each.ended),
                each.succeeded,
            )
            for each in self._all
        ]
        return [each for each in found if each.ended and each.ended > when]

    def to_list(self, now: float) -> list[dict[str, Any]]:
        """What ``restore`` takes; ``ago`` is seconds."""
        return [
            {
                "server": each.server,
                "source": each.source,
                "destination": each.destination,
                "ago": round(now - each.ended, 3),
                "succeeded": each.succeeded,
            }
            for each in self._all
        ]

    def restore(self, shown: Iterable[Mapping[str, Any]], now: float) -> None:
        for each in shown:
            fields = {name: each[name] for name in ("server", "source", "destination")}
            self.add(**fields, ended=now - each["ago"], succeeded=each["succeeded"])
