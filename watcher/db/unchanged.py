# SPDX-License-Identifier: Apache-2.0
"""Which claims have lapsed, whatever the clocks of the nodes show.

Each heartbeat of who holds a claim changes its end.  A claim has lapsed when it has not been
changed for as long as it holds, by the time that goes by here: to compare its end with the
clock of another node would take it from a process that lives, if that clock is ahead.
"""

import datetime
import time
from collections.abc import Callable, Iterable, Mapping


class Unchanged:
    """Knows since when it has seen each claim as it is.  For one thread at a time."""

    def __init__(
        self, duration: datetime.timedelta, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds, self._clock = duration.total_seconds(), clock
        self._seen: dict[int, tuple[datetime.datetime, float]] = {}

    def ends(
        self, claims: Iterable[tuple[int, datetime.datetime]]
    ) -> Mapping[int, datetime.datetime]:
        """Of these *claims*, all that there are now, those that have lapsed: id to their end."""
        now = self._clock()
        seen = {}
        for claim_id, end in claims:
            before = self._seen.get(claim_id)
            seen[claim_id] = before if before is not None and before[0] == end else (end, now)
        self._seen = seen
        return {
            claim_id: end for claim_id, (end, since) in seen.items() if now - since >= self._seconds
        }
