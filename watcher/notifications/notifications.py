# SPDX-License-Identifier: Apache-2.0
"""One method for each thing that may be told, called after the commit that made it true.

No method waits for the broker or fails its caller, and while nobody listens (no
driver, or a ``notification_level`` above the event's) none reads anything.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

import oslo_messaging
from oslo_config import cfg
from oslo_log import log
from sqlalchemy.orm import Session

from watcher import rpc
from watcher.common.states import ActionState, ServiceState
from watcher.db.models import Action, ActionPlan, Audit, Review, Service
from watcher.db.session import Database
from watcher.notifications import payloads, rows
from watcher.notifications.events import EVENTS, PRIORITIES
from watcher.notifications.outbox import Notification, Outbox
from watcher.notifications.payloads import Payload

LOG = log.getLogger(__name__)

_STOP_TIMEOUT = 5.0
"""Seconds that a stopping service gives the broker to take the last messages."""

Row = TypeVar("Row")
Extra = Callable[[Any], dict[str, Any]]


class Notifications:
    """Tells consumers on the message bus about audits, plans, actions and services.

    Rows are named by their id and read again, in one statement, so that a payload
    says what was committed.  Without a driver in ``[oslo_messaging_notifications]``,
    the default, every method is a no-op.
    """

    def __init__(
        self,
        conf: cfg.ConfigOpts,
        database: Database,
        transport: oslo_messaging.Transport | None = None,
    ) -> None:
        self._database = database
        self._outbox: Outbox | None = None
        self._wanted: frozenset[str] = frozenset()
        if not conf.notification_level:
            return
        transport = transport or rpc.notification_transport(conf)
        if not conf.oslo_messaging_notifications.driver:
            return
        self._wanted = frozenset(PRIORITIES[PRIORITIES.index(conf.notification_level) :])
        self._outbox = Outbox(
            oslo_messaging.Notifier(transport, f"infra-optim:{conf.host}", retry=_retry(conf))
        )

    @property
    def enabled(self) -> bool:
        return self._outbox is not None

    def stop(self) -> None:
        """Send what is left, unless the broker takes too long."""
        if self._outbox is not None:
            self._outbox.stop(_STOP_TIMEOUT)

    def audit_created(self, audit_id: int) -> None:
        self._audit("audit.create", audit_id)

    def audit_updated(self, audit_id: int, old_state: str | None = None) -> None:
        """*old_state* only if the state is what changed."""
        self._audit("audit.update", audit_id, _moved("AuditStateUpdatePayload", old_state))

    def audit_deleted(self, audit_id: int) -> None:
        self._audit("audit.delete", audit_id)

    def audit_strategy(self, audit_id: int) -> AbstractContextManager[None]:
        """Tells of the start of what is done inside, and of its end or error."""
        return self._audit_phase("audit.strategy", audit_id)

    def audit_planner(self, audit_id: int) -> AbstractContextManager[None]:
        """Tells of the start of what is done inside, and of its end or error."""
        return self._audit_phase("audit.planner", audit_id)

    def action_plan_created(self, plan_id: int) -> None:
        """The plan, then each of its actions."""
        self._plans("action_plan.create", [plan_id])
        self._tell_actions("action.create", lambda session: rows.actions_of(session, plan_id))

    def action_plan_updated(self, *plan_ids: int, old_state: str | None = None) -> None:
        extra = _moved("ActionPlanStateUpdatePayload", old_state)
        self._plans("action_plan.update", plan_ids, extra)

    def action_plan_reviewed(self, plan_id: int) -> None:
        """The plan, with what it promised and what it did."""

        def read(session: Session) -> Iterable[tuple[ActionPlan, Review]]:
            (plan,) = rows.action_plans(session, [plan_id])
            return [(plan, rows.review(session, plan_id))]

        self._tell(
            "action_plan.review",
            read,
            lambda name, both: payloads.action_plan(
                name, both[0], {"review": payloads.review(both[1])}
            ),
        )

    def action_plan_deleted(self, plan_id: int) -> None:
        """Each action, then the plan."""
        self._tell_actions("action.delete", lambda session: rows.actions_of(session, plan_id))
        self._plans("action_plan.delete", [plan_id])

    def action_plan_execution_started(self, plan_id: int) -> None:
        self._plans("action_plan.execution.start", [plan_id], _fault(None))

    def action_plan_execution_ended(self, plan_id: int) -> None:
        self._plans("action_plan.execution.end", [plan_id], _fault(None))

    def action_plan_execution_failed(self, plan_id: int, error: Exception | None = None) -> None:
        """*error* if the engine failed; none if an action did, which told its own."""
        self._plans("action_plan.execution.error", [plan_id], _fault(error))

    def action_plan_cancel_started(self, plan_id: int) -> None:
        self._plans("action_plan.cancel.start", [plan_id], _fault(None))

    def action_plan_cancel_ended(self, plan_id: int) -> None:
        self._plans("action_plan.cancel.end", [plan_id], _fault(None))

    def action_plan_cancel_failed(self, plan_id: int, error: Exception | None = None) -> None:
        self._plans("action_plan.cancel.error", [plan_id], _fault(error))

    def action_updated(self, *action_ids: int, old_state: str | None = None) -> None:
        extra = _moved("ActionStateUpdatePayload", old_state)
        self._actions("action.update", action_ids, extra)

    def actions_cancelled(self, plan_id: int) -> None:
        """The actions of a plan that was cancelled before it began."""
        self._tell_actions(
            "action.update",
            lambda session: rows.cancelled_actions_of(session, plan_id),
            _moved("ActionStateUpdatePayload", ActionState.PENDING),
        )

    def action_execution_started(self, *action_ids: int) -> None:
        self._actions("action.execution.start", action_ids, _fault(None))

    def action_execution_ended(self, *action_ids: int) -> None:
        self._actions("action.execution.end", action_ids, _fault(None))

    def action_execution_failed(self, *action_ids: int, error: Exception | None) -> None:
        self._actions("action.execution.error", action_ids, _fault(error))

    def action_cancel_started(self, *action_ids: int) -> None:
        self._actions("action.cancel.start", action_ids, _fault(None))

    def action_cancel_ended(self, *action_ids: int) -> None:
        self._actions("action.cancel.end", action_ids, _fault(None))

    def action_cancel_failed(self, *action_ids: int, error: Exception | None) -> None:
        self._actions("action.cancel.error", action_ids, _fault(error))

    def service_updated(self, service: Service, old_state: str, state: str) -> None:
        self._tell(
            "service.update",
            lambda session: [service],
            lambda name, row: payloads.service_update(row, old_state, state),
            priority="warning" if state == ServiceState.FAILED else None,
        )

    def _audit(self, event_type: str, audit_id: int, extra: Extra | None = None) -> None:
        self._tell(
            event_type,
            lambda session: [rows.audit(session, audit_id)],
            lambda name, row: payloads.audit(name, row, extra(row) if extra else {}),
        )

    @contextmanager
    def _audit_phase(self, phase: str, audit_id: int) -> Iterator[None]:
        self._audit(f"{phase}.start", audit_id, _fault(None))
        try:
            yield
        except Exception as error:
            self._audit(f"{phase}.error", audit_id, _fault(error))
            raise
        self._audit(f"{phase}.end", audit_id, _fault(None))

    def _plans(
        self, event_type: str, plan_ids: Collection[int], extra: Extra | None = None
    ) -> None:
        if plan_ids:
            self._tell(
                event_type,
                lambda session: rows.action_plans(session, plan_ids),
                lambda name, row: payloads.action_plan(name, row, extra(row) if extra else {}),
            )

    def _actions(self, event_type: str, action_ids: Collection[int], extra: Extra) -> None:
        if action_ids:
            self._tell_actions(event_type, lambda session: rows.actions(session, action_ids), extra)

    def _tell_actions(
        self,
        event_type: str,
        read: Callable[[Session], Iterable[Action]],
        extra: Extra | None = None,
    ) -> None:
        plans: dict[int, Payload] = {}

        def render(name: str, row: Action) -> Payload:
            # Thousands of actions of one plan wait in the outbox with one copy of it.
            if row.action_plan_id not in plans:
                plans[row.action_plan_id] = payloads.terse_action_plan(row.action_plan)
            return payloads.action(
                name, row, plans[row.action_plan_id], extra(row) if extra else {}
            )

        self._tell(event_type, read, render)

    def _tell(
        self,
        event_type: str,
        read: Callable[[Session], Iterable[Row]],
        render: Callable[[str, Row], Payload],
        priority: str | None = None,
    ) -> None:
        event = EVENTS[event_type]
        priority = priority or event.priority
        if self._outbox is None or priority not in self._wanted:
            return
        try:
            with self._database.reader() as session:
                for row in read(session):
                    self._outbox.put(Notification(priority, event_type, render(event.payload, row)))
        except Exception:  # what is told about is done and committed; the caller goes on
            LOG.exception("Notification %s is lost", event_type)


def _retry(conf: cfg.ConfigOpts) -> int:
    """How often a message is tried again.

    The default, -1, stands for no end to it, but where there was no connection yet
    kombu takes it for not at all.
    """
    retry: int = conf.oslo_messaging_notifications.retry
    return sys.maxsize if retry < 0 else retry


def _moved(name: str, old_state: str | None) -> Extra:
    def extra(row: Audit | ActionPlan | Action) -> dict[str, Any]:
        return {"state_update": payloads.state_update(name, old_state, row)}

    return extra


def _fault(error: Exception | None) -> Extra:
    return lambda row: {"fault": payloads.exception(error) if error else None}
