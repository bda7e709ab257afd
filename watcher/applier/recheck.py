# SPDX-License-Identifier: Apache-2.0
"""Checks the moves of a plan against the present cloud before the plan begins.

An action that the cloud no longer allows is SKIPPED, with the reason.  So is an action that needs
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
from watcher.db.action_plans import PlannedAction
from watcher.db.disabled_hosts import BY_HAND
from watcher.db.plan_execution import HeldAction, HeldPlan
from watcher.db.session import Database
from watcher.model import plan_checker
from watcher.model.plan_checker import CLOUD, GRAPH, REMOVALS, Cluster
from watcher.notifications import Notifications

LOG = log.getLogger(__name__)

_AT_ONCE = 7
"""Requests to nova at once; three more read hosts, and a session has ten connections."""


def recheck(
    plan: HeldPlan, compute: Compute, database: Database, notifications: Notifications
) -> HeldPlan:
    """The plan without the actions that cannot be done any more; these become SKIPPED in the
    database.

    A plan that has begun, was made by hand or has no migrations is returned as it is.  Conflict if
    it is refused; LostClaim if it is no longer held.  If the cloud cannot be read, the plan stays
    as it is: each action looks at its own server and host before it begins.
    """
    checked = [_planned(action) for action in plan.actions]
    untouched = {each.state for each in plan.actions} <= {ActionState.PENDING, ActionState.SKIPPED}
    if plan.strategy == BY_HAND or not untouched or not any(map(_is_migration, checked)):
        return plan
    try:
        stale = stale_actions(checked, read(checked, compute))
    except Conflict:
        raise
    except WatcherError as error:
        LOG.warning("Action plan %s begins unchecked: %s", plan.uuid, error)
        return plan
    if not stale:
        return plan
    skipped = [action for action in plan.actions if action.uuid in stale]
    database.write(lambda session: _skip(session, plan, skipped, stale))
    notifications.send(
        "action.update", *(action.id for action in skipped), old_state=ActionState.PENDING
    )
    for uuid, why in stale.items():
        LOG.warning("Action %s of plan %s is skipped: %s", uuid, plan.uuid, why)
    left = [
        dataclasses.replace(action, state=ActionState.SKIPPED) if action.uuid in stale else action
        for action in plan.actions
    ]
    return dataclasses.replace(plan, actions=left)


def read(actions: Sequence[PlannedAction], compute: Compute) -> Cluster:
    """The part of the cloud that the moves of a plan concern: their servers, sources and
    destinations, all groups, the hosts of the other members of these servers' groups, and the
    servers that the plan deletes or shelves.

    Servers that leave the same host are read in one list.  The servers on a destination are read
    only if its usage in placement is not known, and traits of destinations only if a server
    requires or forbids any.
    """
    moves = [action.input_parameters for action in actions if _is_migration(action)]
    uuids, destinations = (
        {str(move.get(name) or "") for move in moves} - {""}
        for name in ("resource_id", "destination_node")
    )
    leaving = Counter(str(move.get("source_node") or "") for move in moves)
    shared_sources = {name for name, number in leaving.items() if name and number > 1}
    removals = (action.input_parameters for action in actions if action.action_type in REMOVALS)
    single = {str(each.get("resource_id")) for each in removals} | uuids & {
        move.get("resource_id") for move in moves if move.get("source_node") not in shared_sources
    }
    with ThreadPoolExecutor(_AT_ONCE, "recheck") as pool:
        reading = pool.submit(compute.server_groups)
        on_sources = pool.map(compute.servers_on, sorted(shared_sources))
        singles = pool.map(lambda uuid: _server(compute, uuid), sorted(single))
        found_hosts = compute.some_hosts(destinations, leaving.keys() - destinations - {""})
        hosts = {host.hostname: host for host in found_hosts}
        unknown = {name for name in destinations & hosts.keys() if not hosts[name].used}
        on_destinations = pool.map(compute.servers_on, sorted(unknown - shared_sources))
        servers = {one.uuid: one for each in (*on_sources, *on_destinations) for one in each}
        groups = [group for group in reading.result() if not uuids.isdisjoint(group.members)]
        others = uuids.union(*(group.members for group in groups)) - servers.keys() - single
        found = *singles, *pool.map(lambda uuid: _server(compute, uuid), sorted(others))
        servers |= {each.uuid: each for each in found if each}
        needs = (servers[uuid].needs for uuid in uuids & servers.keys())
        if any(each.required or each.forbidden for each in needs):
            names = sorted(destinations & hosts.keys())
            for name, traits in zip(names, pool.map(compute.traits, names), strict=True):
                hosts[name] = dataclasses.replace(hosts[name], traits=traits)
        return Cluster(hosts, servers, groups)


def stale_actions(actions: Sequence[PlannedAction], cluster: Cluster) -> Mapping[str, str]:
    """Uuid of each action that cannot be done any more, to the reason.  Conflict for a plan that
    breaks rules in any cloud."""
    stale: dict[str, str] = {}
    while True:
        left = [_as_no_op(action) if action.uuid in stale else action for action in actions]
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
    session: Session, plan: HeldPlan, actions: Iterable[HeldAction], why: Mapping[str, str]
) -> None:
    for action in actions:
        message = f"Action skipped automatically: {why[action.uuid]}"
        plan_execution.move_action(session, plan, action, ActionState.SKIPPED, message)


def _planned(action: HeldAction) -> PlannedAction:
    planned = PlannedAction(action.uuid, action.action_type, action.parameters, action.parents)
    return planned if action.state == ActionState.PENDING else _as_no_op(planned)


def _as_no_op(action: PlannedAction) -> PlannedAction:
    """An action that does nothing in place of a skipped one: the others keep their order."""
    return dataclasses.replace(action, action_type="")


def _is_migration(action: PlannedAction) -> bool:
    return action.action_type == "migrate"
