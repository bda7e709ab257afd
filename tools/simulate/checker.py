# SPDX-License-Identifier: Apache-2.0
"""Checks a simulation by rules of its own, which use none of the code that ran."""

import collections
import dataclasses
import functools
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from tools.simulate.history import Seen
from tools.simulate.judge import OVER, UNDER_WAY, Judge, Rules, seconds
from tools.simulate.limits import Limits

Row = Mapping[str, Any]

_SLOW = 60.0
"""The most seconds that an alarm takes, in the slowest process."""

_LASTING = re.compile(r"max_run_seconds| died, \d+ times in a row")
"""Why a run that has looked at the cloud for an alarm may fail."""

_DEATHS = re.compile(r" died, (\d+) times in a row")

_UNEXPECTED = re.compile(r"\w+(Error|Exception): ")


class Host(NamedTuple):
    name: str
    reason: str | None
    """Why it is disabled; None: it is enabled."""
    servers: int


@dataclasses.dataclass(frozen=True)
class Rows:
    """The tables at the end."""

    audits: Sequence[Row]
    runs: Sequence[Row]
    plans: Sequence[Row]
    actions: Sequence[Row]
    events: Sequence[Row]
    webhooks: Sequence[Row]

    @classmethod
    def read(cls, ask: Callable[[str], list[tuple[Any, ...]]]) -> "Rows":
        def table(name: str, columns: str) -> list[Row]:
            names = columns.split()
            found = ask(f"SELECT {', '.join(names)} FROM {name} ORDER BY id")
            return [dict(zip(names, row, strict=True)) for row in found]

        return cls(
            table("audits", "id uuid state status_message"),
            table(
                "audit_runs",
                "id audit_id state action_plan_id parameters status_message created_at started_at "
                "finished_at",
            ),
            table("action_plans", "id audit_id uuid state status_message updated_at"),
            table("actions", "id action_plan_id input_parameters state status_message"),
            table("audit_events", "id decision inbox run_id audit_id received_at"),
            table("webhooks", "audit_id debounce cooldown"),
        )


def waits(rows: Rows) -> list[str]:
    """Runs, events and plans that have not ended."""
    found = [f"Run {row['id']} is {row['state']}." for row in rows.runs if row["state"] not in OVER]
    found += [
        f"Plan {row['id']} is {row['state']}." for row in rows.plans if row["state"] in UNDER_WAY
    ]
    over = {row["id"] for row in rows.plans if row["state"] in OVER - {"SUPERSEDED"}}
    found += [
        f"Plan {row['action_plan_id']} is over, and its action {row['id']} is {row['state']}."
        for row in rows.actions
        if row["state"] not in OVER and row["action_plan_id"] in over
    ]
    found += [
        f"Event {row['id']} is in the inbox."
        for row in rows.events
        if row["inbox"] is not None or row["decision"] == "ACCEPTED"
    ]
    found += [
        f"Audit {row['id']} is {row['state']}." for row in rows.audits if row["state"] == "ONGOING"
    ]
    return found


def left_disabled(rows: Rows, hosts: Sequence[Host]) -> list[str]:
    """Hosts that are disabled and should not be."""
    enabled = collections.defaultdict(set)
    uuids = {row["id"]: row["uuid"] for row in rows.plans}
    for action in rows.actions:
        parameters = json.loads(action["input_parameters"])
        if parameters.get("state") == "enabled" and action["state"] != "SKIPPED":
            enabled[uuids[action["action_plan_id"]]].add(parameters["resource_name"])
    found = []
    for host in hosts:
        if host.reason and host.name in enabled[host.reason.rpartition(" ")[2]]:
            found.append(f"Host {host.name} was disabled for a while and still is: {host.reason}.")
        elif host.reason and host.servers:
            found.append(f"Host {host.name} is disabled and has servers: {host.reason}.")
    return found


def check(history: Sequence[Seen], rows: Rows, hosts: Sequence[Host], rules: Rules) -> list[str]:
    """Sentences that say what was violated; none if nothing was."""
    judge, limits = Judge(rules), Limits(rules)
    for seen in history:
        judge.hear(seen)
        limits.hear(seen)
    return [
        *judge.found,
        *limits.found,
        *_given_up(rows, limits),
        *waits(rows),
        *left_disabled(rows, hosts),
        *_unhandled(history, rows, judge.looked),
        *_without_run(rows),
        *_unexpected_errors(rows),
        *_too_early(rows, rules.apart),
        *_held_up(history),
    ]


