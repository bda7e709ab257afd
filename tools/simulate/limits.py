# SPDX-License-Identifier: Apache-2.0
"""Checks each observed event against the rules about numbers: how many events are recorded, how
often processes may die over the same work, how often a thread waits for the same lock.
"""

import collections
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from tools.simulate.history import Observer, Seen
from tools.simulate.judge import OVER, Key, Row, Rules, seconds

_AT_ONCE = 20.0
"""Seconds from the arrival of an alarm to its commit, if the facts about it are recent."""

_RECENT = 30.0
"""Seconds in which a recorded event certainly counts for the limit of a minute."""


class _Event(NamedTuple):
    at: float
    received_at: str


class _Pending(NamedTuple):
    """An event in the inbox, or a run that waits."""

    audit: int
    parameters: Any
    since: float


class Limits(Observer):
    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._rules = rules
        self._deaths: collections.Counter[Key] = collections.Counter()
        """How often in a row the holders of a run or plan have died."""
        self._died: collections.Counter[Key] = collections.Counter()
        """The largest of these numbers so far."""
        self._holders: dict[Key, str] = {}
        self._handed_on: collections.Counter[int] = collections.Counter()
        """By audit, the deaths over runs that others have replaced."""
        self._runs: dict[int, int] = {}
        """Runs by their uuid as a number."""
        self._received: dict[tuple[str, str], float] = {}
        self._latest: dict[str, str] = {}
        """By process, the latest time at which it has received an alarm."""
        self._recorded: collections.defaultdict[int, list[_Event]] = collections.defaultdict(list)
        """Events by audit."""
        self._pending: dict[tuple[str, int], _Pending] = {}

    # Locks

    def _see_waits_again(self, seen: Seen, statement: str) -> None:
        words = " ".join(statement.split()[:4])
        self._say(seen, f"{seen.who} waits for a lock at once again, for '{words} ...'.")

    # Recorded events

    def _see_receives(self, seen: Seen, alarm: str, process: str, now: str, request: str) -> None:
        self._received[process, now] = seen.at
        self._latest[process] = max(now, self._latest.get(process, ""))

    def _see_audit_events(self, seen: Seen, event: int, old: Row, new: Row) -> None:
        if new is not None and old is None:
            if new["inbox"] is not None:
                self._refuse_beyond_limit(seen, event, new)
            self._recorded[new["audit_id"]].append(_Event(seen.at, new["received_at"]))
        self._keep_pending(seen, ("event", event), new and new["inbox"] is not None and new)

    def _refuse_beyond_limit(self, seen: Seen, event: int, new: Mapping[str, Any]) -> None:
        audit, received_at = new["audit_id"], new["received_at"]
        since = self._received.get((seen.who, received_at), -_AT_ONCE)
        # If the clock was set back, a request from before it may have shared the look.
        if seen.at > since + _AT_ONCE or received_at < self._latest.get(seen.who, ""):
            return
        recent = [
            each
            for each in self._recorded[audit]
            if each.at < since and seconds(each.received_at, received_at) < _RECENT
        ]
        covered = any(
            each.since < since and (each.audit, each.parameters) == (audit, _parameters(new))
            for each in self._pending.values()
        )
        if covered and len(recent) >= self._rules.max_recorded:
            self._say(seen, f"Event {event} is recorded after {len(recent)} of the same minute.")

    def _keep_pending(self, seen: Seen, key: tuple[str, int], row: Any) -> None:
        if not row:
            self._pending.pop(key, None)
        elif key not in self._pending:
            self._pending[key] = _Pending(row["audit_id"], _parameters(row), seen.at)

    # Deaths

    def _take_over(self, seen: Seen, key: Key, old: Row, new: Row) -> None:
        # No holder died if it takes up again what it could not end without the database.
        self._deaths[key] += bool(old and new and old["engine"] != new["engine"])
        self._died[key] = max(self._died[key], self._deaths[key])
        self._holders[key] = seen.who

    def _see_audit_runs(self, seen: Seen, run: int, old: Row, new: Row) -> None:
        key = ("run", run)
        self._keep_pending(seen, key, new and new["state"] == "QUEUED" and new)
        if new is None:
            return
        self._runs[int(new["uuid"].replace("-", ""), 16)] = run
        if old is None or old["state"] != "ONGOING":
            return
        if new["state"] == "ONGOING":
            if new["attempt"] != old["attempt"]:
                self._take_over(seen, key, old, new)
        elif new["state"] == "CANCELLED":
            self._handed_on[new["audit_id"]] += self._deaths[key]
        elif new["attempt"] == old["attempt"]:
            self._deaths[key] = 0

    def _see_look(self, seen: Seen, audit: str, seed: int, level: Any) -> None:
        self._refuse_after_deaths(seen, ("run", self._runs[seed]))

    def _see_action_plan_leases(self, seen: Seen, plan: int, old: Row, new: Row) -> None:
        key = ("plan", plan)
        if new is not None and old is None:
            self._deaths[key] = 0
        elif new and old and new["attempt"] > old["attempt"]:
            self._take_over(seen, key, old, new)

    def _see_actions(self, seen: Seen, action: int, old: Row, new: Row) -> None:
        if old and new and new["state"] in OVER and old["state"] not in OVER:
            self._deaths["plan", new["action_plan_id"]] = 0

    def _see_request(self, seen: Seen, plan: Any, name: str, arguments: Any, busy: bool) -> None:
        if name != "enable":
            self._refuse_after_deaths(seen, ("plan", plan))

    def _refuse_after_deaths(self, seen: Seen, key: Key) -> None:
        number = self._deaths[key]
        if number >= self._rules.max_attempts and self._holders[key] == seen.who:
            self._say(seen, f"{seen.who} works on {key[0]} {key[1]} after {number} deaths.")

    def most_deaths(self, key: Key, audit: int) -> int:
        """How often in a row the holders of a run or plan of an audit may have died."""
        return self._died[key] + (self._handed_on[audit] if key[0] == "run" else 0)


def _parameters(row: Mapping[str, Any]) -> Any:
    return json.loads(row["parameters"] or "null") or {}
