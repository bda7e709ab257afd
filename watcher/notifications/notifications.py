# SPDX-License-Identifier: Apache-2.0
"""Notifications to consumers on the message bus, after the commit that they report.

``send`` does not wait for the broker and does not raise.  If an event type is not to be sent (no
driver, or a ``notification_level`` above its priority), no rows are read for it.
"""

import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import oslo_messaging
from oslo_config import cfg
from oslo_log import log
from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session, joinedload, load_only

from watcher import rpc
from watcher.common.errors import NotFound
from watcher.common.states import ActionState, ServiceState
from watcher.db.models import Action, ActionPlan, Audit, Goal, Service, Strategy
from watcher.db.session import Database
from watcher.notifications import payloads
from watcher.notifications.event_types import EVENT_TYPES, PRIORITIES
from watcher.notifications.outbox import Notification, Outbox
from watcher.notifications.payloads import Payload

LOG = log.getLogger(__name__)

_STOP_TIMEOUT: Final = 5.0
"""Seconds that a stopping service gives the broker to take the last messages."""

Read = Callable[[Session], Iterable[Any]]
Render = Callable[[Session, Any], Payload]


class Notifications:
    """Sends the notifications of ``EVENT_TYPES``.

    Callers name rows by id.  The rows are read again, in one statement, so that a payload shows
    what was committed.  Without a driver in ``[oslo_messaging_notifications]``, the default,
    nothing is sent.
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
        """Send the remaining messages, unless the broker takes too long."""
        if self._outbox is not None:
            self._outbox.stop(_STOP_TIMEOUT)

    def send(
        self,
        event_type: str,
        *ids: int,
        old_state: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Send one notification for each of the audits, action plans or actions *ids*.

        *old_state* is for changes of the state.  *error* is the cause of a failure; an action
        plan that failed because of its actions has none.
        """
        kind = event_type.partition(".")[0]

        def read(session: Session) -> Iterable[Any]:
            found = _by_id(session, kind, ids)
            if not found:
                raise NotFound(f"There is no {kind} {ids}.")
            return found

        if ids:
            self._send(event_type, ids, read, _renderer(event_type, old_state, error))

    @contextmanager
    def phase(self, event_type: str, audit_id: int) -> Iterator[None]:
        """Send the start of the ``with`` block, and its end or error."""
        self.send(f"{event_type}.start", audit_id)
        try:
            yield
        except Exception as error:
            self.send(f"{event_type}.error", audit_id, error=error)
            raise
        self.send(f"{event_type}.end", audit_id)

    def plan_created(self, plan_id: int) -> None:
        """The plan, then each of its actions."""
        self.send("action_plan.create", plan_id)
        self._send_actions("action.create", plan_id)

    def plan_deleted(self, plan_id: int) -> None:
        """Each action, then the plan."""
        self._send_actions("action.delete", plan_id)
        self.send("action_plan.delete", plan_id)

    def actions_cancelled(self, plan_id: int) -> None:
        """The actions of a plan that was cancelled before it began."""
        cancelled = Action.state == ActionState.CANCELLED
        self._send_actions("action.update", plan_id, cancelled, old_state=ActionState.PENDING)

    def service_updated(self, service: Service, old_state: str, state: str) -> None:
        self._send(
            "service.update",
            service.host,
            lambda session: [service],
            lambda session, row: payloads.service_update(row, old_state, state),
            priority="warning" if state == ServiceState.FAILED else None,
        )

    def _send_actions(
        self, event_type: str, plan_id: int, *conditions: Any, old_state: str | None = None
    ) -> None:
        self._send(
            event_type,
            f"plan {plan_id}",
            lambda session: _actions(session, Action.action_plan_id == plan_id, *conditions),
            _renderer(event_type, old_state, None),
        )

    def _send(
        self,
        event_type: str,
        about: object,
        read: Read,
        render: Render,
        priority: str | None = None,
    ) -> None:
        """*about* identifies the rows in log messages."""
        priority = priority or EVENT_TYPES[event_type].priority
        if self._outbox is None or priority not in self._wanted:
            return
        try:
            with self._database.reader() as session:
                for row in read(session):
                    self._outbox.put(Notification(priority, event_type, render(session, row)))
        except Exception:  # the rows are committed, so the caller must go on
            LOG.exception("Notification %s about %s is lost", event_type, about)


def _renderer(event_type: str, old_state: str | None, error: BaseException | None) -> Render:
    plans: dict[int, Payload] = {}
    """Objects of plans, so that all actions of a plan share one in the outbox."""

    def render(session: Session, row: Any) -> Payload:
        extra = payloads.extra(session, event_type, row, old_state, error)
        return payloads.render(event_type, row, extra, plans)

    return render


def _retry(conf: cfg.ConfigOpts) -> int:
    """How often a message is tried again.

    The default, -1, means no limit, but for kombu it means no retry at all if there was no
    connection before.
    """
    retry: int = conf.oslo_messaging_notifications.retry
    return sys.maxsize if retry < 0 else retry


def _by_id(session: Session, kind: str, ids: Collection[int]) -> Sequence[Any]:
    """The rows *ids* of a *kind*: audit, action_plan or action, in the order of their ids."""
    if kind == "action":
        return _actions(session, Action.id.in_(ids))
    if kind == "audit":
        row: Any = Audit
        options = [joinedload(Audit.goal), joinedload(Audit.strategy)]
    else:
        row, audit = ActionPlan, joinedload(ActionPlan.audit)
        options = [
            joinedload(ActionPlan.strategy),
            audit.joinedload(Audit.goal).options(load_only(Goal.uuid)),
            audit.joinedload(Audit.strategy),
        ]
    wanted = select(row).where(row.id.in_(ids)).options(*options).order_by(row.id)
    return session.scalars(wanted).all()


def _actions(session: Session, *conditions: ColumnElement[bool]) -> Sequence[Action]:
    plan = joinedload(Action.action_plan)
    return session.scalars(
        select(Action)
        .where(*conditions)
        .options(
            plan.joinedload(ActionPlan.audit).options(load_only(Audit.uuid)),
            plan.joinedload(ActionPlan.strategy).options(load_only(Strategy.uuid)),
        )
        .order_by(Action.id)
    ).all()
