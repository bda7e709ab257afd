# SPDX-License-Identifier: Apache-2.0
"""Who is told what, and that nobody pays for it who need not."""

from collections.abc import Callable
from typing import Any
from unittest import mock

from oslo_messaging.notify import _impl_test

from watcher.common.states import ActionState, AuditState, PlanState, ServiceState
from watcher.db import models, reviews
from watcher.notifications import Notifications
from watcher.notifications.event_types import EVENT_TYPES
from watcher.tests import base, factories

TIMES = {"created_at", "updated_at", "deleted_at"}
GOAL = {"uuid", "name", "display_name", "efficacy_specification"} | TIMES
STRATEGY = {"uuid", "name", "display_name", "parameters_spec"} | TIMES
EXCEPTION = {"module_name", "function_name", "exception", "exception_message"}
STATE_UPDATE = {"old_state", "state", "status_message"}
TERSE_AUDIT = TIMES | {
    "uuid",
    "name",
    "audit_type",
    "state",
    "parameters",
    "interval",
    "scope",
    "goal_uuid",
    "strategy_uuid",
    "auto_trigger",
    "next_run_time",
    "status_message",
}
AUDIT = TERSE_AUDIT | {"goal", "strategy"}
TERSE_PLAN = TIMES | {
    "uuid",
    "state",
    "global_efficacy",
    "audit_uuid",
    "strategy_uuid",
    "status_message",
}
PLAN = TERSE_PLAN | {"audit", "strategy"}
ACTION = TIMES | {
    "uuid",
    "action_type",
    "input_parameters",
    "state",
    "parents",
    "action_plan_uuid",
    "action_plan",
    "status_message",
}
SERVICE = {"sevice_host", "name", "last_seen_up"}

OBJECTS = {
    "GoalPayload": ("1.0", GOAL),
    "StrategyPayload": ("1.0", STRATEGY),
    "ExceptionPayload": ("1.0", EXCEPTION),
    "TerseAuditPayload": ("1.3", TERSE_AUDIT),
    "AuditStateUpdatePayload": ("1.1", STATE_UPDATE),
    "AuditCreatePayload": ("1.2", AUDIT),
    "AuditUpdatePayload": ("1.2", AUDIT | {"state_update"}),
    "AuditActionPayload": ("1.2", AUDIT | {"fault"}),
    "AuditDeletePayload": ("1.2", AUDIT),
    "TerseActionPlanPayload": ("1.2", TERSE_PLAN),
    "ActionPlanStateUpdatePayload": ("1.1", STATE_UPDATE),
    "ActionPlanCreatePayload": ("1.2", PLAN),
    "ActionPlanUpdatePayload": ("1.2", PLAN | {"state_update"}),
    "ActionPlanActionPayload": ("1.2", PLAN | {"fault"}),
    "ActionPlanCancelPayload": ("1.2", PLAN | {"fault"}),
    "ActionPlanDeletePayload": ("1.2", PLAN),
    "ActionPlanReviewPayload": ("1.0", PLAN | {"review"}),
    "ReviewPayload": (
        "1.0",
        {"figure", "before", "after", "realised", "kept", "message", "reviewed_at"},
    ),
    "ActionStateUpdatePayload": ("1.1", STATE_UPDATE),
    "ActionCreatePayload": ("1.1", ACTION),
    "ActionUpdatePayload": ("1.1", ACTION | {"state_update"}),
    "ActionExecutionPayload": ("1.1", ACTION | {"fault"}),
    "ActionCancelPayload": ("1.1", ACTION | {"fault"}),
    "ActionDeletePayload": ("1.1", ACTION),
    "ServiceStatusUpdatePayload": ("1.0", {"old_state", "state"}),
    "ServiceUpdatePayload": ("1.0", SERVICE | {"status_update"}),
}
"""Version and fields of every object that consumers may meet."""


