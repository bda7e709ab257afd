# SPDX-License-Identifier: Apache-2.0
"""Runs that fail, are repeated or lose their audit."""

import datetime
from typing import Any
from unittest import mock

from oslo_utils import timeutils

from watcher.common.errors import CloudUnavailable, Invalid
from watcher.common.states import AuditState, AuditType, RunState
from watcher.db import claims, runs
from watcher.db.models import (
    AuditRun,
)
from watcher.decision_engine.strategies.dummy import Dummy
from watcher.tests.emulated.server import EmulatedServer, Fault
from watcher.tests.unit.decision_engine.runner_case import HOLDER, OTHER, RunnerTestCase


class RunnerFailuresTest(RunnerTestCase):
    def test_a_passing_failure_is_repeated_later_and_later(self) -> None:
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit()
        pauses = []
        for _ in range(2):
            run = self.claim(audit)
            self.runner.run(run)
            run = self.reload(run)
            self.assertEqual((RunState.QUEUED, None), (run.state, run.engine))
            self.assertIn("nova does not answer.", run.status_message)
            pauses.append((run.not_before - run.started_at).total_seconds())
        self.assertEqual([10, 20], [round(pause, -1) for pause in pauses])
        self.assertEqual(AuditState.ONGOING, self.reload(audit).state)

    def test_a_datasource_that_is_down_is_named(self) -> None:
        server = self.useFixture(EmulatedServer(None))
        server.fault = Fault.DOWN
        self.conf.set_override("datasources", ["prometheus"], group="watcher_datasources")
        self.conf.set_override("query_max_retries", 1, group="watcher_datasources")
        self.conf.set_override("host", "127.0.0.1", group="prometheus_client")
        port = int(server.url.rpartition(":")[2])
        self.conf.set_override("port", port, group="prometheus_client")

        def execute(strategy: Dummy, inputs: Any) -> Any:
            inputs.host_metric("host_cpu_usage", [], period=60, aggregate="mean", granularity=60)

        self.patch(Dummy, "execute", execute)
        audit = self.audit()
        self.runner.run(self.claim(audit))
        audit = self.reload(audit)
        self.assertEqual(AuditState.ONGOING, audit.state)
        for words in ("prometheus", "host_cpu_usage", "503"):
            self.assertIn(words, audit.status_message)

    def test_a_passing_failure_is_lasting_after_max_attempts(self) -> None:
        self.conf.set_override("max_attempts", 1, group="watcher_decision_engine")
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit(audit_type=AuditType.ONESHOT)
        run = self.claim(audit)
        self.runner.run(run)
        self.assertEqual(RunState.FAILED, self.reload(run).state)
        self.assertEqual(AuditState.FAILED, self.reload(audit).state)

    def test_an_alarm_is_tried_for_an_hour_however_often(self) -> None:
        self.conf.set_override("max_attempts", 1, group="watcher_decision_engine")
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit()
        began = timeutils.utcnow()
        minutes = 0.0
        with mock.patch.object(timeutils, "utcnow") as now:
            while minutes < 120:
                now.return_value = began + datetime.timedelta(minutes=minutes)
                run = self.claim(audit)
                self.runner.run(run)
                run = self.reload(run)
                if run.state != RunState.QUEUED:
                    break
                minutes = (run.not_before - began).total_seconds() / 60
        self.assertEqual(RunState.FAILED, run.state)
        self.assertLess(59, minutes)
        self.assertGreater(66, minutes)
        self.assertEqual(
            [(number + 1, "nova does not answer.") for number in range(run.attempt)],
            [(each["attempt"], each["error"]) for each in run.errors],
        )

    def test_a_suspension_is_no_attempt(self) -> None:
        audit = self.audit()
        run = self.claim(audit)
        self.set_audit(audit, state=AuditState.SUSPENDED)
        self.runner.run(run)
        self.assertEqual(0, self.reload(run).attempt)

    def test_a_lasting_failure_fails_at_once_with_its_sentence(self) -> None:
        self.fail_with(Invalid("parameters.para1: too odd."))
        audit = self.audit()
        run = self.claim(audit)

        self.runner.run(run)

        audit = self.reload(audit)
        self.assertEqual(AuditState.FAILED, audit.state)
        self.assertEqual("parameters.para1: too odd.", audit.status_message)
        self.assertEqual(audit.status_message, self.reload(run).status_message)

    def test_an_unexpected_failure_is_lasting_and_cut_to_size(self) -> None:
        self.fail_with(RuntimeError("x" * 1000))
        audit = self.audit()
        self.runner.run(self.claim(audit))
        message = self.reload(audit).status_message
        self.assertEqual(
            (255, "RuntimeError: xx", "..."), (len(message), message[:16], message[-3:])
        )

    def test_a_strategy_that_tries_to_end_the_process_only_fails(self) -> None:
        self.fail_with(SystemExit(4))
        audit = self.audit()
        self.runner.run(self.claim(audit))
        self.assertEqual("SystemExit: 4", self.reload(audit).status_message)

    def test_a_failed_attempt_joins_the_run_that_waits_already(self) -> None:
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit()
        run = self.claim(audit)
        now = timeutils.utcnow()
        with self.database.writer() as session:
            younger = runs.enqueue(session, audit.id, now, now)

        self.runner.run(run)

        self.assertEqual(RunState.CANCELLED, self.reload(run).state)
        younger = self.reload(younger)
        self.assertEqual(
            (RunState.QUEUED, 1, 0), (younger.state, younger.attempt, younger.coalesced_count)
        )
        self.assertLess(now, younger.not_before)

    def test_the_result_for_a_cancelled_audit_is_dropped(self) -> None:
        audit = self.audit(auto_trigger=True)
        run = self.claim(audit)
        self.set_audit(audit, state=AuditState.CANCELLED)

        self.runner.run(run)

        self.assertEqual([], self.plans())
        self.assertEqual([], self.applier.rung)
        self.assertEqual(RunState.CANCELLED, self.reload(run).state)
        self.assertEqual(AuditState.CANCELLED, self.reload(audit).state)

    def test_the_run_of_a_suspended_audit_waits_for_its_resumption(self) -> None:
        audit = self.audit()
        run = self.claim(audit)
        self.set_audit(audit, state=AuditState.SUSPENDED)

        self.runner.run(run)

        self.assertEqual([], self.plans())
        self.assertEqual(RunState.QUEUED, self.reload(run).state)
        self.assertEqual(AuditState.SUSPENDED, self.reload(audit).state)

    def test_an_engine_that_lost_its_lease_writes_nothing(self) -> None:
        audit = self.audit()
        run = self.claim(audit)
        later = timeutils.utcnow() + HOLDER.duration * 2
        with self.database.writer() as session:
            self.assertIsNotNone(
                claims.take_over(session, run.id, OTHER, later, run.lease_expires_at)
            )

        self.runner.run(run)

        self.assertEqual([], self.plans())
        run = self.reload(run)
        self.assertEqual((RunState.ONGOING, "other"), (run.state, run.engine))
        self.assertEqual(AuditState.ONGOING, self.reload(audit).state)

    def test_a_run_that_kills_engines_is_given_up(self) -> None:
        self.conf.set_override("max_attempts", 2, group="watcher_decision_engine")
        audit = self.audit()
        run = self.claim(audit)
        with self.database.writer() as session:
            for lapse, holder in ((1, OTHER), (2, HOLDER)):
                later = timeutils.utcnow() + HOLDER.duration * 2 * lapse
                run = claims.take_over(session, run.id, holder, later, run.lease_expires_at)

        self.runner.run(run)

        self.assertEqual(RunState.FAILED, self.reload(run).state)
        self.assertIn("died, 2 times", self.reload(audit).status_message)

    def test_deaths_are_counted_apart_from_failures(self) -> None:
        self.conf.set_override("max_attempts", 2, group="watcher_decision_engine")
        self.fail_with(CloudUnavailable("nova does not answer."))
        audit = self.audit()
        run = self.claim(audit)
        self.runner.run(run)
        self.runner.run(self.claim(audit))
        run = self.claim(audit)
        with self.database.writer() as session:
            later = timeutils.utcnow() + HOLDER.duration * 2
            run = claims.take_over(session, run.id, OTHER, later, run.lease_expires_at)
        self.assertEqual((4, 1), (run.attempt, run.deaths))
        self.runner.run(run)
        run = self.reload(run)
        self.assertEqual((RunState.QUEUED, 0), (run.state, run.deaths))
        self.assertEqual([1, 2, 3, 4], [each["attempt"] for each in run.errors])
        self.assertIn("died", run.errors[2]["error"])

    def test_pauses_between_attempts_grow_up_to_an_hour(self) -> None:
        self.conf.set_override("max_attempts", 100, group="watcher_decision_engine")
        self.fail_with(CloudUnavailable("nova does not answer."))
        for audit_type, longest in ((AuditType.ONESHOT, 60), (AuditType.EVENT, 5)):
            audit = self.audit(audit_type=audit_type)
            run = self.claim(audit)
            with self.database.writer() as session:
                session.get_one(AuditRun, run.id).attempt = run.attempt = 90
            self.runner.run(run)
            run = self.reload(run)
            minutes = (run.not_before - run.started_at).total_seconds() / 60
            self.assertAlmostEqual(longest, minutes, delta=longest / 9)
