# SPDX-License-Identifier: Apache-2.0
"""Checks each observed event of a history against the rules of claims.

A *claim* of a run begins when a process makes it ONGOING or takes it over, and ends when the run
leaves that state or somebody else takes it over; that of a plan is its lease.  A process that stood
still for longer than its claim lasts may go on for a moment, but may write nothing any more.
"""

import collections
import dataclasses
import datetime
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tools.simulate.history import Observer, Seen

OVER = frozenset({"SUCCEEDED", "FAILED", "CANCELLED", "SUPERSEDED", "SKIPPED"})
UNDER_WAY = frozenset({"PENDING", "ONGOING", "CANCELLING"})

_NOTICE = 15.0
"""Seconds within which a process notices that a plan is no longer its own."""

Row = Mapping[str, Any] | None
Key = tuple[str, int]
"""``run`` or ``plan``, and its id."""


@dataclasses.dataclass(frozen=True)
class Rules:
    lease: float
    """Seconds for which a claim lasts without heartbeats, by true time."""
    max_run: float
    """Seconds that a run may take."""
    apart: float
    """Seconds that two times may differ; infinite: any time may be wrong."""
    clocks: float
    """Seconds that two clocks may differ."""
    rollback: bool
    """Whether plans that fail are rolled back, so that they move servers twice."""
    max_recorded: int
    """Events of an audit that are recorded in a minute, if a run covers the others."""
    max_attempts: int
    """Processes that may die in a row over the same run or plan."""


@dataclasses.dataclass
class _Claim:
    number: int
    holder: str
    began: float
    extended: float
    """The time of the holder's last heartbeat."""
    since: float
    """From when the time of a run is limited: a process that stands still begins it later."""
    beside: list[int] = dataclasses.field(default_factory=list)
    """Plans that were under way when the claim began."""


@dataclasses.dataclass(frozen=True)
class _Hand:
    """The work of a process, with its claim."""

    who: str
    key: Key
    owner: Any
    """The audit of a run."""
    claim: int | None


