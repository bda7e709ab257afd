# SPDX-License-Identifier: Apache-2.0
"""The observed events of the services, in their order."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    at: float
    """Seconds of true time since the beginning."""
    who: str
    """The process; each start of it has a number of its own.  Empty: none."""
    what: str
    facts: tuple[Any, ...]

    def __str__(self) -> str:
        facts = " ".join(str(fact) for fact in self.facts)
        return f"{self.at:9.3f}  {self.who:12} {self.what:18} {facts}"


class History:
    def __init__(self) -> None:
        self.all: list[Seen] = []
        self._posted: set[Any] = set()

    def add(self, at: float, who: str, what: str, *facts: Any) -> None:
        self.all.append(Seen(at, who, what, facts))
        if what == "post":
            self._posted.add(facts[0])
        elif what in ("202", "declined"):
            self._posted.discard(facts[0])

    def open_posts(self) -> bool:
        """Whether an alarm service still waits for its answer."""
        return bool(self._posted)