def _unhandled(history: Sequence[Seen], rows: Rows, looked: Mapping[int, float]) -> Sequence[str]:
    """Accepted alarms for which no run has read the cloud, and alarms without an answer."""
    posts: dict[str, Seen] = {}
    answered: dict[str, str] = {}
    for seen in history:
        if seen.what == "post":
            posts.setdefault(seen.facts[0], seen)
        elif seen.what in ("202", "declined"):
            answered[seen.facts[0]] = seen.what
    audits = {row["uuid"]: row for row in rows.audits}
    found = []
    for key, post in posts.items():
        audit, level = audits[post.facts[1]], post.facts[2]
        covers = functools.partial(_covers, audit["id"], level, looked, post.at)
        if key not in answered:
            found.append(f"The alarm {key} was never answered.")
        elif (answered[key], audit["state"]) == ("202", "CANCELLED"):
            continue  # nothing else had to be done for it
        elif answered[key] == "202" and not any(map(covers, rows.runs)):
            found.append(
                f"No run of audit {audit['id']} with level {level} looked at the cloud after the "
                f"alarm {key}, posted at {post.at:.3f}."
            )
    return found


def _covers(
    audit: int, level: Any, looked: Mapping[int, float], posted_at: float, run: Row
) -> bool:
    over = run["state"] == "SUCCEEDED" or (
        run["state"] == "FAILED" and _LASTING.search(run["status_message"] or "")
    )
    parameters = json.loads(run["parameters"] or "{}")
    return (
        over
        and run["audit_id"] == audit
        and parameters.get("level") == level
        and looked.get(run["id"], -1.0) >= posted_at
    )


def _without_run(rows: Rows) -> list[str]:
    """Plans that no run, or more than one, has written."""
    writers = collections.Counter(row["action_plan_id"] for row in rows.runs)
    return [
        f"Plan {row['id']} is of {writers[row['id']]} runs."
        for row in rows.plans
        if writers[row["id"]] != 1
    ]


def _unexpected_errors(rows: Rows) -> list[str]:
    """Rows that ended with an unexpected error."""
    return [
        f"{what} {row['id']} is {row['state']}: {row['status_message']}"
        for what, table in (("Run", rows.runs), ("Plan", rows.plans), ("Action", rows.actions))
        for row in table
        if _UNEXPECTED.search(row["status_message"] or "")
    ]


def _too_early(rows: Rows, apart: float) -> Iterator[str]:
    """Runs that began within the debounce of their event or the cooldown of their audit, by clocks
    that are up to *apart* seconds apart."""
    webhooks = {row["audit_id"]: row for row in rows.webhooks}
    queued = {
        row["run_id"]: row["received_at"] for row in rows.events if row["decision"] == "QUEUED"
    }
    ends = {row["id"]: row["updated_at"] for row in rows.plans if row["state"] != "SUPERSEDED"}
    last: dict[int, str] = {}
    for run in rows.runs:
        audit, began = run["audit_id"], run["started_at"]
        if began is None or audit not in webhooks:
            continue
        received = min(queued.get(run["id"], ""), run["created_at"])
        for what, since in (("debounce", received), ("cooldown", last.get(audit))):
            wanted = webhooks[audit][what]
            if since and wanted and seconds(since, began) < wanted - apart - 0.001:
                yield f"Run {run['id']} began at {began}, within the {what} since {since}."
        if run["state"] in ("SUCCEEDED", "FAILED"):
            last[audit] = max(run["finished_at"], ends.get(run["action_plan_id"]) or "")


def _given_up(rows: Rows, limits: Limits) -> Iterator[str]:
    """Runs and plans that failed because of more deaths than there were."""
    for kind, table in (("run", rows.runs), ("plan", rows.plans)):
        for row in table:
            match = _DEATHS.search(row["status_message"] or "")
            most = limits.most_deaths((kind, row["id"]), row["audit_id"])
            if match and row["state"] == "FAILED" and int(match[1]) > most:
                yield f"{kind.title()} {row['id']} is given up after {most} deaths: {match[0]}."


def _held_up(history: Sequence[Seen]) -> Iterator[str]:
    """Alarms that waited for a thread that hung, with the rest of the process working."""
    hung: dict[str, float] = {}
    requests: dict[tuple[Any, ...], float] = {}
    for seen in history:
        if seen.what == "receives":
            requests[seen.facts] = seen.at
        elif seen.what == "received":
            del requests[seen.facts]
        elif seen.what == "hangs":
            hung[seen.who] = seen.at
        elif seen.what == "freezes":
            hung.pop(seen.facts[0], None)
        elif seen.what == "goes on":
            since = hung.pop(seen.who, math.inf)
            for (alarm, process, *_), at in requests.items():
                if process == seen.who and since + 1.0 < at < seen.at - _SLOW:
                    yield f"The alarm {alarm} has waited since {at:.3f} for a thread that hung."
