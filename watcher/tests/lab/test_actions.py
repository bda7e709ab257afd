# SPDX-License-Identifier: Apache-2.0
"""Plans that change a real cloud, carried out by applier processes."""

import os
from typing import Any

import sqlalchemy as sa

from watcher.cloud.compute import Server
from watcher.common.states import ActionState, PlanState
from watcher.conf import clients
from watcher.db import migration, models
from watcher.db.disabled_hosts import BY_HAND
from watcher.db.session import Database
from watcher.tests import base, factories
from watcher.tests.lab.real_cloud import RealCloudTestCase
from watcher.tests.processes import Process, start_node

CONFIG = """
[DEFAULT]
host = {host}
transport_url = fake://
lease_duration = 3

[database]
connection = {database}

[nova]
migration_interval = 0.5

[watcher_applier]
poll_interval = 1
rollback_when_actionplan_failed = {rollback}

[{auth_group}]
{auth}
"""
FLAVOR, LARGER = "lab.tiny", "lab.small"
SECONDS = 180


class ActionsTest(RealCloudTestCase):
    def setUp(self) -> None:
        super().setUp()
        path = os.path.join(self.directory, "watcher.sqlite")
        self.conf.set_override("connection", f"sqlite:///{path}", group="database")
        self.database = Database(self.conf)
        self.addCleanup(self.database.dispose)
        migration.upgrade(self.database)
        with self.database.writer() as session:
            goal = factories.goal(session)
            factories.audit(session, goal, factories.strategy(session, goal, name=BY_HAND))
        self.driver = self.compute()

    def start(self, host: str = "applier-1", rollback: bool = False) -> Process:
        group = self.conf[clients.AUTH]
        auth = {name: group[name] for name in group if name in ("auth_type", *self.auth_options)}
        config = CONFIG.format(
            host=host,
            database=self.conf.database.connection,
            rollback=rollback,
            auth_group=clients.AUTH,
            auth="\n".join(f"{name} = {value}" for name, value in auth.items() if value),
        )
        return start_node(self, "watcher-applier", host, config)

    auth_options = (
        "auth_url",
        "username",
        "password",
        "project_name",
        "user_domain_name",
        "project_domain_name",
    )

    def server(self, **metadata: str) -> Server:
        """A new one."""
        return self.driver.server(self.boot(self.driver, "watcher-lab", FLAVOR, **metadata))

    def elsewhere(self, server: Server) -> str:
        """The emptiest host that is not the server's, once there is one."""

        def hosts() -> list[str]:
            return [
                host.hostname
                for host in self.driver.hosts()
                if host.available and host.hostname != server.host
            ]

        available = base.wait_for(hosts, "another host takes servers", SECONDS)
        return min(available, key=lambda name: len(self.driver.servers_on(name)))

    def add_plan(self, *steps: tuple[str, str, dict[str, Any]]) -> models.ActionPlan:
        """A PENDING plan of (type, resource id, parameters), one after the other.

        It is one that a user wrote, so its actions meet the cloud without a look beforehand.
        """
        with self.database.writer() as session:
            audit, strategy = (
                session.scalars(sa.select(each)).one() for each in (models.Audit, models.Strategy)
            )
            plan: models.ActionPlan = factories.action_plan(
                session, audit, strategy, state=PlanState.PENDING
            )
            parents: list[str] = []
            for action_type, resource_id, parameters in steps:
                action = factories.action(
                    session,
                    plan,
                    action_type=action_type,
                    input_parameters={"resource_id": resource_id, **parameters},
                    state=ActionState.PENDING,
                    parents=parents,
                )
                parents = [action.uuid or ""]
        return plan

    def migration(self, server: Server, to: str | None, kind: str = "live") -> Any:
        parameters = {
            "migration_type": kind,
            "source_node": server.host,
            "destination_node": to,
        }
        return "migrate", server.uuid, parameters

    def actions(self, plan: models.ActionPlan) -> list[models.Action]:
        with self.database.reader() as session:
            query = session.query(models.Action).filter_by(action_plan_id=plan.id)
            return query.order_by(models.Action.id).all()

    def state(self, plan: models.ActionPlan) -> str | None:
        with self.database.reader() as session:
            return session.get_one(models.ActionPlan, plan.id).state

    def end(self, plan: models.ActionPlan, applier: Process) -> list[tuple[Any, Any]]:
        """State and message of each action, when the plan is over."""
        over = (PlanState.SUCCEEDED, PlanState.FAILED, PlanState.CANCELLED)
        try:
            base.wait_for(lambda: self.state(plan) in over, "the plan ends", SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{applier.log.read_text()}") from None
        return [(action.state, action.status_message) for action in self.actions(plan)]

    def carry_out(self, plan: models.ActionPlan, **options: Any) -> list[tuple[Any, Any]]:
        return self.end(plan, self.start(**options))

    def wait_for_task(self, server: Server, task_state: str) -> None:
        def busy() -> bool:
            return self.driver.server(server.uuid).task_state == task_state

        base.wait_for(busy, f"server {server.uuid} is {task_state}", SECONDS)

    def test_live_and_cold_migration_resize_and_stop(self) -> None:
        server = self.server()
        other = self.elsewhere(server)
        back = self.migration(server, server.host, "cold")
        back[2]["source_node"] = other
        plan = self.add_plan(
            self.migration(server, other),
            back,
            ("resize", server.uuid, {"flavor": LARGER}),
            ("stop", server.uuid, {}),
            ("stop", server.uuid, {}),
        )
        *succeeded, skipped = self.carry_out(plan)
        self.assertEqual([(ActionState.SUCCEEDED, None)] * 4, succeeded)
        self.assertEqual(ActionState.SKIPPED, skipped[0])
        server = self.driver.server(server.uuid)
        self.assertEqual((LARGER, "stopped"), (server.flavor, server.state))

    def test_live_migration_to_where_nova_likes(self) -> None:
        server = self.server()
        ends = self.carry_out(self.add_plan(self.migration(server, None)))
        self.assertEqual([(ActionState.SUCCEEDED, None)], ends)
        self.assertNotEqual(server.host, self.driver.server(server.uuid).host)

    def test_a_paused_server_moves_live(self) -> None:
        server = self.server()
        other = self.elsewhere(server)
        self.admin().compute.pause_server(server.uuid)
        self.at_rest(self.driver, server.uuid, "paused")
        ends = self.carry_out(self.add_plan(self.migration(server, other)))
        self.assertEqual([(ActionState.SUCCEEDED, None)], ends)
        server = self.driver.server(server.uuid)
        self.assertEqual((other, "paused"), (server.host, server.state))

    def test_a_migration_that_nova_rolls_back(self) -> None:
        server = self.server(**{"lab.migration": "fail"})
        ((state, message),) = self.carry_out(
            self.add_plan(self.migration(server, self.elsewhere(server)))
        )
        self.assertEqual(ActionState.FAILED, state)
        self.assertIn(f"stayed on host {server.host}: the migration failed.", message)

    def test_a_host_that_nova_refuses(self) -> None:
        """The anti-affinity of two servers, which the check of the action does not know."""
        connection = self.admin().compute
        group = connection.create_server_group(name="watcher-lab", policies=["anti-affinity"])
        self.addCleanup(connection.delete_server_group, group)
        one, other = (self.in_group(group.id) for _ in range(2))
        for kind in ("live", "cold"):
            ((state, message),) = self.carry_out(
                self.add_plan(self.migration(one, other.host, kind)), host=f"applier-{kind}"
            )
            self.assertEqual(ActionState.FAILED, state)
            self.assertIn("No valid host was found", message)
            self.assertIn("(req-", message)

    def in_group(self, group: str) -> Server:
        connection = self.admin()
        server = connection.compute.create_server(
            name="watcher-lab",
            flavor_id=connection.compute.find_flavor(FLAVOR, ignore_missing=False).id,
            image_id=next(connection.image.images()).id,
            networks="none",
            scheduler_hints={"group": group},
        )
        self.addCleanup(connection.compute.wait_for_delete, server)
        self.addCleanup(connection.compute.delete_server, server)
        return self.at_rest(self.driver, str(server.id))

    def test_service_state(self) -> None:
        hostname = next(host.hostname for host in self.driver.hosts() if host.available)
        self.addCleanup(self.driver.enable, hostname)
        kind = "change_nova_service_state"
        reason = {"state": "disabled", "disabled_reason": "watcher_disabled"}
        plan = self.add_plan((kind, hostname, reason))
        self.assertEqual([(ActionState.SUCCEEDED, None)], self.carry_out(plan))
        host = self.driver.host(hostname)
        self.assertEqual(("disabled", "watcher_disabled"), (host.status, host.disabled_reason))
        enable = {"state": "enabled", "resource_name": hostname}
        plan = self.add_plan((kind, host.uuid, enable), (kind, host.uuid, {"state": "enabled"}))
        first, second = self.carry_out(plan, host="applier-2")
        self.assertEqual((ActionState.SUCCEEDED, None), first)
        self.assertEqual(ActionState.SKIPPED, second[0])
        self.assertEqual("enabled", self.driver.host(hostname).status)

    def test_a_failed_plan_is_rolled_back(self) -> None:
        server, resized, stopped = self.server(), self.server(), self.server()
        plan = self.add_plan(
            self.migration(server, self.elsewhere(server)),
            ("resize", resized.uuid, {"flavor": LARGER}),
            ("stop", stopped.uuid, {}),
            ("resize", stopped.uuid, {"flavor": "no such flavor"}),
        )
        *reverted, failed = self.carry_out(plan, rollback=True)
        self.assertEqual(ActionState.FAILED, failed[0])
        self.assertEqual(
            [(ActionState.SUCCEEDED, "Reverted, because the plan failed.")] * 3, reverted
        )
        self.assertEqual(server.host, self.driver.server(server.uuid).host)
        resized = self.driver.server(resized.uuid)
        self.assertEqual((FLAVOR, "active"), (resized.flavor, resized.state))
        self.assertEqual("active", self.driver.server(stopped.uuid).state)

    def test_a_cancel_aborts_a_live_migration(self) -> None:
        server = self.server(**{"lab.migration": "120"})
        plan = self.add_plan(
            self.migration(server, self.elsewhere(server)), ("stop", server.uuid, {})
        )
        applier = self.start()
        self.wait_for_task(server, "migrating")
        with self.database.writer() as session:
            session.get_one(models.ActionPlan, plan.id).state = PlanState.CANCELLING
        states = [state for state, _ in self.end(plan, applier)]
        self.assertEqual([ActionState.CANCELLED] * 2, states)
        after = self.at_rest(self.driver, server.uuid)
        self.assertEqual(server.host, after.host)

    def test_another_applier_goes_on_after_a_kill(self) -> None:
        slow = {"lab.migration": "15"}
        for action in ("live", "cold", "resize", "stop"):
            with self.subTest(action):
                self.check_taken_over(action, self.server(**slow))

    def check_taken_over(self, action: str, server: Server) -> None:
        step = {
            "live": self.migration(server, self.elsewhere(server)),
            "cold": self.migration(server, None, "cold"),
            "resize": ("resize", server.uuid, {"flavor": LARGER}),
            "stop": ("stop", server.uuid, {}),
        }[action]
        plan = self.add_plan(step)
        applier = self.start(f"killed-{action}")
        applier.wait_until("began", lambda: self.actions(plan)[0].state == ActionState.ONGOING)
        base.wait_for(lambda: self.has_begun(server), f"{action} begins", SECONDS)
        applier.kill()
        second = self.start(f"second-{action}")
        self.assertEqual([(ActionState.SUCCEEDED, None)], self.end(plan, second))
        after = self.at_rest(self.driver, server.uuid, "stopped" if action == "stop" else "active")
        if action in ("live", "cold"):
            self.assertNotEqual(server.host, after.host)
        asked = [
            each.action
            for each in self.admin().compute.server_actions(server.uuid)
            if each.action != "confirmResize"
        ]
        self.assertEqual(2, len(asked), asked)
        second.stop()

    def has_begun(self, server: Server) -> bool:
        present = self.driver.server(server.uuid)
        return present.task_state is not None or present != server
