# SPDX-License-Identifier: Apache-2.0
"""The story: the steps so far, from which pictures are drawn."""

import dataclasses
import datetime
import re
import statistics
import time
from collections.abc import Iterable, Mapping
from typing import Any

Loads = Mapping[str, float]
"""Hostname to percent of CPU."""

OVER = ("SUCCEEDED", "FAILED", "CANCELLED", "SUPERSEDED", "DELETED")

_ALARM = re.compile(r"Alarm (\S+): (.+)")
_ANSWER = re.compile(r"Alarm \S+ posted to \S+(/v1/webhooks/\S+): answer (\d+)")
_RUN = re.compile(r"Begin run (\S+) of audit \S+, attempt \d+")
_FAILURE = re.compile(r"Failed run \S+ of audit \S+: (.+)")
_PLAN = re.compile(r"End run \S+ of audit \S+: action plan (\S+), (\d+) actions, .*")


def deviation(loads: Loads) -> float:
    """Population standard deviation of loads as fractions, as workload_stabilization has it."""
    return statistics.pstdev(load / 100 for load in loads.values())


@dataclasses.dataclass(frozen=True)
class Step:
    at: float
    """Seconds since the epoch."""
    text: str
    good: bool = True


@dataclasses.dataclass(frozen=True)
class Migration:
    server: str
    source: str
    destination: str
    state: str
    """The state of the action."""
    progress: float
    """0 to 1."""


@dataclasses.dataclass
class Story:
    """The steps so far, from the log of the service, its cloud and the client."""

    threshold: float
    """The threshold of the audit for the standard deviation of host loads."""
    steps: list[Step] = dataclasses.field(default_factory=list)
    waiting: str | None = None
    """The next step, if it takes long."""
    before: Loads = dataclasses.field(default_factory=dict)
    """The loads when the alarm arrived; before that the present loads."""
    now: Loads = dataclasses.field(default_factory=dict)
    migrations: list[Migration] = dataclasses.field(default_factory=list)
    audit: str | None = None
    """Its uuid."""
    alarm: Step | None = None
    """The alarm that was answered with 202."""
    plan: str | None = None
    plan_state: str | None = None
    _places: Mapping[str, str] | None = None
    _unanswered: list[Step] = dataclasses.field(default_factory=list)
    """An alarm and the steps until its answer, which may be a 404."""

    def add(self, text: str, at: float | None = None, good: bool = True) -> None:
        self.steps.append(Step(time.time() if at is None else at, text, good))

    def take_cloud(self, cloud: Mapping[str, Any]) -> None:
        """Take the loads from the cloud.  They are the loads before the plan until a server arrives
        on a host."""
        places = {uuid: server["host"] for uuid, server in cloud["servers"].items()}
        self._places = self._places or places
        self.now = {host["hostname"]: host["cpu"] for host in cloud["hosts"]}
        if places == self._places:
            self.before = self.now

    def take_audit(self, audit: Mapping[str, Any]) -> None:
        """Take the audit that was created, from the output of the client."""
        self.audit = audit["UUID"]
        created = datetime.datetime.fromisoformat(audit["Created At"]).timestamp()
        self.add(f"Audit {self.audit} is {audit['State']}", created)

    def take_log(self, at: float, line: str) -> None:
        """Take a line of the service's log.  The first line of a kind counts.

        A run may begin, and end, before its alarm is answered.
        """
        if self.plan is not None and self.alarm is not None:
            return
        if match := _ALARM.fullmatch(line):
            if self.alarm is None:
                self._unanswered = [Step(at, f"Alarm {match[1]}: {match[2]}")]
        elif match := _ANSWER.fullmatch(line):
            self._take_answer(Step(at, f"POST {match[1]} is answered {match[2]}"), match[2])
        elif match := _RUN.fullmatch(line):
            self._add(Step(at, f"Run {match[1]} of the audit begins"))
        elif match := _FAILURE.fullmatch(line):
            self._add(Step(at, f"The run failed: {match[1]}", good=False))
        elif (match := _PLAN.fullmatch(line)) and self.plan is None:
            self.plan = match[1]
            alarm = self.alarm or self._unanswered[0]
            since = f"{(at - alarm.at) * 1000:.0f} ms after the alarm"
            self._add(Step(at, f"Action plan {self.plan}: {match[2]} migrations, {since}"))

    def _take_answer(self, answer: Step, status: str) -> None:
        """Take the answer to an alarm.  404: there was no audit yet."""
        if status == "202" and self.alarm is None:
            self.alarm = self._unanswered[0]
            self.steps += [*self._unanswered, answer]
        elif status not in ("202", "404"):
            self.add(answer.text, answer.at, good=False)
        self._unanswered = []

    def _add(self, step: Step) -> None:
        (self._unanswered or self.steps).append(step)

    def take_actions(self, actions: Iterable[Any], under_way: Mapping[str, float]) -> None:
        """Take the plan's actions from the client, and the progress of migrations, by server."""
        self.migrations = [
            Migration(
                server=action.input_parameters["resource_name"],
                source=action.input_parameters["source_node"],
                destination=action.input_parameters["destination_node"],
                state=action.state,
                progress=1.0
                if action.state in OVER
                else under_way.get(action.input_parameters["resource_id"], 0.0),
            )
            for action in actions
            if action.action_type == "migrate"
        ]
