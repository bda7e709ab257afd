# SPDX-License-Identifier: Apache-2.0
"""The clients of the services: alarm services that post until they get an answer, and users."""

import functools
from collections.abc import Callable
from concurrent import futures
from typing import Any

from oslo_db.exception import DBError
from oslo_utils import timeutils
from sqlalchemy import select
from sqlalchemy.orm import Session

from tools.simulate.schedule import Process
from tools.simulate.world import LONGEST_REQUEST, World
from watcher.api.intake import Delivery
from watcher.common.alarms import AlarmMessage
from watcher.common.errors import WatcherError
from watcher.common.states import AuditState, AuditType, Decision, PlanState
from watcher.db import action_plans, audits
from watcher.db.models import ActionPlan, Audit, Goal, Strategy, Webhook, new_uuid

AUDITS = 3
_ALIVE = (AuditState.PENDING, AuditState.ONGOING, AuditState.SUSPENDED)
_COVERED = (Decision.ACCEPTED, Decision.QUEUED, Decision.COALESCED)


def create_audits(world: World) -> list[str]:
    """Create EVENT audits, and a CONTINUOUS one if the seed has one.  Returns the uuids, that of
    the CONTINUOUS one last."""
    uuids = [new_uuid() for _ in range(AUDITS + world.trouble.continuous)]
    with world.stage.databases["api1"].writer() as session:
        for uuid in uuids[:AUDITS]:
            audit = _create(session, uuid, AuditType.EVENT)
            webhook = session.scalars(select(Webhook).where(Webhook.audit_id == audit.id)).one()
            webhook.auth = "secret"
            webhook.parameters = {"level": "level"}
            webhook.debounce = world.choice.choice((0, 0, 5))
            webhook.cooldown = world.choice.choice((0, 0, 20))
        for uuid in uuids[AUDITS:]:
            _create(session, uuid, AuditType.CONTINUOUS, interval="60")
    return uuids


def _create(session: Session, uuid: str, audit_type: str, **values: Any) -> Audit:
    """Create an audit whose plans start automatically."""
    audit = Audit(
        uuid=uuid,
        name=uuid,
        audit_type=audit_type,
        goal_id=session.scalars(select(Goal.id)).one(),
        strategy_id=session.scalars(select(Strategy.id)).one(),
        auto_trigger=True,
        **values,
    )
    return audits.create(session, audit, timeutils.utcnow())


_AT_ONCE = 0.5
"""Probability that users stop a run or plan right after it has begun."""


class Sender:
    def __init__(self, world: World, audit: str) -> None:
        self._world, self._audit = world, audit
        self._level = world.choice.choice((None, 1, 2))
        self._key = new_uuid()

    def post(self) -> None:
        """Send an alarm until there is an answer."""
        world = self._world
        while True:
            process = world.some("api")
            if process is not None:
                world.see("post", self._key, self._audit, self._level)
                try:
                    outcome = world.in_process(process, functools.partial(self._receive, process))
                except (DBError, futures.TimeoutError) as error:
                    world.see("no answer", self._key, type(error).__name__)
                else:
                    covered = outcome.decision in _COVERED
                    world.see("202" if covered else "declined", self._key, outcome.decision)
                    return
            world.schedule.block(world.choice.uniform(1, 10))

    def _receive(self, process: Process) -> Any:
        now = timeutils.utcnow()
        request = self._key, process.name, f"{now:%Y-%m-%d %H:%M:%S.%f}", new_uuid()
        self._world.see("receives", *request)
        payload = {} if self._level is None else {"level": self._level}
        message = AlarmMessage(source="generic", payload=payload, delivery=self._key)
        delivery = Delivery(self._audit, message, now, lambda facts: True)
        try:
            outcome = process.service.receive(delivery, lambda facts: None)
        finally:
            self._world.see("received", *request)
        if outcome.needs_doorbell:
            self._world.bells["engine"].ring(self._audit)
        return outcome


class User:
    """Makes one change to an audit or a plan, and may undo it later."""

    def __init__(self, world: World, audits: list[str]) -> None:
        self._world, self._audits = world, audits

    def act(self) -> None:
        choice = self._world.choice
        what = choice.choice(
            (self._suspend, self._suspend, self._cancel_plan, self._cancel_plan, self._cancel)
        )
        audit = choice.choice(self._audits)
        if choice.random() < _AT_ONCE:
            plan = what == self._cancel_plan
            table, which = ("action_plans", "PENDING") if plan else ("audits", "ONGOING")
            among = "" if plan else f"AND uuid = '{audit}'"
            self._await(f"SELECT id FROM {table} WHERE state = '{which}' {among}")
        what(audit)

    def _await(self, rows: str) -> None:
        while not self._world.quiet and not self._world.store.rows(rows):
            self._world.schedule.block(0.5)

    def end(self, audit: str) -> None:
        """Cancel an audit, because it would not end by itself; a suspended one is resumed first."""
        while (state := self._state(audit)) in _ALIVE:
            suspended = state == AuditState.SUSPENDED
            self._set(audit, AuditState.ONGOING if suspended else AuditState.CANCELLED)
            self._world.schedule.block(5.0)

    def resume(self, audit: str) -> None:
        """Resume an audit that was suspended by a request whose answer came too late."""
        self._world.schedule.block(LONGEST_REQUEST)
        while self._state(audit) == AuditState.SUSPENDED:
            self._set(audit, AuditState.ONGOING)
            self._world.schedule.block(5.0)

    def _state(self, audit: str) -> str:
        return self._world.store.rows(f"SELECT state FROM audits WHERE uuid = '{audit}'")[0][0]

    def _suspend(self, audit: str) -> None:
        self._set(audit, AuditState.SUSPENDED)
        self._world.schedule.block(self._world.choice.uniform(0, 60))
        while not self._set(audit, AuditState.ONGOING):
            self._world.schedule.block(5.0)

    def _cancel(self, audit: str) -> None:
        self._set(audit, AuditState.CANCELLED)

    def _set(self, audit: str, state: str) -> bool:
        """Set the state of an audit.  Whether this succeeded, or is not possible any more."""

        def work(session: Session) -> None:
            row = audits.get(session, audit)
            audits.change(session, row, {"state": state}, timeutils.utcnow())

        return self._do(f"{state} {audit}", work)

    def _cancel_plan(self, _: str) -> None:
        def work(session: Session) -> None:
            under_way = ActionPlan.state.in_((PlanState.PENDING, PlanState.ONGOING))
            plan = session.scalars(select(ActionPlan).where(under_way)).first()
            if plan is not None:
                pending = plan.state == PlanState.PENDING
                state = PlanState.CANCELLED if pending else PlanState.CANCELLING
                action_plans.change_state(session, plan, state)
                concerned.append("engine" if pending else "applier")

        concerned: list[str] = []
        if self._do("cancels a plan", work) and concerned:
            self._world.bells[concerned[-1]].ring("")

    def _do(self, what: str, work: Callable[[Session], None]) -> bool:
        world = self._world
        process = world.some("api")
        if process is None:
            return False
        database = world.stage.databases[process.name.partition(".")[0]]
        try:
            world.in_process(process, lambda: database.write(work))
        except (DBError, futures.TimeoutError):
            return False
        except WatcherError:
            return True
        world.see("user", what)
        return True