class NotificationsTestCase(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            goal = factories.goal(session, name="balance", efficacy_specification=[{"name": "x"}])
            strategy = factories.strategy(session, goal, parameters_spec={"type": "object"})
            self.audit = factories.audit(session, goal, strategy, parameters={"a": 1})
            self.plan = factories.action_plan(session, self.audit, strategy)
            self.actions = [factories.action(session, self.plan) for _ in range(3)]
            reviews.add(session, self.plan.id, {"figure": "f", "before": 2, "after": 1}, 60)
        _impl_test.reset()

    def start(self, level: str = "info", drivers: tuple[str, ...] = ("test",)) -> Notifications:
        self.conf(["--config-file", self._config(level, drivers)], default_config_files=[])
        notifications = Notifications(self.conf, self.database)
        self.addCleanup(notifications.stop)
        return notifications

    def _config(self, level: str, drivers: tuple[str, ...]) -> str:
        path = f"{self.directory}/watcher.conf"
        with open(path, "w") as config:
            config.write("[DEFAULT]\ntransport_url = fake://\n")
            config.write(f"notification_level = {level}\n[oslo_messaging_notifications]\n")
            config.writelines(f"driver = {driver}\n" for driver in drivers)
        return path

    def sent(self, notifications: Notifications) -> list[dict[str, Any]]:
        notifications.stop()
        return [message for _, message, _, _ in _impl_test.NOTIFICATIONS]

    def payload(self, tell: Callable[[Notifications], None]) -> dict[str, Any]:
        notifications = self.start()
        tell(notifications)
        (message,) = self.sent(notifications)
        data: dict[str, Any] = message["payload"]["watcher_object.data"]
        return data


class TestWire(NotificationsTestCase):
    def tell_everything(self, notifications: Notifications) -> None:
        error = ValueError("no")
        audit, plan, action = self.audit.id, self.plan.id, self.actions[0].id
        notifications.send("audit.create", audit)
        notifications.send("audit.update", audit, old_state=AuditState.ONGOING)
        notifications.send("audit.delete", audit)
        for phase in ("audit.strategy", "audit.planner"):
            with notifications.phase(phase, audit):
                pass
            with (
                self.assertRaisesRegex(ValueError, "no"),
                notifications.phase(phase, audit),
            ):
                raise error
        notifications.plan_created(plan)
        notifications.send("action_plan.update", plan, old_state=PlanState.RECOMMENDED)
        notifications.send("action_plan.review", plan)
        notifications.plan_deleted(plan)
        notifications.send("action_plan.execution.start", plan)
        notifications.send("action_plan.execution.end", plan)
        notifications.send("action_plan.execution.error", plan, error=error)
        notifications.send("action_plan.cancel.start", plan)
        notifications.send("action_plan.cancel.end", plan)
        notifications.send("action_plan.cancel.error", plan, error=error)
        notifications.send("action.update", action, old_state=ActionState.PENDING)
        notifications.send("action.execution.start", action)
        notifications.send("action.execution.end", action)
        notifications.send("action.execution.error", action, error=error)
        notifications.send("action.cancel.start", action)
        notifications.send("action.cancel.end", action)
        notifications.send("action.cancel.error", action, error=error)
        notifications.service_updated(
            models.Service(name="watcher-applier", host="b"),
            ServiceState.ACTIVE,
            ServiceState.FAILED,
        )

    def test_every_object_has_its_version_and_exactly_its_fields(self) -> None:
        notifications = self.start()
        self.tell_everything(notifications)
        seen = set()
        messages = self.sent(notifications)
        for message in messages:
            objects = list(_objects(message["payload"]))
            self.assertEqual(
                EVENT_TYPES[message["event_type"]].payload, objects[0]["watcher_object.name"]
            )
            for item in objects:
                name = item["watcher_object.name"]
                seen.add(name)
                self.assertEqual(
                    (name, "watcher", *OBJECTS[name]),
                    (
                        name,
                        item["watcher_object.namespace"],
                        item["watcher_object.version"],
                        set(item["watcher_object.data"]),
                    ),
                )
                self.assertEqual(4, len(item))
        self.assertEqual(set(OBJECTS), seen)
        self.assertEqual(set(EVENT_TYPES), {message["event_type"] for message in messages})

    def test_an_error_has_the_priority_error(self) -> None:
        notifications = self.start()
        self.tell_everything(notifications)
        for message in self.sent(notifications):
            expected = "ERROR" if message["event_type"].endswith(".error") else "INFO"
            if message["event_type"] == "service.update":
                expected = "WARN"
            self.assertEqual(expected, message["priority"], message["event_type"])
            self.assertEqual("infra-optim:engine-1", message["publisher_id"])


class TestPayloads(NotificationsTestCase):
    def test_an_audit_names_its_goal_and_strategy(self) -> None:
        data = self.payload(lambda notifications: notifications.send("audit.create", self.audit.id))
        goal = data["goal"]["watcher_object.data"]
        strategy = data["strategy"]["watcher_object.data"]
        self.assertEqual(
            ("balance", [{"name": "x"}]), (goal["name"], goal["efficacy_specification"])
        )
        self.assertEqual({"type": "object"}, strategy["parameters_spec"])
        self.assertEqual(
            (goal["uuid"], strategy["uuid"]), (data["goal_uuid"], data["strategy_uuid"])
        )
        self.assertEqual({"a": 1}, data["parameters"])
        self.assertRegex(data["created_at"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
        self.assertIsNone(data["deleted_at"])

    def test_an_audit_without_strategy(self) -> None:
        with self.database.writer() as session:
            audit_id = factories.audit(session).id
        data = self.payload(lambda notifications: notifications.send("audit.create", audit_id))
        self.assertIsNone(data["strategy"])
        self.assertIsNone(data["strategy_uuid"])

    def test_a_state_update_has_both_states(self) -> None:
        with self.database.writer() as session:
            audit = session.get_one(models.Audit, self.audit.id)
            audit.state, audit.status_message = AuditState.FAILED, "The cloud said no."
        data = self.payload(
            lambda notifications: notifications.send(
                "audit.update", self.audit.id, old_state=AuditState.ONGOING
            )
        )
        self.assertEqual(
            {
                "old_state": AuditState.ONGOING,
                "state": AuditState.FAILED,
                "status_message": "The cloud said no.",
            },
            data["state_update"]["watcher_object.data"],
        )

    def test_another_update_has_no_states(self) -> None:
        data = self.payload(
            lambda notifications: notifications.send("action_plan.update", self.plan.id)
        )
        self.assertEqual(
            {"old_state": None, "state": None, "status_message": None},
            data["state_update"]["watcher_object.data"],
        )

    def test_a_review_has_the_kept_share(self) -> None:
        with self.database.writer() as session:
            row = session.get_one(models.Review, self.plan.id)
            row.kept, row.realised, row.message = 0.25, {"f": 1.75}, "A quarter."
        data = self.payload(
            lambda notifications: notifications.send("action_plan.review", self.plan.id)
        )
        self.assertEqual(
            {
                "figure": "f",
                "before": 2,
                "after": 1,
                "realised": 1.75,
                "kept": 25.0,
                "message": "A quarter.",
                "reviewed_at": None,
            },
            data["review"]["watcher_object.data"],
        )

    def test_a_fault_names_what_raised_it(self) -> None:
        def fail() -> None:
            raise KeyError("host")

        def tell(notifications: Notifications) -> None:
            try:
                fail()
            except KeyError as error:
                notifications.send("action.execution.error", self.actions[0].id, error=error)

        self.assertEqual(
            {
                "module_name": __name__,
                "function_name": "fail",
                "exception": "KeyError",
                "exception_message": "'host'",
            },
            self.payload(tell)["fault"]["watcher_object.data"],
        )

    def test_a_plan_failed_by_its_actions_has_no_fault(self) -> None:
        data = self.payload(
            lambda notifications: notifications.send("action_plan.execution.error", self.plan.id)
        )
        self.assertIsNone(data["fault"])

    def test_a_plan_is_created_before_its_actions_and_deleted_after_them(self) -> None:
        created, deleted = ["action.create"] * 3, ["action.delete"] * 3
        notifications = self.start()
        notifications.plan_created(self.plan.id)
        notifications.plan_deleted(self.plan.id)
        messages = self.sent(notifications)
        self.assertEqual(
            ["action_plan.create", *created, *deleted, "action_plan.delete"],
            [message["event_type"] for message in messages],
        )
        for action, message in zip(self.actions, messages[1:4], strict=True):
            data = message["payload"]["watcher_object.data"]
            self.assertEqual(
                (action.uuid, self.plan.uuid), (data["uuid"], data["action_plan_uuid"])
            )

    def test_actions_cancelled_with_their_plan(self) -> None:
        with self.database.writer() as session:
            session.get_one(models.Action, self.actions[1].id).state = ActionState.CANCELLED
        data = self.payload(lambda notifications: notifications.actions_cancelled(self.plan.id))
        self.assertEqual(self.actions[1].uuid, data["uuid"])

    def test_a_deleted_audit_has_payloads_as_well(self) -> None:
        with self.database.writer() as session:
            audit = session.get_one(models.Audit, self.audit.id)
            audit.deleted, audit.deleted_at = audit.id, audit.created_at
        data = self.payload(lambda notifications: notifications.send("audit.delete", self.audit.id))
        self.assertEqual(data["created_at"], data["deleted_at"])

    def test_no_rows_no_message(self) -> None:
        notifications = self.start()
        executed = base.round_trips(self.database)
        notifications.send("action.update")
        notifications.send("action_plan.update")
        self.assertEqual([], self.sent(notifications))
        self.assertEqual(0, len(executed))

    def test_a_service_that_comes_back_is_information(self) -> None:
        notifications = self.start()
        service = models.Service(name="watcher-applier", host="b")
        notifications.service_updated(service, ServiceState.FAILED, ServiceState.ACTIVE)
        (message,) = self.sent(notifications)
        self.assertEqual("INFO", message["priority"])
        self.assertEqual("b", message["payload"]["watcher_object.data"]["sevice_host"])


class TestCost(NotificationsTestCase):
    def test_a_message_costs_one_statement_whatever_it_is_about(self) -> None:
        notifications = self.start()
        for tell in (
            lambda: notifications.send("audit.update", self.audit.id),
            lambda: notifications.send("action_plan.update", self.plan.id),
            lambda: notifications.send("action.update", *(action.id for action in self.actions)),
        ):
            executed = base.round_trips(self.database)
            tell()
            self.assertEqual(1, len(executed))

    def test_no_rows_are_read_without_consumers(self) -> None:
        executed = base.round_trips(self.database)
        for level, drivers in (("info", ()), ("", ("test",)), ("critical", ("test",))):
            notifications = self.start(level, drivers)
            TestWire.tell_everything(self, notifications)  # type: ignore[arg-type]
            self.assertEqual([], self.sent(notifications))
        self.assertEqual(0, len(executed))

    def test_the_level_is_the_lowest_priority_that_is_sent(self) -> None:
        notifications = self.start("warning")
        TestWire.tell_everything(self, notifications)  # type: ignore[arg-type]
        self.assertEqual(
            {"ERROR", "WARN"}, {message["priority"] for message in self.sent(notifications)}
        )

    def test_a_notification_that_cannot_be_made_does_not_fail_the_caller(self) -> None:
        notifications = self.start()
        with mock.patch("watcher.notifications.notifications.LOG") as logger:
            notifications.send("audit.update", -1)
        logger.exception.assert_called_once_with(
            "Notification %s about %s is lost", "audit.update", (-1,)
        )
        self.assertEqual([], self.sent(notifications))


def _objects(value: Any) -> Any:
    """All versioned objects in a payload, outermost first."""
    if isinstance(value, dict):
        if "watcher_object.name" in value:
            yield value
        for item in value.values():
            yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)
