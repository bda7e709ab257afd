# SPDX-License-Identifier: Apache-2.0
"""Makes a plan from a solution, and checks that no order of its actions breaks a rule of the
cloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from watcher.common.errors import Invalid
from watcher.db.action_plans import PlannedAction
from watcher.decision_engine.planners import Planner
from watcher.decision_engine.solution import ProposedAction, Solution
from watcher.decision_engine.strategies.base import Inputs, Strategy
from watcher.model import plan_checker, wishes
from watcher.model.plan_checker import Cluster, Fault
from watcher.model.undone import Undone

if TYPE_CHECKING:
    from watcher.model.compute import ComputeModel


def plan(
    strategy: type[Strategy], solution: Solution, inputs: Inputs, planner: Planner
) -> Sequence[PlannedAction]:
    """The plan for a solution.  Invalid, with the action that breaks a rule.

    Such a fault of the strategy or the planner is lasting: another attempt would repeat it.
    """
    if not (strategy.checked and _migrations(solution.actions)):
        return planner.plan(solution)
    cloud, scoped = inputs.cloud(), inputs.compute_model()
    actions = planner.plan(solution, cloud.groups)
    cluster = Cluster(
        {host.hostname: host for host in cloud.hosts},
        cloud.server_of,
        cloud.groups,
        {
            move["resource_id"]
            for move in _migrations(actions)
            if not _movable(scoped, move["resource_id"])
        },
    )
    per_host = getattr(planner.settings, "migrations_per_host", None)
    faults = plan_checker.faults(actions, cluster, per_host)
    if faults:
        raise Invalid(_sentence(strategy, actions, faults))
    return actions


def _migrations(actions: Iterable[ProposedAction | PlannedAction]) -> list[Mapping[str, Any]]:
    """The parameters of the migrations among *actions*."""
    return [each.input_parameters for each in actions if each.action_type == "migrate"]


def _movable(model: ComputeModel, uuid: str) -> bool:
    position = model.position(uuid)
    return position is not None and bool(model.movable[position])


def unproven(strategy: type[Strategy], actions: Sequence[PlannedAction]) -> int:
    """The number of moves that cannot be checked, because the scheduler chooses the destination."""
    if not strategy.checked:
        return 0
    return sum(not move.get("destination_node") for move in _migrations(actions))


def broken_wishes(strategy: type[Strategy], solution: Solution, inputs: Inputs) -> list[Undone]:
    """The wishes of soft groups that the moves break; those without a destination are left out."""
    ends = {
        move["resource_id"]: move["destination_node"]
        for move in _migrations(solution.actions)
        if move.get("destination_node")
    }
    if not (strategy.checked and ends):
        return []
    cloud = inputs.cloud()
    return wishes.broken(cloud.groups, cloud.server_of, ends)


def _sentence(
    strategy: type[Strategy], actions: Sequence[PlannedAction], faults: Sequence[Fault]
) -> str:
    fault = faults[0]
    number = next(index for index, each in enumerate(actions, 1) if each.uuid == fault.uuid)
    action = actions[number - 1]
    what = action.input_parameters
    server = what.get("resource_name") or what.get("resource_id")
    where = f"from {what.get('source_node')} to {what.get('destination_node') or 'any host'}"
    return (
        f"Strategy {strategy.name} made a plan that breaks a rule, in action {number} of "
        f"{len(actions)}, {action.action_type} {server} {where}: {fault.sentence}"
        f"{f' It has {len(faults)} faults in all.' if len(faults) > 1 else ''}"
    )
