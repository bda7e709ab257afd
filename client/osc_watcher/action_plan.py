# SPDX-License-Identifier: Apache-2.0
"""openstack optimize actionplan explain: what a plan moves, why, and what it leaves."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from watcherclient import exceptions

from osc_watcher import commands
from osc_watcher.commands import Field

_TO = ("destination_node", "destination_type", "flavor", "state")
"""Parameters of actions that name the new host, type, flavor or state of their resource."""
_APART = ("gain", "failed_moves", "undone", "review")
"""Members of a summary that are no figures."""


def _action(action: Mapping[str, Any]) -> dict[str, Any]:
    given = action["input_parameters"] or {}
    return {
        "uuid": action["uuid"],
        "action": action["action_type"],
        "resource": given.get("resource_name") or given.get("resource_id"),
        "from": given.get("source_node"),
        "to": next((given[name] for name in _TO if given.get(name)), None),
        "state": action["state"],
        "reason": action.get("reason"),
        "status_message": action.get("status_message"),
    }


def _move(action: Mapping[str, Any]) -> Iterable[str]:
    way = action["to"] or ""
    if action["from"]:
        way = f"{action['from']} -> {action['to'] or 'where the scheduler puts it'}"
    what = " ".join(filter(None, (action["action"], action["resource"])))
    yield f"{', '.join(filter(None, (f'{what}: {way}' if way else what, action['state'])))}"
    for sentence in (action["reason"], action["status_message"]):
        if sentence:
            yield f"    {sentence}"


def _moves(actions: Sequence[Mapping[str, Any]]) -> str:
    return "\n".join(line for action in actions for line in _move(action)) or "none"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figures(figures: Mapping[str, Mapping[str, Any]]) -> str:
    return "\n".join(
        f"{name}: {_number(figure['before'])} -> {_number(figure['after'])}"
        + (f", realised {_number(figure['realised'])}" if "realised" in figure else "")
        for name, figure in figures.items()
    )


def _percent(gain: Mapping[str, Any] | None) -> str:
    return f"{_number(gain['percent'])} %" if gain else ""


def _undone(undone: Mapping[str, Any] | None) -> str:
    return undone["sentence"] if undone else "nothing"


def _failed(moves: Sequence[Mapping[str, Any]] | None) -> str:
    return "\n".join(
        f"{move['server']}: {move['failures']} failures, tried again {move['tried_again']} UTC: "
        f"{move['reason']}"
        for move in moves or ()
    )


def _review(review: Mapping[str, Any] | None) -> str:
    if not review:
        return ""
    return review.get("message") or f"due at {review['due_at']} UTC"


class ExplainActionPlan(commands.ShowOne):
    """Show what a plan moves from where to where and why, and what it leaves undone."""

    FIELDS = (
        Field("UUID", "uuid"),
        Field("Audit", "audit_uuid"),
        Field("Strategy", "strategy_name"),
        Field("State", "state"),
        Field("Status Message", "status_message"),
        Field("Created At", "created_at"),
        Field("Before And After", "figures", _figures),
        Field("Gain", "gain", _percent),
        Field("Left Undone", "undone", _undone),
        Field("Not Tried Again Yet", "failed_moves", _failed),
        Field("Review", "review", _review),
        # Last, because they may be many.
        Field("Actions", "actions", _moves),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument(
            "action_plan", metavar="<action-plan>", nargs="?", help="UUID of the action plan."
        )
        which.add_argument(
            "--audit", metavar="<audit>", help="Name or UUID of an audit, for its newest plan."
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        uuid = parsed_args.action_plan or self._newest(parsed_args.audit)
        plan = self.api.get("action_plans", uuid)
        actions = self.api.items("actions", "detail", limit=0, action_plan_uuid=plan["uuid"])
        summary = plan.get("summary") or {}
        figures = {name: each for name, each in summary.items() if "before" in each}
        apart = {name: summary.get(name) for name in _APART}
        return self.shown(
            {**plan, **apart, "actions": [_action(each) for each in actions], "figures": figures}
        )

    def _newest(self, audit: str) -> str:
        plans = self.api.items(
            "action_plans", limit=1, audit_uuid=audit, sort_key="created_at", sort_dir="desc"
        )
        if not plans:
            raise exceptions.CommandError(f"The audit {audit} has no action plan.")
        uuid: str = plans[0]["uuid"]
        return uuid
