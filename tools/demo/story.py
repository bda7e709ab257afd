# SPDX-License-Identifier: Apache-2.0
"""What has happened so far; pictures are drawn from it."""

import dataclasses
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
    """Of the action."""
    progress: float
    """0 to 1."""


@dataclasses.dataclass
class Story:
    """Grows by what the log of the service, its cloud and the client tell."""

    threshold: float
    """Of the audit: the standard deviation of host loads that it wants to be below."""
    steps: list[Step] = dataclasses.field(default_factory=list)
    waiting: str | None = None
    """What happens next, if it takes a while."""
    before: Loads = dataclasses.field(default_factory=dict)
    """When the alarm came; until then the present loads."""
    now: Loads = dataclasses.field(default_factory=dict)
    migrations: list[Migration] = dataclasses.field(default_factory=list)
    alarm: Step | None = None
    answer: Step | None = None
    run: Step | None = None
    plan: str | None = None
    plan_at: float = 0.0
    plan_size: int = 0
    plan_state: str | None = None
    _places: Mapping[str, str] | None = None
    _reason: Step | None = None

    def tell(self, text: str, at: float | None = None, good: bool = True) -> None:
        self.steps.append(Step(time.time() if at is None else at, text, good))

    def heed_cloud(self, cloud: Mapping[str, Any]) -> None:
        """The loads are those of before as long as no server has arrived anywhere."""
        places = {uuid: server["host"] for uuid, server in cloud["servers"].items()}
        self._places = self._places or places
        self.now = {host["hostname"]: host["cpu"] for host in cloud["hosts"]}
        if places == self._places:
            self.before = self.now

    def heed_log(self, at: float, line: str) -> None:
        """A line of the service's log.  The first of a kind counts: there is one audit.

        What a run says may come before the answer to its alarm does.
        """
        if match := _ALARM.fullmatch(line):
            self._reason = Step(at, f"Alarm {match[1]}: {match[2]}")
        elif match := _ANSWER.fullmatch(line):
            self._heed_answer(Step(at, f"POST {match[1]} is answered {match[2]}"), match[2])
        elif match := _RUN.fullmatch(line):
            self.run = self.run or Step(at, f"Run {match[1]} of the audit begins")
        elif match := _FAILURE.fullmatch(line):
            self.tell(f"The run failed: {match[1]}", at, good=False)
        elif (match := _PLAN.fullmatch(line)) and self.plan is None:
            self.plan, self.plan_size, self.plan_at = match[1], int(match[2]), at

    def _heed_answer(self, answer: Step, status: str) -> None:
        if status == "202" and self.answer is None:
            self.alarm, self.answer = self._reason, answer
        elif status not in ("202", "404"):  # 404: there was no audit yet
            self.tell(answer.text, answer.at, good=False)

    def heed_actions(self, actions: Iterable[Any], under_way: Mapping[str, float]) -> None:
        """The plan's actions, as the client has them, and migrations by server uuid."""
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
