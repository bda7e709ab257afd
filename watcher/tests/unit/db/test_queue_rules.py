# SPDX-License-Identifier: Apache-2.0
"""The rules of the queue, in whatever order events, engines and users come."""

import contextlib
import dataclasses
import datetime
from collections.abc import Callable
from functools import partial

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from watcher.common.alarms import AlarmMessage, WebhookFacts
from watcher.common.errors import Invalid, LostClaim
from watcher.common.states import AuditState, AuditType, Decision, RunState
from watcher.db import audits, claims, events, models, run_ends, runs, webhook_facts
from watcher.db.leases import Holder, Watch
from watcher.db.models import Audit, AuditEvent, AuditRun
from watcher.db.session import Database
from watcher.tests import base, factories

BEGINNING = datetime.datetime(2026, 11, 22, 12, 0, 0)
DURATION = datetime.timedelta(seconds=30)
CAP = 4
"""Events that are recorded in a minute."""

DELIVERIES = [None, None, None, "key:1", "key:2"]
ENGINES = ("engine-1", "engine-2")
AUDITS = 2
COOLDOWN = 25
OVER = (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED)


@dataclasses.dataclass
class Claim:
    """What one worker thread believes that it holds."""

    run: AuditRun
    engine: str
    attempt: int


@dataclasses.dataclass
class Alarm:
    """One event that was let in."""

    audit_id: int
    parameters: dict[str, int]
    at: datetime.datetime
    event_uuid: str | None


