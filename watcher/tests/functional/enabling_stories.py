# SPDX-License-Identifier: Apache-2.0
"""Hosts that plans disable, and what becomes of them when the plans end; any database."""

import datetime
from typing import Any
from unittest import mock

from watcher.applier.enabling import Enabling
from watcher.applier.interrupts import Interrupts
from watcher.applier.service import Applier
from watcher.cloud.compute import DISABLED, FORMER_REASON, MAINTAINING
from watcher.common.errors import CloudRefused, CloudUnavailable
from watcher.common.states import ActionState, PlanState
from watcher.db import action_plans, models, plan_claims, reviews
from watcher.tests import factories
from watcher.tests.unit.applier.stories import NOW, SimulatedInterrupts, Story, lease

PLAN = "5b1d7a9c-2e4f-4083-9c01-1f6c8e2a7b9d"
OTHER = "0c8e9a57-6d1b-4f0e-8b4c-3a5d7e9f1b2c"


class Bell:
    """A decision engine that listens to nobody."""

    def ring(self, uuid: str) -> None:
        pass


class EnablingStories(Story):
    """Host a has servers, host b has none."""

    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("migration_interval", 1.0, group="nova")
        self.enabling = Enabling(self.database, self.cloud.cloud)

    def disabling(self, host: str, word: str = DISABLED, **values: Any) -> dict[str, Any]:
        reason = {"state": "disabled", "disabled_reason": f"{word} {PLAN}"}
        return self.switch(host, **(reason | values))

    def switch(self, host: str, **parameters: Any) -> dict[str, Any]:
        return {
            "action_type": "change_nova_service_state",
            "input_parameters": {"resource_id": host, "resource_name": host} | parameters,
        }

    def add(self, *actions: dict[str, Any], strategy: str = "", **values: Any) -> models.ActionPlan:
        """A plan of that uuid whose actions come one after the other."""
        before: list[str] = []
        with self.database.writer() as session:
            audit = factories.audit(session)
            name = {"name": strategy} if strategy else {}
            row = factories.strategy(session, session.get_one(models.Goal, audit.goal_id), **name)
            values = {"uuid": PLAN, "state": PlanState.PENDING} | values
            plan: models.ActionPlan = factories.action_plan(session, audit, row, **values)
            for each in actions:
                action = {"state": ActionState.PENDING, "uuid": models.new_uuid()} | each
                factories.action(session, plan, parents=before, **action)
                before = [action["uuid"]]
        return plan

    def carry_out(
        self,
        row: models.ActionPlan,
        interrupts: Interrupts | None = None,
        now: datetime.datetime = NOW,
    ) -> tuple[str | None, str]:
        """Its state and its message after an applier had it."""
        applier = self.make()
        self.assertEqual(row.id, applier.dispatcher.claim(now))
        applier.execute_plan(row.id, interrupts or SimulatedInterrupts(self))
        plan = self.plan_of(row)
        return plan.state, plan.status_message or ""

    def make(self) -> Applier:
        return Applier(self.conf, self.database, self.cloud.cloud, Bell(), self.notifications)

    def check(self, **reasons: str | None) -> None:
        """Why each host is disabled; None for a host that is enabled."""
        hosts = {host.hostname: host.disabled_reason for host in self.cloud.hosts()}
        self.assertEqual(reasons, hosts)

    # Plans that end

    def for_a_while(self) -> models.ActionPlan:
        """A plan that disables both hosts for half a minute."""
        rest = {"action_type": "sleep", "input_parameters": {"duration": 30}}
        enables = [self.switch(name, state="enabled") for name in "ab"]
        return self.add(self.disabling("a"), self.disabling("b"), rest, *enables)

    def test_a_cancelled_plan_enables_hosts_that_it_disabled_for_a_while(self) -> None:
        row = self.for_a_while()
        end = self.carry_out(row, self.cancelling(row, at=0))
        self.assertEqual((PlanState.CANCELLED, "Hosts enabled again: a, b."), end)
        self.check(a=None, b=None)

    def test_a_plan_that_fails_enables_them_too(self) -> None:
        row = self.for_a_while()
        enable = self.cloud.enable
        answers = iter([CloudRefused("Not now."), enable, enable])

        def reluctant(hostname: str) -> None:
            answer = next(answers)
            if isinstance(answer, CloudRefused):
                raise answer
            answer(hostname)

        with mock.patch.object(self.cloud, "enable", reluctant):
            end = self.carry_out(row)
        self.assertEqual(PlanState.FAILED, end[0])
        self.assertTrue(end[1].startswith("Hosts enabled again: a. 1 of 5 actions failed"))
        self.check(a=None, b=None)

    def test_a_plan_that_fails_is_reviewed_although_hosts_are_enabled(self) -> None:
        failing = {"action_type": "nop", "input_parameters": {"message": "", "fail_execute": True}}
        row = self.add(self.disabling("a"), self.migration(0), failing)
        with self.database.writer() as session:
            reviews.add(session, row.id, {"figure": "f"}, 60)
        self.assertEqual(PlanState.FAILED, self.carry_out(row)[0])
        self.check(a=None, b=None)
        with self.database.reader() as session:
            self.assertIsNotNone(session.get_one(models.Review, row.id).due_at)

    def test_a_plan_that_cannot_be_continued(self) -> None:
        row = self.for_a_while()
        with mock.patch("watcher.applier.service.roll_back", side_effect=KeyError("bug")):
            self.set_state(self.actions_of(row)[-1], ActionState.CANCELLED)
            self.set_state(self.actions_of(row)[-2], ActionState.CANCELLED)
            end = self.carry_out(row)
        self.assertEqual((PlanState.FAILED, "Hosts enabled again: a, b. KeyError: 'bug'"), end)
        self.check(a=None, b=None)

    def test_a_host_stays_disabled_if_a_user_skips_its_enabling(self) -> None:
        row = self.for_a_while()
        for action in self.actions_of(row)[-2:]:
            self.set_state(action, ActionState.SKIPPED)
        self.assertIn("Hosts enabled again: a.", self.carry_out(row)[1])
        self.check(a=None, b=f"{DISABLED} {PLAN}")

    def test_an_emptied_host_stays_disabled_and_a_host_with_servers_does_not(self) -> None:
        row = self.add(self.disabling("a"), self.disabling("b"))
        self.assertEqual((PlanState.SUCCEEDED, "Hosts enabled again: a."), self.carry_out(row))
        self.check(a=None, b=f"{DISABLED} {PLAN}")

    def test_a_host_that_could_not_be_emptied_is_enabled(self) -> None:
        row = self.add(self.migration(0), self.disabling("a", only_if_empty=True))
        state, message = self.carry_out(row)
        self.assertEqual(PlanState.SUCCEEDED, state)
        self.assertIn("skipped", message)
        self.assertIn("has 3 servers left", self.actions_of(row)[1].status_message or "")
        self.check(a=None, b=None)

    def test_a_host_in_maintenance_stays_disabled(self) -> None:
        row = self.add(self.disabling("a", MAINTAINING), self.migration(0, destination_node="x"))
        self.assertNotIn("Hosts", self.carry_out(row)[1])
        self.check(a=f"{MAINTAINING} {PLAN}", b=None)

    def test_what_others_wrote_on_a_host_stands(self) -> None:
        row = self.add(self.disabling("a"), self.disabling("b"), self.migration(0))
        self.cloud.disable("a", "broken fan")
        self.carry_out(row)
        self.check(a="broken fan", b=f"{DISABLED} {PLAN}")

    def test_a_plan_of_before_has_bare_reasons(self) -> None:
        row = self.add(self.disabling("a", disabled_reason=DISABLED))
        self.assertEqual("Hosts enabled again: a.", self.carry_out(row)[1])
        row = self.add(self.disabling("b", disabled_reason=FORMER_REASON), uuid=models.new_uuid())
        self.assertEqual("Hosts enabled again: b.", self.carry_out(row)[1])

    def test_what_a_person_asks_for_stays(self) -> None:
        row = self.add(self.disabling("a", disabled_reason=DISABLED), strategy="actuator")
        self.assertEqual((PlanState.SUCCEEDED, ""), self.carry_out(row))
        self.enabling.sweep()
        self.check(a=DISABLED, b=None)

    def test_parameters_of_any_kind(self) -> None:
        row = self.add(
            self.disabling("a", disabled_reason=["?"]),
            self.disabling("a", resource_name={}),
            self.switch("b", state=7, disabled_reason=DISABLED),
        )
        self.assertEqual(PlanState.FAILED, self.carry_out(row)[0])

    def test_a_plan_that_is_lost_while_its_hosts_are_read(self) -> None:
        """Its next holder would enable the same hosts, but none that another plan has disabled."""
        row = self.for_a_while()

        def lose(*args: Any) -> list[str]:
            self.cloud.disable("a", f"{DISABLED} {PLAN}")
            self.hold(row, lease("engine-2"))
            return []

        def disable(*args: Any) -> str:
            self.cloud.disable("a", f"{DISABLED} {OTHER}")
            return "it is to be enabled"

        with (
            mock.patch("watcher.applier.service.roll_back", lose),
            mock.patch("watcher.applier.enabling.reason_to_enable", disable),
        ):
            self.assertEqual(PlanState.ONGOING, self.carry_out(row)[0])
        self.check(a=f"{DISABLED} {OTHER}", b=None)

    def test_an_applier_that_dies_and_a_user_who_cancels(self) -> None:
        row = self.for_a_while()
        with self.database.writer() as session:
            plan_claims.claim(session, row.id, lease("dead"), NOW)
            plan_claims.release(session, row.id, lease("dead").engine)
        self.cloud.disable("a", f"{DISABLED} {PLAN}")
        self.set_state(self.actions_of(row)[0], ActionState.SUCCEEDED)
        self.set_state(row, PlanState.CANCELLING)
        end = self.carry_out(row)
        self.assertEqual((PlanState.CANCELLED, "Hosts enabled again: a."), end)
        self.check(a=None, b=None)

    def test_a_cloud_that_does_not_answer_at_the_end(self) -> None:
        row = self.add(self.disabling("a"), self.disabling("b"))
        applier = self.make()
        applier.dispatcher.claim(NOW)
        enabling = applier.enabling
        with mock.patch.object(self.cloud, "servers_on", side_effect=CloudUnavailable("?")):
            enabling.sweep_if_due()
            applier.execute_plan(row.id, SimulatedInterrupts(self))
            self.assertEqual(PlanState.SUCCEEDED, self.plan_of(row).state)
            self.assertIn("looked at later", self.plan_of(row).status_message or "")
            enabling.sweep_if_due()
            self.check(a=f"{DISABLED} {PLAN}", b=f"{DISABLED} {PLAN}")
        enabling.sweep_if_due()
        self.check(a=None, b=f"{DISABLED} {PLAN}")

    # What a sweep finds

    def disable(self, plan: str | None = PLAN) -> str:
        """Both hosts, for a plan; their reason."""
        reason = f"{DISABLED} {plan}" if plan else DISABLED
        for name in "ab":
            self.cloud.disable(name, reason)
        return reason

    def test_plans_that_are_over(self) -> None:
        row = self.add(self.disabling("a"), state=PlanState.CANCELLED)
        for state in (PlanState.CANCELLED, PlanState.FAILED, PlanState.SUCCEEDED):
            self.set_state(row, state)
            reason = self.disable()
            for _ in range(2):
                self.enabling.sweep()
                self.check(a=None, b=reason)

    def test_plans_under_way(self) -> None:
        row = self.for_a_while()
        for state in PlanState.UNDER_WAY:
            self.set_state(row, state)
            reason = self.disable()
            self.enabling.sweep()
            self.check(a=reason, b=reason)

    def test_a_host_that_another_plan_needs(self) -> None:
        self.add({**self.migration(0), "state": ActionState.ONGOING}, uuid=models.new_uuid())
        reason = self.disable()
        self.enabling.sweep()
        self.check(a=reason, b=reason)

    def test_a_plan_that_is_deleted(self) -> None:
        row = self.for_a_while()
        self.set_state(row, PlanState.FAILED)
        with self.database.writer() as session:
            now = datetime.datetime(2026, 11, 23)
            action_plans.delete(session, action_plans.get(session, row.uuid or ""), now)
        self.disable()
        self.enabling.sweep()
        self.check(a=None, b=None)

    def test_a_plan_that_is_not_in_the_database(self) -> None:
        for plan in (PLAN, None):
            reason = self.disable(plan)
            self.enabling.sweep()
            self.check(a=None, b=reason)

    def test_hosts_with_the_former_reason_are_enabled(self) -> None:
        for name in "ab":
            self.cloud.disable(name, FORMER_REASON)
        self.enabling.sweep()
        self.check(a=None, b=None)

    def test_hosts_disabled_by_others_or_for_maintenance(self) -> None:
        self.cloud.disable("a", "broken fan")
        self.cloud.disable("b", f"{MAINTAINING} {PLAN}")
        self.enabling.sweep()
        self.check(a="broken fan", b=f"{MAINTAINING} {PLAN}")

    def test_a_host_whose_reason_has_changed_meanwhile(self) -> None:
        self.disable()
        servers_on = self.cloud.servers_on

        def disable(hostname: str) -> Any:
            self.cloud.disable("a", "broken fan")
            return servers_on(hostname)

        with mock.patch.object(self.cloud, "servers_on", disable):
            self.enabling.sweep()
        self.check(a="broken fan", b=f"{DISABLED} {PLAN}")

    def test_one_host_that_cannot_be_enabled(self) -> None:
        for name in "ab":
            self.cloud.disable(name, FORMER_REASON)
        enable = self.cloud.enable

        def refuse(hostname: str) -> None:
            if hostname == "a":
                raise CloudRefused("No.")
            enable(hostname)

        with mock.patch.object(self.cloud, "enable", refuse):
            self.enabling.sweep()
        self.check(a=FORMER_REASON, b=None)
