# SPDX-License-Identifier: Apache-2.0
"""The work of a simulated cloud on its servers: under way, and migrations that have ended."""

import collections
import dataclasses
import datetime
from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from oslo_utils import timeutils

from watcher.cloud import compute

KEPT_SECONDS = 86400.0


@dataclasses.dataclass(kw_only=True)
class Timed:
    """Work that has begun and takes some time, by the clock of the cloud."""

    begun: float
    seconds: float

    @property
    def due(self) -> float:
        return self.begun + self.seconds


@dataclasses.dataclass
class SimulatedMigration(Timed):
    """A migration or resize, under way or not confirmed yet."""

    server: str
    live: bool
    source: str
    destination: str
    fails: bool
    state_before: str
    """The server's state before, to which a cold migration returns when it is confirmed."""
    claim: list[int]
    """The amounts that it takes of its other host, in the order of ``RESOURCES``: of the
    destination while it is under way, of the source until it is confirmed."""
    flavor: str = ""
    """The id of the new flavor of a resize."""


@dataclasses.dataclass
class Switch(Timed):
    """A server that is being stopped or started."""

    server: str
    state: str
    """The state after the work."""


Work = TypeVar("Work", SimulatedMigration, Switch)


def to_dict(work: SimulatedMigration | Switch, name: str, now: float) -> dict[str, Any]:
    """The JSON that ``restored`` reads; *name* is the server's."""
    shown = dataclasses.asdict(work)
    elapsed = now - shown.pop("begun")
    progress = min(1.0, elapsed / work.seconds) if work.seconds else 1.0
    return {**shown, "name": name, "elapsed": round(elapsed, 3), "progress": round(progress, 3)}


def restored(
    kind: type[Work], shown: Iterable[Mapping[str, Any]], servers: Container[str], now: float
) -> Iterator[tuple[str, Work]]:
    """The work that ``to_dict`` has shown, by the uuid of the server; only for *servers* that
    exist."""
    names = {field.name for field in dataclasses.fields(kind)} - {"begun"}
    for entry in shown:
        if entry["server"] in servers:
            fields: dict[str, Any] = {name: entry[name] for name in names}
            yield entry["server"], kind(begun=now - entry["elapsed"], **fields)


class EndedMigrations:
    """The migrations that ended within a day, the oldest first.  *now* and *ended* are by the clock
    of the cloud, in seconds."""

    def __init__(self) -> None:
        self._all: collections.deque[tuple[float, compute.Migration]] = collections.deque()

    def add(self, move: SimulatedMigration, ended: float, succeeded: bool) -> None:
        """Add a migration.  A resize that stays on its host is left out."""
        if move.source != move.destination:
            pair = move.source, move.destination
            self._all.append((ended, compute.Migration(move.server, *pair, None, succeeded)))
        while self._all and self._all[0][0] < ended - KEPT_SECONDS:
            self._all.popleft()

    def since(self, when: datetime.datetime, now: float) -> list[compute.Migration]:
        """The migrations that ended after *when*, in naive UTC."""
        present = timeutils.utcnow()
        found = (
            dataclasses.replace(move, ended=present - datetime.timedelta(seconds=now - ended))
            for ended, move in self._all
        )
        return [each for each in found if each.ended and each.ended > when]