class Queue(RuleBasedStateMachine):
    """Two EVENT audits, two engines, a user, and a clock that only moves when told to.

    A request reads its facts first, and may be slow to act on them.
    """

    database: Database

    @initialize()
    def begin(self) -> None:
        self.now = BEGINNING
        self.alarms: list[Alarm] = []
        self.requests: list[tuple[WebhookFacts, datetime.datetime]] = []
        self.claims: list[Claim] = []
        self.watches = {
            engine: Watch(
                self.lease(engine).duration, lambda: (self.now - BEGINNING).total_seconds()
            )
            for engine in ENGINES
        }
        with self.database.writer() as session:
            goal = factories.goal(session)
            self.audits = [
                factories.audit(session, goal, audit_type=AuditType.EVENT).id for _ in range(AUDITS)
            ]
            session.add(models.Webhook(audit_id=self.audits[0], debounce=10))
            session.add(models.Webhook(audit_id=self.audits[1], cooldown=COOLDOWN))

    def teardown(self) -> None:
        try:
            self.drain()
        finally:
            with self.database.writer() as session:
                for row in (AuditEvent, AuditRun, models.Webhook, Audit, models.Goal):
                    session.execute(delete(row))

    # What may happen

    @rule(audit=st.integers(0, AUDITS - 1))
    def begin_request(self, audit: int) -> None:
        self.requests.append((self.facts(self.audits[audit]), self.now))

    @precondition(lambda self: self.requests)
    @rule(data=st.data(), number=st.sampled_from([0, 1, 2]), delivery=st.sampled_from(DELIVERIES))
    def end_request(self, data: st.DataObject, number: int, delivery: str | None) -> None:
        facts, began = self.requests.pop(data.draw(st.integers(0, len(self.requests) - 1)))
        self.let_in(facts, {"number": number} if number else {}, delivery, began)

    @rule(
        audit=st.integers(0, AUDITS - 1),
        numbers=st.lists(st.sampled_from([0, 0, 1, 2]), min_size=1, max_size=5),
        delivery=st.sampled_from(DELIVERIES),
    )
    def post(self, audit: int, numbers: list[int], delivery: str | None) -> None:
        for number in numbers:
            parameters = {"number": number} if number else {}
            self.let_in(self.facts(self.audits[audit]), parameters, delivery, self.now)

    @rule(seconds=st.sampled_from([0, 1, 20, 31]))
    def pass_time(self, seconds: int) -> None:
        self.now += datetime.timedelta(seconds=seconds)

    @rule()
    def take(self) -> None:
        """What an engine does with the inbox."""
        factories.take(self.database, CAP)

    @rule(engine=st.sampled_from(ENGINES))
    def claim(self, engine: str) -> None:
        with self.database.reader() as session:
            ids = runs.due(session, self.now, 10)
        for run_id in ids[:1]:
            self.hold(claims.claim, run_id, engine)

    @rule(engine=st.sampled_from(ENGINES))
    def take_over(self, engine: str) -> None:
        with self.database.reader() as session:
            lapsed = self.watches[engine].lapsed(claims.of_all(session))
        for run_id, end in list(lapsed.items())[:1]:
            self.hold(partial(claims.take_over, end=end), run_id, engine)

    @precondition(lambda self: self.claims)
    @rule(data=st.data())
    def extend(self, data: st.DataObject) -> None:
        claim = data.draw(st.sampled_from(self.claims))
        lease = self.lease(claim.engine)
        self.database.write(lambda session: claims.extend(session, [claim.run.id], lease, self.now))

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), succeeds=st.booleans())
    def end(self, data: st.DataObject, succeeds: bool) -> None:
        self.let_go(
            data.draw(st.sampled_from(self.claims)),
            AuditState.SUCCEEDED if succeeds else AuditState.FAILED,
            lambda session, run: run_ends.finish(
                session, run, RunState.SUCCEEDED if succeeds else RunState.FAILED, self.now
            ),
        )

    @precondition(lambda self: self.claims)
    @rule(data=st.data(), seconds=st.sampled_from([0, 10]))
    def put_back(self, data: st.DataObject, seconds: int) -> None:
        later = self.now + datetime.timedelta(seconds=seconds)
        self.let_go(
            data.draw(st.sampled_from(self.claims)),
            AuditState.ONGOING,
            lambda session, run: run_ends.retry(session, run, self.now, later, "again"),
        )

    @rule(
        audit=st.integers(0, AUDITS - 1),
        state=st.sampled_from([AuditState.SUSPENDED, AuditState.ONGOING, AuditState.CANCELLED]),
    )
    def change(self, audit: int, state: str) -> None:
        def work(session: Session) -> None:
            row = session.get_one(Audit, self.audits[audit])
            audits.change(session, row, {"state": state}, self.now)

        with contextlib.suppress(Invalid):
            self.database.write(work)

    # What must hold all the time

    @invariant()
    def one_waits_and_one_runs(self) -> None:
        with self.database.reader() as session:
            most = session.scalar(
                select(func.count())
                .where(AuditRun.state.not_in(OVER))
                .group_by(AuditRun.audit_id, AuditRun.state)
                .order_by(func.count().desc())
                .limit(1)
            )
        assert most in (None, 1)

    @invariant()
    def no_event_is_lost(self) -> None:
        with self.database.reader() as session:
            rows = session.execute(
                select(AuditEvent, AuditRun, Audit.state)
                .join(Audit, Audit.id == AuditEvent.audit_id)
                .outerjoin(AuditRun, AuditRun.id == AuditEvent.run_id)
            ).all()
        written = {alarm.event_uuid for alarm in self.alarms if alarm.event_uuid}
        assert {event.uuid for event, _, _ in rows} == written
        for event, run, audit_state in rows:
            if run is None:
                # Events that a run gave back keep their decision when their audit is cancelled.
                rejected = event.decision == Decision.REJECTED
                assert (event.inbox is None) == rejected or audit_state == AuditState.CANCELLED
                continue
            assert event.inbox is None
            assert event.decision in (Decision.QUEUED, Decision.COALESCED)
            assert event.audit_id == run.audit_id
            if run.state == RunState.CANCELLED:
                assert audit_state == AuditState.CANCELLED
            elif run.state != RunState.QUEUED:
                assert run.started_at is not None
                assert run.started_at >= event.received_at, "a run that began before the event"

    def every_alarm_got_its_run(self) -> None:
        """One that began after it and had its parameters, whether the alarm has a row or not."""
        with self.database.reader() as session:
            closed = session.scalars(
                select(Audit.id).where(Audit.state.not_in(AuditState.TRIGGERABLE))
            ).all()
            done = session.scalars(select(AuditRun).where(AuditRun.state.in_(OVER[:2]))).all()
        for alarm in self.alarms:
            if alarm.audit_id not in closed:
                assert any(
                    run.audit_id == alarm.audit_id
                    and run.started_at is not None
                    and run.started_at >= alarm.at
                    and (run.parameters or {}) == alarm.parameters
                    for run in done
                ), alarm

    # How these are done

    def facts(self, audit_id: int) -> WebhookFacts:
        with self.database.reader() as session:
            uuid = session.get_one(Audit, audit_id).uuid or ""
            return webhook_facts.read(session, uuid, self.now, "none", CAP)

    def let_in(
        self,
        facts: WebhookFacts,
        parameters: dict[str, int],
        delivery: str | None,
        began: datetime.datetime,
    ) -> None:
        """What the API does with an event."""
        if facts.state not in AuditState.TRIGGERABLE:
            return
        event = AlarmMessage(source="generic", delivery=delivery)
        key = events.delivery_key(facts, event)
        with self.database.connection(writes=True) as connection:
            first = events.known(connection, {key} if key else ())
            if first:
                return
            uuid = None
            pending_runs = [pending_run.parameters for pending_run in facts.pending_runs]
            if facts.limited_until is None or parameters not in pending_runs:
                row = events.row(facts, event, began, Decision.ACCEPTED, None, parameters)
                events.append(connection, [row])
                uuid = row["uuid"]
        self.alarms.append(Alarm(facts.audit_id, parameters, began, uuid))

    def state(self, audit_id: int) -> str | None:
        with self.database.reader() as session:
            return session.scalar(select(Audit.state).where(Audit.id == audit_id))

    def lease(self, engine: str) -> Holder:
        return Holder(engine, engine, DURATION)

    def hold(self, way: Callable[..., AuditRun | None], run_id: int, engine: str) -> None:
        run = self.database.write(
            lambda session: way(session, run_id, self.lease(engine), self.now)
        )
        if run is not None:
            assert run.state == RunState.ONGOING
            assert self.state(run.audit_id) == AuditState.ONGOING
            if run.attempt == 1 and run.audit_id == self.audits[1]:
                assert self.seconds_since_last_run(run.audit_id) >= COOLDOWN
            self.claims.append(Claim(run, engine, run.attempt))

    def seconds_since_last_run(self, audit_id: int) -> float:
        with self.database.reader() as session:
            last = session.scalar(
                select(func.max(AuditRun.finished_at)).where(
                    AuditRun.audit_id == audit_id, AuditRun.state.in_(OVER[:2])
                )
            )
        return (self.now - last).total_seconds() if last else float("inf")

    def let_go(
        self, claim: Claim, audit_state: str, work: Callable[[Session, AuditRun], None]
    ) -> None:
        """One worker ends its run; only the youngest claim on a run may do that."""
        self.claims.remove(claim)
        with self.database.reader() as session:
            present = session.get_one(AuditRun, claim.run.id)
        ours = present.state == RunState.ONGOING and present.attempt == claim.attempt

        def transaction(session: Session) -> None:
            if run_ends.move_audit(session, claim.run, audit_state, self.now):
                work(session, claim.run)

        try:
            self.database.write(transaction)
        except LostClaim:
            assert not ours
        else:
            assert ours, "a claim that was lost could still write"

    def drain(self) -> None:
        """Engines that go on working leave nothing behind but what is suspended."""
        if not hasattr(self, "audits"):
            return
        while self.unfinished() and self.now < BEGINNING + datetime.timedelta(days=1):
            self.pass_time(31)
            self.take_over("engine-1")
            self.take()
            self.claim("engine-2")
            for claim in list(self.claims):
                self.let_go(
                    claim,
                    AuditState.SUCCEEDED,
                    lambda session, run: run_ends.finish(
                        session, run, RunState.SUCCEEDED, self.now
                    ),
                )
        self.no_event_is_lost()
        self.every_alarm_got_its_run()
        assert not self.unfinished()

    def unfinished(self) -> bool:
        """Whether there is anything to do for the engines."""
        with self.database.reader() as session:
            rows = session.scalars(
                select(AuditRun.id)
                .join(Audit, AuditRun.audit_id == Audit.id)
                .where(AuditRun.state.not_in(OVER), Audit.state != AuditState.SUSPENDED)
            )
            in_inbox = session.scalars(
                select(AuditEvent.id)
                .join(Audit, AuditEvent.audit_id == Audit.id)
                .where(AuditEvent.inbox.is_not(None), Audit.state != AuditState.SUSPENDED)
            )
            return bool(rows.first() or in_inbox.first())


class QueueRulesTest(base.DatabaseTestCase):
    def test_the_rules_hold_in_any_order(self) -> None:
        machine = type("QueueHere", (Queue,), {"database": self.database})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=30,
                stateful_step_count=30,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )
