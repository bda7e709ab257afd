# SPDX-License-Identifier: Apache-2.0
"""openstack optimize service status: the state of Watcher on one screen."""

import argparse
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from osc_watcher import commands
from osc_watcher.commands import Field

_ENGINE, _APPLIER = "watcher-decision-engine", "watcher-applier"
_AT_MOST = 10
"""The most plans that are shown, so that all fits on one screen."""


def _nodes(nodes: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(map(_node, nodes)) or "MISSING: none has ever been started"


def _node(node: Mapping[str, Any]) -> str:
    seen = "never seen" if node["seen"] is None else f"seen {node['seen']:g} s ago"
    models = [f"{model} model read {age:g} s ago" for model, age in node["models"].items()]
    return ", ".join([f"{node['host']} {node['status']}", seen, *models])


def _events(events: Mapping[str, Any]) -> str:
    return _number(events["waiting"], events["oldest"])


def _runs(runs: Mapping[str, Any]) -> str:
    return _number(runs["ongoing"], runs["oldest"])


def _number(number: int, oldest: float) -> str:
    return f"{number}, the oldest for {oldest:g} s" if number else "0"


def _queue(waiting: Mapping[str, Mapping[str, Any]]) -> str:
    lines = []
    for reason, each in waiting.items():
        late = f", the first {each['late']:g} s late" if each["late"] else ""
        lines.append(f"{each['number']} {reason}{late}")
    return "\n".join(lines)


def _states(plans: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {state}" for state, number in plans.items())


def _plans(plans: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        f"{plan['uuid']} {plan['state']} of {plan['audit']}: "
        f"{plan['actions_ended']} of {plan['actions']} actions ended"
        for plan in plans[:_AT_MOST]
    ]
    more = [f"and {len(plans) - _AT_MOST} more"] if len(plans) > _AT_MOST else []
    return "\n".join(lines + more)


class ServiceStatus(commands.ShowOne):
    """Show which services are alive, what waits, and what is under way."""

    FIELDS = (
        Field("API", "api"),
        Field("Decision Engines", "engines", _nodes),
        Field("Appliers", "appliers", _nodes),
        Field("Events Waiting", "events", _events),
        Field("Runs Under Way", "runs", _runs),
        Field("Runs Waiting", "queue", _queue),
        Field("Action Plans", "plans", _states),
        Field("Plans Under Way", "plans_under_way", _plans),
    )

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        answer, status = self.api.send("GET", "services", "status")
        lowest, highest = (
            answer.headers.get(f"OpenStack-API-{end}-Version", "?")
            for end in ("Minimum", "Maximum")
        )
        waiting = status["runs"].pop("waiting")
        services = status["services"]
        return self.shown(
            {
                **status,
                "api": f"{urlsplit(answer.url).netloc}, versions {lowest} to {highest}",
                "engines": [each for each in services if each["name"] == _ENGINE],
                "appliers": [each for each in services if each["name"] == _APPLIER],
                "queue": waiting,
            }
        )
