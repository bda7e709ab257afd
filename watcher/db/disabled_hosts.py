# SPDX-License-Identifier: Apache-2.0
"""Which plans have disabled hosts, and whether they were to enable them again."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.common.states import ActionState, PlanState
from watcher.db.models import Action, ActionPlan, Strategy

SWITCH = "change_nova_service_state"
"""The type of action that enables and disables hosts."""

BY_HAND = "actuator"
"""The strategy whose actions a user writes; a host that such an action disables stays disabled."""

_HOST_PARAMETERS = ("resource_id", "resource_name", "source_node", "destination_node")


@dataclasses.dataclass(frozen=True)
class Owner:
    """A plan whose uuid stands in the ``disabled_reason`` of hosts."""

    state: str
    enables: frozenset[str]
    """Hostnames and uuids of the hosts that its actions enable, without SKIPPED actions."""


def enables(action_type: str, parameters: Mapping[str, Any], state: str) -> frozenset[str]:
    """Hostname and uuid of the host that an action enables, if it does so."""
    if (
        action_type != SWITCH
        or parameters.get("state") != "enabled"
        or state == ActionState.SKIPPED
    ):
        return frozenset()
    return names(parameters)


def names(parameters: Mapping[str, Any]) -> frozenset[str]:
    """Hostnames and uuids in the parameters of an action; some may not be of hosts."""
    found = (parameters.get(name) for name in _HOST_PARAMETERS)
    return frozenset(name for name in found if isinstance(name, str) and name)


def owners(session: Session, plan_uuids: Collection[str]) -> Mapping[str, Owner]:
    """The plans with these uuids, by uuid, as far as the database has them; also deleted ones."""
    states = session.execute(
        select(ActionPlan.uuid, ActionPlan.state).where(ActionPlan.uuid.in_(plan_uuids))
    )
    found = {uuid: Owner(state or "", frozenset()) for uuid, state in states if uuid}
    actions = session.execute(
        select(ActionPlan.uuid, Action.action_type, Action.input_parameters, Action.state)
        .join(Action.action_plan)
        .where(ActionPlan.uuid.in_(plan_uuids), Action.action_type == SWITCH)
    )
    for uuid, action_type, parameters, state in actions:
        owner = found[uuid or ""]
        more = enables(action_type or "", parameters or {}, state or "")
        found[uuid or ""] = dataclasses.replace(owner, enables=owner.enables | more)
    return found


def named_under_way(session: Session) -> frozenset[str]:
    """Hostnames and uuids that actions of plans under way name."""
    return _named(session, ActionPlan.state.in_(PlanState.UNDER_WAY))


def set_by_hand(session: Session) -> frozenset[str]:
    """Hostnames and uuids of hosts that users have enabled or disabled by an actuator."""
    by_hand = ActionPlan.strategy.has(Strategy.name == BY_HAND)
    return _named(session, by_hand, Action.action_type == SWITCH)


def _named(session: Session, *conditions: Any) -> frozenset[str]:
    rows = session.scalars(
        select(Action.input_parameters).join(Action.action_plan).where(*conditions)
    )
    return frozenset[str]().union(*(names(parameters or {}) for parameters in rows))
