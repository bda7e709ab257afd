# SPDX-License-Identifier: Apache-2.0
"""Checks the moves of a plan against the present cloud before the plan begins.

An action that cannot be done any more is SKIPPED, with the reason, and so is an action that needs
the room that a skipped move would have freed.  A plan whose actions conflict with each other,
whatever the state of the cloud, is refused.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from oslo_log import log
from sqlalchemy.orm import Session

from watcher.cloud.compute import Compute, Server
from watcher.common.errors import Conflict, NotFound, WatcherError
from watcher.common.states import ActionState
from watcher.db import plan_execution
from watcher.db.disabled_hosts import BY_HAND
from watcher.db.plan_execution import HeldAction, HeldPlan
from watcher.db.session import Database
from watcher.model import plan_checker
from watcher.model.plan_checker import CLOUD, GRAPH, REMOVALS, Cluster, Task
from watcher.notifications import Notifications

LOG = log.getLogger(__name__)

_AT_ONCE = 7
"""How many requests to nova run at once, besides three for the hosts: a session keeps ten
connections."""


def recheck(
    plan: HeldPlan, compute: Compute, database: Database, notifications: Notifications
) -> HeldPlan:
    """The plan without the actions that cannot be done any more; these become SKIPPED in the
    database.

    A plan of which some action has begun is returned as it is.  Conflict if it is refused;
    LostClaim if it is no longer held.  If the cloud does not answer, the plan stays as it is: each
    action looks at its own server and host before it begins.
    """
    tasks = [_task(step) for step in plan.steps]
    untouched = all(step.state in (ActionState.PENDING, ActionState.SKIPPED) for step in plan.steps)
    if plan.strategy == BY_HAND or not untouched or not any(map(_moves, tasks)):
        return plan
    try:
        stale = stale_tasks(tasks, read(tasks, compute))
    except Conflict:
        raise
    except WatcherError as error:
        LOG.warning("Action plan %s begins unchecked: %s", plan.uuid, error)
        return plan
    if not stale:
        return plan
    steps = {step.uuid: step for step in plan.steps if step.uuid in stale}
    database.write(lambda session: _skip(session, plan, steps.values(), stale))
    notifications.send(
        "action.update", *(step.id for step in steps.values()), old_state=ActionState.PENDING
    )
    for uuid, why in stale.items():
        LOG.warning("Action %s of plan %s is skipped: %s", uuid, plan.uuid, why)
    left = [
        dataclasses.replace(step, state=ActionState.SKIPPED) if step.uuid in stale else step
        for step in plan.steps
    ]
    return dataclasses.replace(plan, steps=left)


def read(tasks: Sequence[Task], compute: Compute) -> Cluster:
    """The part of the cloud that the moves of a plan concern: their servers and destinations, all
    groups, the hosts of the other members of these servers' groups, and the servers that the plan
    deletes or shelves.

    Servers that leave the same host are read in one list.  The servers on a destination are read
    only if its usage in placement is not known.
    """
    moves = [task.parameters for task in tasks if _moves(task)]
    uuids, destinations = (
        {str(move.get(name) or "") for move in moves} - {""}
        for name in ("resource_id", "destination_node")
    )
    leaving = Counter(str(move.get("source_node") or "") for move in moves)
    shared_sources = {name for name, number in leaving.items() if name and number > 1}
    removals = (task.parameters for task in tasks if task.action_type in REMOVALS)
    single = {str(each.get("resource_id")) for each in removals} | uuids & {
        move.get("resource_id") for move in moves if move.get("source_node") not in shared_sources
    }
    with ThreadPoolExecutor(_AT_ONCE, "recheck") as pool:
        reading = pool.submit(compute.server_groups)
        on_sources = pool.map(compute.servers_on, sorted(shared_sources))
        singles = pool.map(lambda uuid: _server(compute, uuid), sorted(single))
        hosts = {host.hostname: host for host in compute.some_hosts(destinations)}
        unknown = {name for name, host in hosts.items() if not host.used}
        on_destinations = pool.map(compute.servers_on, sorted(unknown - shared_sources))
        servers = {
            server.uuid: server for each in (*on_sources, *on_destinations) for server in each
        }
        groups = [group for group in reading.result() if not uuids.isdisjoint(group.members)]
        others = uuids.union(*(group.members for group in groups)) - servers.keys() - single
        found = *singles, *pool.map(lambda uuid: _server(compute, uuid), sorted(others))
        return Cluster(hosts, servers | {each.uuid: each for each in found if each}, groups)


def stale_tasks(tasks: Sequence[Task], cluster: Cluster) -> Mapping[str, str]:
    """Uuid of each action that cannot be done any more, to the reason.  Conflict for a plan that
    breaks rules in any cloud."""
    stale: dict[str, str] = {}
    while True:
        left = [_without(task) if task.uuid in stale else task for task in tasks]
        faults = plan_checker.faults(left, cluster)
        refused = next((fault for fault in faults if fault.kind == GRAPH), None)
        if refused:
            raise Conflict(f"The plan is refused: action {refused.uuid}: {refused.sentence}")
        # Faults of the kind SERVER are left to the actions, which look at their servers when they
        # begin.
        more = {fault.uuid: fault.sentence for fault in reversed(faults) if fault.kind == CLOUD}
        if not more:
            return stale
        stale |= more


def _server(compute: Compute, uuid: str) -> Server | None:
    try:
        return compute.server(uuid)
    except NotFound:
        return None


def _skip(
    session: Session, plan: HeldPlan, steps: Iterable[HeldAction], why: Mapping[str, str]
) -> None:
    for step in steps:
        message = f"Action skipped automatically: {why[step.uuid]}"
        plan_execution.move_action(session, plan, step, ActionState.SKIPPED, message)


def _task(step: HeldAction) -> Task:
    task = Task(step.uuid, step.action_type, step.parameters, step.parents)
    return task if step.state == ActionState.PENDING else _without(task)


def _without(task: Task) -> Task:
    """A task that does nothing, in place of one that is skipped, so that the order of the others
    stays."""
    return task._replace(action_type="")


def _moves(task: Task) -> bool:
    return task.action_type == "migrate"
