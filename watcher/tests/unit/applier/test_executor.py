# SPDX-License-Identifier: Apache-2.0
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import fixtures
from oslo_config import cfg

from watcher.applier.actions.base import Action
from watcher.applier.executor import ActionExecutor
from watcher.applier.interrupts import Interrupts
from watcher.cloud.compute import Server
from watcher.common.errors import LostClaim
from watcher.common.states import ActionState, PlanState
from watcher.db import models
from watcher.tests import base
from watcher.tests.base import TIMEOUT
from watcher.tests.unit.applier.stories import TYPES, SimulatedInterrupts, Story, lease


def nop(**switches: Any) -> dict[str, Any]:
    return {"action_type": "nop", "input_parameters": {"message": "x", **switches}}


class Odd(Action):
    """Raises what its parameters name."""

    name = "odd"
    description = "Misbehave."
    schema = {"type": "object"}
    options = (cfg.StrOpt("oddity", default="odd"),)

    def _misbehave(self, method: str) -> None:
        if self.parameters.get("in") == method:
            raise KeyError(self.tools.conf["watcher_actions.odd"].oddity)
        if self.parameters.get("exits in") == method:
            raise SystemExit(4)

    def check(self) -> None:
        self._misbehave("check")
        if self.parameters.get("in") == "wait in check":
            self.tools.wait(1)

    def execute(self) -> None:
        self.tools.wait(1)
        self._misbehave("execute")

    def abort(self) -> bool:
        self._misbehave("abort")
        return False

    def resume(self) -> None:
        self._misbehave("resume")


