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


class Observer:
    """Checks events one after the other: those named "goes on", say, by ``_see_goes_on``."""

    def __init__(self) -> None:
        self.found: list[str] = []
        """Sentences that say what was violated."""

    def hear(self, seen: Seen) -> None:
        rule = getattr(self, "_see_" + seen.what.replace(" ", "_"), None)
        if rule is not None:
            rule(seen, *seen.facts)

    def _say(self, seen: Seen, sentence: str) -> None:
        self.found.append(f"At {seen.at:.3f}: {sentence}")


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