class Judge(Observer):
    def __init__(self, rules: Rules) -> None:
        super().__init__()
        self._rules = rules
        self.looked: dict[int, float] = {}
        """The time at which a successful run read the cloud, by its id."""
        self._claims: dict[Key, _Claim] = {}
        self._numbers = itertools.count(1)
        self._hands: list[_Hand] = []
        self._states: dict[tuple[str, int], str] = {}
        self._audits: dict[int, int] = {}
        """Audit by run."""
        self._looks: dict[tuple[str, int], float] = {}
        """By process and run."""
        self._uuids: dict[int, int] = {}
        """Runs by their uuid as a number."""
        self._ends_of_plans: list[float] = []
        self._moving: dict[str, bool] = {}
        """Servers that migrate, and whether the process that requested it held the plan."""
        self._arrived: set[tuple[Any, str]] = set()
        self._asked: dict[str, Any] = {}
        """Server to the plan that moved it last."""
        self._actions: collections.defaultdict[int, set[int]] = collections.defaultdict(set)
        """Actions by plan."""
        self._stood: dict[str, float] = {}
        """By process, until when it stood still or had no database."""
        self._excused: dict[str, float] = {}
        """By process, until when it may not have noticed that it lost a plan."""
        self._still: collections.Counter[str] = collections.Counter()
        """By process, how many of it stand still: itself, or threads."""
        self._cancelled: dict[int, float] = {}
        """When users cancelled plans under way."""

    # Processes

    def _see_dies(self, seen: Seen, name: str, where: str) -> None:
        self._hands = [hand for hand in self._hands if hand.who != name]

    def _see_crash(self, seen: Seen, kind: str, error: Any) -> None:
        self._say(seen, f"A thread of {seen.who} ended with {kind}: {error}")

    def _see_freezes(self, seen: Seen, name: str) -> None:
        self._still[name] += 1
        self._stood[name] = self._excused[name] = math.inf

    def _see_thaws(self, seen: Seen, name: str) -> None:
        self._still[name] -= 1
        if not self._still[name]:
            self._stood[name], self._excused[name] = seen.at, seen.at + _NOTICE

    _see_hangs, _see_goes_on = _see_freezes, _see_thaws

    def _see_no_database(self, seen: Seen, until: float) -> None:
        self._stood[""] = max(self._stood.get("", 0.0), until)
        self._excuse("", until)

    def _see_no_cloud(self, seen: Seen, until: float) -> None:
        self._excuse("", until)

    def _excuse(self, name: str, until: float) -> None:
        self._excused[name] = max(self._excused.get(name, 0.0), until + _NOTICE)

    def _is_excused(self, seen: Seen) -> bool:
        return seen.at <= max(self._excused.get(seen.who, 0.0), self._excused.get("", 0.0))

    # Claims

    def _claim(self, seen: Seen, key: Key) -> None:
        self._claims[key] = _Claim(next(self._numbers), seen.who, seen.at, seen.at, seen.at)

    def _extend(self, seen: Seen, key: Key) -> None:
        if self._holds(seen, key):
            self._claims[key].extended = seen.at

    def _take_over(self, seen: Seen, key: Key) -> None:
        before = self._claims.get(key)
        self._claim(seen, key)
        if before is None:
            return
        self._excuse(before.holder, seen.at)
        held = any(hand.claim == before.number for hand in self._hands)
        able = self._rules.lease + max(self._stood.get(name, 0.0) for name in (before.holder, ""))
        if before.holder == seen.who:
            if held:
                self._say(seen, f"{seen.who} takes over {_name(key)}, which it holds.")
        elif seen.at - before.extended < self._rules.lease:
            self._say(
                seen,
                f"{seen.who} takes {_name(key)} over from {before.holder}, which was heard of "
                f"{seen.at - before.extended:.3f} seconds ago.",
            )
        elif held and seen.at > able + _NOTICE:
            self._say(
                seen, f"{seen.who} takes {_name(key)} over from {before.holder}, which lives."
            )

    def _end_claim(self, seen: Seen, key: Key) -> None:
        if self._holds(seen, key):
            self._excuse(seen.who, seen.at)
        self._claims.pop(key, None)

    def _holds(self, seen: Seen, key: Key) -> bool:
        claim = self._claims.get(key)
        if claim is not None and claim.holder == seen.who:
            return True
        holder = claim.holder if claim else "nobody"
        self._say(seen, f"{seen.who} writes {_name(key)}, which is in the hands of {holder}.")
        return False

    def _begin(self, seen: Seen, key: Key, owner: Any) -> None:
        claim = self._claims.get(key)
        own = claim.number if claim is not None and claim.holder == seen.who else None
        may_not_know = own is None and self._is_excused(seen)
        for hand in [] if may_not_know else self._hands:
            theirs = self._claims.get(hand.key)
            if hand.owner == owner and theirs is not None and theirs.number == hand.claim:
                self._say(
                    seen,
                    f"{seen.who} begins {_name(key)} while {hand.who} carries out "
                    f"{_name(hand.key)} of the same {owner[0]}.",
                )
        self._hands.append(_Hand(seen.who, key, owner, own))

    def _end(self, seen: Seen, key: Key) -> None:
        for hand in self._hands:
            if hand.who == seen.who and hand.key == key:
                self._hands.remove(hand)
                return

    def _follow(self, seen: Seen, key: tuple[str, int], old: Row, new: Row) -> None:
        """A row that has ended does not change any more."""
        if old and new and old["state"] in OVER - {new["state"]} and new["state"] != "DELETED":
            self._say(seen, f"{_name(key)} was {old['state']} and is {new['state']}.")
        if new is None:
            self._states.pop(key, None)
        else:
            self._states[key] = new["state"]

    # Runs

    def _see_audit_runs(self, seen: Seen, run: int, old: Row, new: Row) -> None:
        key = ("run", run)
        self._follow(seen, key, old, new)
        if new is None:
            return
        self._audits[run] = new["audit_id"]
        self._uuids[int(new["uuid"].replace("-", ""), 16)] = run
        was, now = old and old["state"], new["state"]
        if now == "ONGOING" and was != "ONGOING":
            self._claim(seen, key)
            self._claims[key].beside = [
                plan
                for (kind, plan), state in self._states.items()
                if kind == "plan" and state in UNDER_WAY
            ]
            self._refuse_second_run(seen, run)
        elif now == "ONGOING" and old and old["attempt"] != new["attempt"]:
            self._take_over(seen, key)
        elif now == "ONGOING":
            self._extend(seen, key)
            took = seen.at - self._claims[key].since
            if took > self._rules.max_run + 2 * _NOTICE and not self._is_excused(seen):
                self._say(seen, f"Run {run} goes on after {took:.3f} seconds.")
        elif was == "ONGOING":
            if now in ("SUCCEEDED", "FAILED"):
                # One that is given up because of deaths is not begun any more.
                given_up = self._claims[key].began if now == "FAILED" else -1.0
                self.looked[run] = max(self._looks.get((seen.who, run), -1.0), given_up)
            self._end_claim(seen, key)

    def _refuse_second_run(self, seen: Seen, run: int) -> None:
        for (kind, other), state in self._states.items():
            if (
                kind == "run"
                and other != run
                and state == "ONGOING"
                and self._audits[other] == self._audits[run]
            ):
                self._say(
                    seen, f"Audit {self._audits[run]} has the runs {other} and {run} ONGOING."
                )

    def _see_run_begins(self, seen: Seen, run: int, audit: int) -> None:
        key = ("run", run)
        self._begin(seen, key, ("audit", audit))
        claim = self._claims.get(key)
        if claim is not None and claim.holder == seen.who:
            claim.since = seen.at
            if claim.beside:
                self._say(seen, f"Run {run} begins while the plans {claim.beside} are under way.")

    def _see_run_ends(self, seen: Seen, run: int, audit: int) -> None:
        self._end(seen, ("run", run))

    def _see_look(self, seen: Seen, audit: str, seed: int, level: Any) -> None:
        self._looks[seen.who, self._uuids[seed]] = seen.at

    def _see_audit_events(self, seen: Seen, event: int, old: Row, new: Row) -> None:
        """Events join a run that waits, or one that is being claimed."""
        run = new and new["run_id"]
        if run is None or (old and old["run_id"] == run):
            return
        state, claim = self._states[("run", run)], self._claims.get(("run", run))
        claimed_now = claim and (claim.holder, claim.extended) == (seen.who, seen.at)
        if state != "QUEUED" and not claimed_now:
            self._say(seen, f"Event {event} joins run {run}, which is {state}.")

    # Plans

    def _see_action_plans(self, seen: Seen, plan: int, old: Row, new: Row) -> None:
        key = ("plan", plan)
        self._follow(seen, key, old, new)
        if new is None:
            return
        was, now = old and old["state"], new["state"]
        if now == "CANCELLING":
            self._cancelled.setdefault(plan, seen.at)
        if now == "PENDING" and was != "PENDING":
            self._refuse_second_plan(seen, plan, new["audit_id"])
        if was in ("ONGOING", "CANCELLING") and now in OVER:
            self._holds(seen, key)
            self._ends_of_plans.append(seen.at)

    def _refuse_second_plan(self, seen: Seen, plan: int, audit: int) -> None:
        for (kind, other), state in self._states.items():
            if kind == "plan" and other != plan and state in UNDER_WAY:
                self._say(seen, f"Plan {plan} is to start while plan {other} is {state}.")
        looks = [
            self._looks.get((hand.who, hand.key[1]), seen.at)
            for hand in self._hands
            if hand.who == seen.who and hand.owner == ("audit", audit)
        ]
        last_end = max(self._ends_of_plans, default=-1.0)
        if looks and max(looks) < last_end:
            self._say(
                seen,
                f"Plan {plan} is to start on a look from {max(looks):.3f}, before a plan ended "
                f"at {last_end:.3f}.",
            )

    def _see_action_plan_leases(self, seen: Seen, plan: int, old: Row, new: Row) -> None:
        key = ("plan", plan)
        if new is None:
            self._end_claim(seen, key)
        elif old is None:
            self._claim(seen, key)
        elif old["engine"] != new["engine"]:
            self._take_over(seen, key)
        elif old["lease_expires_at"] != new["lease_expires_at"]:  # not only the number of deaths
            self._extend(seen, key)

    def _see_actions(self, seen: Seen, action: int, old: Row, new: Row) -> None:
        self._follow(seen, ("action", action), old, new)
        if new:
            self._actions[new["action_plan_id"]].add(action)
        if not old or not new:
            return
        plan = new["action_plan_id"]
        if seen.who.startswith("applier"):
            self._holds(seen, ("plan", plan))
        begins = (old["state"], new["state"]) == ("PENDING", "ONGOING")
        late = seen.at > self._cancelled.get(plan, math.inf) + 3 * _NOTICE
        if begins and late and not self._is_excused(seen):
            self._say(seen, f"Action {action} of plan {plan} begins, which was cancelled.")

    # What users do

    def _see_audits(self, seen: Seen, audit: int, old: Row, new: Row) -> None:
        was, now = old and old["state"], new and new["state"]
        if was == "CANCELLED" or (was == "SUSPENDED" and not seen.who.startswith("api")):
            self._say(seen, f"{seen.who} makes audit {audit} {now}, which was {was}.")

    def _see_plan_begins(self, seen: Seen, plan: int) -> None:
        self._begin(seen, ("plan", plan), ("plan", plan))

    def _see_plan_ends(self, seen: Seen, plan: int) -> None:
        self._end(seen, ("plan", plan))

    # The cloud

    def _see_request(
        self, seen: Seen, plan: Any, name: str, arguments: Sequence[Any], busy: bool
    ) -> None:
        own = self._may_ask(seen, plan, name)
        if name != "live_migrate":
            return
        server = arguments[0]
        if (plan, server) in self._arrived and not self._rules.rollback:
            self._say(seen, f"Plan {plan} has server {server} moved once more.")
        self._moving[server], self._asked[server] = own, plan

    def _see_refused(
        self, seen: Seen, plan: Any, name: str, arguments: Sequence[Any], busy: bool, why: str
    ) -> None:
        own = self._may_ask(seen, plan, name)
        # An engine whose clock is more than a minute ahead of the cloud's may not know of it.
        unknown = self._rules.clocks > 60.0
        if busy and own and self._moving.get(arguments[0]) and not unknown:
            self._say(seen, f"{seen.who} asks for a second migration of server {arguments[0]}.")

    def _see_moved(self, seen: Seen, server: str, destination: str, end: str) -> None:
        self._moving.pop(server, None)
        if end == "arrives":
            self._arrived.add((self._asked.get(server), server))

    def _may_ask(self, seen: Seen, plan: Any, name: str) -> bool:
        """Whether the process holds the plan of its request."""
        if plan is None:
            return False
        claim = self._claims.get(("plan", plan))
        if claim is not None and claim.holder == seen.who:
            return True
        # When all its actions are over, its next holder is about to enable the same hosts.
        over = self._states.get(("plan", plan)) != "ONGOING" or all(
            self._states[("action", each)] in OVER for each in self._actions[plan]
        )
        if not (self._is_excused(seen) or (name == "enable" and over)):
            self._say(seen, f"{seen.who} still asks for {name} for plan {plan}, which it lost.")
        return False


def seconds(since: str, until: str) -> float:
    """The seconds between two times of the database."""
    times = [datetime.datetime.fromisoformat(each) for each in (since, until)]
    return (times[1] - times[0]).total_seconds()


def _name(key: tuple[str, int]) -> str:
    return f"{key[0]} {key[1]}"