class GateTest(Story, base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.executor = ActionExecutor(
            self.conf,
            self.database,
            self.cloud.cloud,
            self.notifications,
            {**TYPES, "odd": Odd},
        )
        self.interrupts: Interrupts = SimulatedInterrupts(self)

    def carry_out(self, values: Mapping[str, Any]) -> models.Action:
        """The action's row after it has passed the executor."""
        row = self.add_plan(dict(values))
        plan = self.hold(row)
        end = self.executor.execute(plan, plan.actions[0], self.interrupts)
        action = self.actions_of(row)[0]
        if end is not None:
            self.assertEqual(end, action.state)
        return action

    def assertFailed(self, words: str, values: Mapping[str, Any]) -> None:
        action = self.carry_out(values)
        self.assertEqual(ActionState.FAILED, action.state)
        self.assertIn(words, action.status_message or "")
        self.assertIn(action.uuid, action.status_message or "")

    def test_success_needs_no_message(self) -> None:
        action = self.carry_out(nop())
        self.assertEqual((ActionState.SUCCEEDED, None), (action.state, action.status_message))

    def test_the_log_names_what_is_worked_on_and_how_long_it_took(self) -> None:
        log = self.useFixture(fixtures.FakeLogger())
        action = self.carry_out(self.migration())
        plan = action.action_plan_id
        with self.database.reader() as session:
            row = session.get_one(models.ActionPlan, plan)
            uuids = row.uuid, session.get_one(models.Audit, row.audit_id).uuid
        line = (
            f"Action {action.uuid} (migrate {self.uuids[0]}) of plan {uuids[0]}, audit {uuids[1]} "
            r"is SUCCEEDED after \d+\.\d+ s"
        )
        self.assertRegex(log.output, line.replace("(", r"\(").replace(")", r"\)"))

    def test_what_waits_for_a_place_stays_pending(self) -> None:
        self.conf.set_override("max_concurrent_actions", 1, group="watcher_applier")
        executor = ActionExecutor(
            self.conf, self.database, self.cloud.cloud, self.notifications, TYPES
        )
        row = self.add_plan(nop())
        plan = self.hold(row)
        for interrupt in (Interrupts.cancel, Interrupts.stop):
            interrupts = Interrupts()
            with executor.limits.extra_place("nop"), ThreadPoolExecutor() as pool:
                end = pool.submit(executor.execute, plan, plan.actions[0], interrupts)
                base.wait_for(lambda: executor.limits.waiting, "it waits")
                self.assertEqual([ActionState.PENDING], self.states_of(row))
                interrupt(interrupts)
                self.assertIsNone(end.result(TIMEOUT))
        self.assertEqual([ActionState.PENDING], self.states_of(row))
        end = executor.execute(plan, plan.actions[0], Interrupts())
        self.assertEqual(ActionState.SUCCEEDED, end)

    def test_a_skip_says_that_it_was_automatic_and_why(self) -> None:
        action = self.carry_out(nop(skip_pre_condition=True))
        self.assertEqual(ActionState.SKIPPED, action.state)
        self.assertIn("automatically: skip_pre_condition is set", action.status_message or "")

    def test_a_failure_names_its_phase(self) -> None:
        self.assertFailed("in pre_condition: fail_pre", nop(fail_pre_condition=True))
        self.assertFailed("in execute: fail_exec", nop(fail_execute=True))
        self.assertFailed("in post_condition: fail_post", nop(fail_post_condition=True))

    def test_a_foreign_error_is_named_by_its_class(self) -> None:
        for method, phase in (("check", "pre_condition"), ("execute", "execute")):
            values = {"action_type": "odd", "input_parameters": {"in": method}}
            self.assertFailed(f"failed in {phase}: KeyError", values)

    def test_one_that_tries_to_end_the_process_only_fails(self) -> None:
        for method, phase in (("check", "pre_condition"), ("execute", "execute")):
            values = {"action_type": "odd", "input_parameters": {"exits in": method}}
            self.assertFailed(f"failed in {phase}: SystemExit: 4", values)

    def test_parameters_that_do_not_fit(self) -> None:
        self.assertFailed(
            "in pre_condition: ValidationError: input_parameters: 'message' is a required",
            {"action_type": "nop", "input_parameters": {}},
        )
        self.assertFailed("input_parameters.migration_type", self.migration(migration_type="x"))
        self.assertFailed("input_parameters.resource_id", self.migration(resource_id="x"))
        self.assertFailed("duration", {"action_type": "sleep", "input_parameters": {}})

    def test_an_unknown_type_is_named(self) -> None:
        self.assertFailed(
            "Action type 'dance' is unknown; there are change_nova_service_state, migrate, nop, ",
            {"action_type": "dance"},
        )

    def test_a_long_message_is_cut(self) -> None:
        long = self.migration(source_node="a" * 300)
        action = self.carry_out(long)
        self.assertEqual(255, len(action.status_message or ""))

    def test_what_has_ended_stays_as_it_is(self) -> None:
        for state in sorted(ActionState.OVER):
            action = self.carry_out({**nop(fail_execute=True), "state": state})
            self.assertEqual((state, None), (action.state, action.status_message))

    def test_what_an_applier_left_under_way_is_resumed(self) -> None:
        sleep = {"action_type": "sleep", "input_parameters": {"duration": 10.9}}
        for values in (nop(), sleep, self.migration()):
            action = self.carry_out({**values, "state": ActionState.ONGOING})
            self.assertEqual(ActionState.SUCCEEDED, action.state)
        self.assertGreaterEqual(self.now, 10)

    def test_what_an_applier_left_half_undone_is_undone(self) -> None:
        for values in (nop(), self.migration()):
            action = self.carry_out({**values, "state": ActionState.CANCELLING})
            self.assertEqual(ActionState.CANCELLED, action.state)

    def test_what_was_perhaps_never_begun_is_not_begun_by_a_cancel(self) -> None:
        """The applier died between its note and its request, and then the plan was cancelled."""
        resize = {"resource_id": self.uuids[0], "flavor": "m2"}
        disable = {"resource_id": "b", "state": "disabled"}
        for values in (
            self.migration(),
            self.migration(migration_type="cold"),
            {"action_type": "resize", "input_parameters": resize},
            {"action_type": "stop", "input_parameters": {"resource_id": self.uuids[0]}},
            {"action_type": "change_nova_service_state", "input_parameters": disable},
        ):
            before = self.cloud.to_dict()
            self.interrupts = SimulatedInterrupts(self)
            self.interrupts.cancel()
            action = self.carry_out({**values, "state": ActionState.ONGOING})
            self.assertEqual(ActionState.CANCELLED, action.state, values)
            after = self.cloud.to_dict()
            self.assertEqual(before | {"elapsed": 0}, after | {"elapsed": 0})

    def test_a_row_that_a_user_skips_meanwhile_stays_skipped(self) -> None:
        row = self.add_plan(nop())
        plan = self.hold(row)
        self.set_state(self.actions_of(row)[0], ActionState.SKIPPED)
        end = self.executor.execute(plan, plan.actions[0], self.interrupts)
        self.assertEqual(ActionState.SKIPPED, end)

    def test_a_row_that_was_begun_meanwhile_is_resumed(self) -> None:
        row = self.add_plan(self.migration())
        plan = self.hold(row)
        self.set_state(self.actions_of(row)[0], ActionState.ONGOING)
        self.cloud.live_migrate(self.uuids[0], "b")
        end = self.executor.execute(plan, plan.actions[0], self.interrupts)
        self.assertEqual(ActionState.SUCCEEDED, end)

    def test_nothing_is_written_without_the_lease(self) -> None:
        row = self.add_plan(nop())
        plan = self.hold(row)
        self.hold(row, lease("engine-2"))
        self.assertRaises(LostClaim, self.executor.execute, plan, plan.actions[0], self.interrupts)
        self.assertEqual([ActionState.PENDING], self.states_of(row))

    def test_interrupted_before_it_begins(self) -> None:
        for interrupt in (self.interrupts.cancel, self.interrupts.stop):
            interrupt()
            self.assertEqual(ActionState.PENDING, self.carry_out(nop()).state)

    def test_interrupted_while_it_is_checked(self) -> None:
        values = {"action_type": "odd", "input_parameters": {"in": "wait in check"}}
        self.interrupts = Interrupter(self, at=1)
        self.assertEqual(ActionState.PENDING, self.carry_out(values).state)

    def test_a_stop_leaves_an_action_as_it_is(self) -> None:
        self.interrupts = Interrupter(self, at=3, stop=True)
        self.assertEqual(ActionState.ONGOING, self.carry_out(self.migration()).state)
        self.assertEqual("migrating", self.cloud.server(self.uuids[0]).task_state)

    def test_a_cancel_undoes_what_can_be_undone(self) -> None:
        for values in (
            self.migration(),
            {"action_type": "sleep", "input_parameters": {"duration": 10}},
        ):
            self.interrupts = Interrupter(self, at=1)
            action = self.carry_out(values)
            self.assertEqual(ActionState.CANCELLED, action.state)
            self.assertIn("cancelled", action.status_message or "")
        self.assertIsNone(self.cloud.server(self.uuids[0]).task_state)

    def test_a_cancel_awaits_what_cannot_be_undone(self) -> None:
        self.interrupts = Interrupter(self, at=2)
        action = self.carry_out(self.migration(migration_type="cold"))
        self.assertEqual(ActionState.SUCCEEDED, action.state)
        self.assertEqual("b", self.cloud.server(self.uuids[0]).host)

    def test_an_abort_or_a_resume_that_fails(self) -> None:
        for method, phase in (("abort", "abort"), ("resume", "execute")):
            self.interrupts = Interrupter(self, at=1)
            values = {"action_type": "odd", "input_parameters": {"in": method}}
            self.assertFailed(f"failed in {phase}: KeyError: 'odd'", values)

    def test_a_stop_while_it_is_being_undone(self) -> None:
        self.interrupts = Interrupter(self, at=1)
        self.cloud.abort_live_migration = (  # type: ignore[method-assign]
            lambda uuid: self.interrupts.stop()
        )
        self.assertEqual(ActionState.CANCELLING, self.carry_out(self.migration()).state)

    def test_descriptions(self) -> None:
        self.assertEqual("Misbehave.", self.executor.descriptions["odd"])
        installed = ActionExecutor(self.conf, self.database, self.cloud.cloud, self.notifications)
        self.assertTrue({"nop", "sleep", "migrate"} <= set(installed.descriptions))


class Killed(BaseException):
    """The process dies."""


class CrashTest(Story, base.DatabaseTestCase):
    """An applier dies at any moment of an action, and another one goes on."""

    def test_a_migration_happens_once(self) -> None:
        for kind in ("live", "cold"):
            server = self.check_it_happens_once(
                self.migration(migration_type=kind), f"{kind}_migrate", host="a"
            )
            self.assertEqual(("b", "active", None), (server.host, server.state, server.task_state))

    def test_a_resize_happens_once(self) -> None:
        parameters = {"resource_id": self.uuids[0], "flavor": "m2"}
        values = {"action_type": "resize", "input_parameters": parameters}
        server = self.check_it_happens_once(values, "resize", flavor="m1")
        self.assertEqual(("m2", "active"), (server.flavor, server.state))

    def test_a_stop_happens_once(self) -> None:
        values = {"action_type": "stop", "input_parameters": {"resource_id": self.uuids[0]}}
        server = self.check_it_happens_once(values, "stop")
        self.assertEqual("stopped", server.state)

    def test_a_service_is_disabled_once(self) -> None:
        parameters = {"resource_id": "b", "state": "disabled"}
        values = {"action_type": "change_nova_service_state", "input_parameters": parameters}
        self.check_it_happens_once(values, "disable", at_least=3)
        self.assertEqual("disabled", self.cloud.host("b").status)

    def check_it_happens_once(
        self, values: dict[str, Any], request: str, at_least: int = 6, **before: Any
    ) -> Server:
        """Whenever the applier dies; the server afterwards."""
        survived, ended = 0, False
        while not ended:
            self.cloud.change(self.uuids[0], state="active", **before)
            self.cloud.enable("b")
            with mock.patch.object(
                self.cloud, request, side_effect=getattr(self.cloud, request)
            ) as asked:
                ended = self.die_and_resume(dict(values), survived)
            self.assertEqual(1, asked.call_count, f"moment {survived}")
            survived += 1
        self.assertGreater(survived, at_least)
        return self.cloud.server(self.uuids[0])

    def die_and_resume(self, values: dict[str, Any], moment: int) -> bool:
        """True if the action ended before the *moment* came."""
        row = self.add_plan(values)
        mortal = Mortal(self, moment)
        executor = ActionExecutor(
            self.conf, mortal.database, self.cloud.cloud, self.notifications, TYPES
        )
        plan = self.hold(row)
        ended = False
        try:
            executor.execute(plan, plan.actions[0], mortal)
            ended = True
        except Killed:
            self.pass_time(12)
            plan = self.hold(row, lease("engine-2"))
            executor = ActionExecutor(
                self.conf, self.database, self.cloud.cloud, self.notifications, TYPES
            )
            executor.execute(plan, plan.actions[0], SimulatedInterrupts(self))
        self.assertEqual([ActionState.SUCCEEDED], self.states_of(row), f"moment {moment}")
        return ended

    def test_a_cancelled_migration_comes_back(self) -> None:
        row = self.add_plan(self.migration())
        plan = self.hold(row)
        self.set_state(self.actions_of(row)[0], ActionState.CANCELLING)
        self.set_state(row, PlanState.CANCELLING)
        self.cloud.live_migrate(self.uuids[0], "b")

        plan = self.hold(row, lease("engine-2"))
        interrupts = SimulatedInterrupts(self)
        interrupts.cancel()
        executor = ActionExecutor(
            self.conf, self.database, self.cloud.cloud, self.notifications, TYPES
        )
        end = executor.execute(plan, plan.actions[0], interrupts)

        self.assertEqual(ActionState.CANCELLED, end)
        self.assertEqual("a", self.cloud.server(self.uuids[0]).host)
        self.assertIsNone(self.cloud.server(self.uuids[0]).task_state)


class Interrupter(SimulatedInterrupts):
    """Is interrupted at a time of the cloud's clock."""

    def __init__(self, story: Story, at: int, stop: bool = False) -> None:
        super().__init__(story)
        story.now = 0
        self._at, self._do = at, self.stop if stop else self.cancel

    def wait(self, seconds: float) -> None:
        if self._story.now + seconds >= self._at:
            self._do()
        super().wait(seconds)


class Mortal(SimulatedInterrupts):
    """Dies at its so manyth chance: before or after a write, or in a wait."""

    def __init__(self, story: Story, moment: int) -> None:
        super().__init__(story)
        self._left = moment
        self.database: Any = self

    def write(self, work: Any) -> Any:
        self._chance()
        result = self._story.database.write(work)
        self._chance()
        return result

    def wait(self, seconds: float) -> None:
        self._chance()
        super().wait(seconds)

    def _chance(self) -> None:
        if self._left == 0:
            raise Killed
        self._left -= 1
