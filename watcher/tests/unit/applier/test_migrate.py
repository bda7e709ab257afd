# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from typing import Any

from watcher.applier.actions.base import ActionFailed, ActionTools, Skip
from watcher.applier.actions.migrate import Migrate
from watcher.applier.interrupts import Cancelled
from watcher.cloud import Cloud
from watcher.cloud.compute import Server
from watcher.common.errors import CloudRefused, CloudUnavailable, NotConfigured, NotFound
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base

UUID = "7a4f3c6e-21d0-4d0e-9a53-2f5c1f0f6a11"
SIZE = {"vcpus": 8, "memory_mb": 8000, "disk_gb": 80}


class MigrateTest(base.TestCase):
    """Against a simulated cloud whose clock goes on when the action waits."""

    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("migration_max_retries", 10, group="nova")
        self.conf.set_override("migration_interval", 1.0, group="nova")
        self.now = 0.0
        self.requests: list[str] = []
        self.on_wait: Callable[[], None] = lambda: None
        self.build()

    def build(self, **server: Any) -> None:
        hosts: list[dict[str, Any]] = [{"hostname": name, **SIZE} for name in "abc"]
        hosts.append({"hostname": "off", "status": "disabled", **SIZE})
        entry = {"uuid": UUID, "name": "s", "host": "a", "migration_seconds": 3, **SIZE, **server}
        scenario = Scenario.from_dict({"hosts": hosts, "servers": [entry]})
        self.cloud = SimulatedCloud(scenario, lambda: self.now)
        for request in ("live_migrate", "cold_migrate", "confirm_resize", "abort_live_migration"):
            self.spy(request)

    def spy(self, request: str) -> None:
        original = getattr(self.cloud, request)

        def call(*args: Any) -> None:
            self.requests.append(request)
            original(*args)

        setattr(self.cloud, request, call)

    def action(self, **parameters: Any) -> Migrate:
        parameters = {
            "resource_id": UUID,
            "migration_type": "live",
            "source_node": "a",
            "destination_node": "b",
            **parameters,
        }
        return Migrate(parameters, ActionTools(self.cloud.cloud, self.conf, self.wait))

    def wait(self, seconds: float) -> None:
        self.on_wait()
        self.now += seconds

    def place(self) -> tuple[str, str, str | None]:
        server = self.cloud.server(UUID)
        return server.host, server.state, server.task_state

    def change(self, **changes: Any) -> None:
        self.cloud.change(UUID, **changes)

    def failure(self, do: Callable[[], Any]) -> str:
        return str(self.assertRaises(ActionFailed, do))

    # check

    def test_there_is_nothing_to_do_for_a_server_that_is_gone(self) -> None:
        other = "7a4f3c6e-21d0-4d0e-9a53-2f5c1f0f6a12"
        skip = self.assertRaises(Skip, self.action(resource_id=other).check)
        self.assertIn(other, str(skip))

    def test_there_is_nothing_to_do_for_a_server_that_has_moved(self) -> None:
        skip = str(self.assertRaises(Skip, self.action(source_node="c").check))
        self.assertIn("expected on host c but is on a", skip)

    def test_the_destination_must_take_servers(self) -> None:
        self.assertIn("was not found", self.failure(self.action(destination_node="x").check))
        self.assertIn("disabled", self.failure(self.action(destination_node="off").check))

    def test_only_a_running_server_moves_live(self) -> None:
        self.build(state="stopped")
        self.assertIn("is STOPPED; it must be ACTIVE or", self.failure(self.action().check))
        self.action(migration_type="cold").check()

    def test_a_paused_server_moves_live(self) -> None:
        self.build(state="paused")
        self.action().check()
        self.action().execute()
        self.assertEqual(("b", "paused", None), self.place())

    def test_a_server_in_error_is_not_waited_for(self) -> None:
        """Whatever else nova may say about it."""
        self.on_wait = lambda: self.change(state="error", task_state="resize_finish")
        self.assertIn("ERROR", self.failure(self.action(migration_type="cold").execute))

    def test_a_check_that_finds_nothing_wrong(self) -> None:
        self.action().check()
        self.action(destination_node=None).check()

    # execute

    def test_live(self) -> None:
        self.action().execute()
        self.assertEqual(("b", "active", None), self.place())
        self.assertEqual(["live_migrate"], self.requests)

    def test_live_to_where_the_scheduler_likes(self) -> None:
        self.action(destination_node=None).execute()
        self.assertNotEqual("a", self.place()[0])

    def test_cold_is_confirmed(self) -> None:
        for state in ("active", "stopped"):
            self.build(state=state)
            self.action(migration_type="cold").execute()
            self.assertEqual(("b", state, None), self.place())

    def test_a_refusal_is_passed_on(self) -> None:
        self.assertRaises(CloudRefused, self.action(destination_node="off").execute)

    def test_a_migration_that_fails(self) -> None:
        self.build(migration_fails=True)
        failure = self.failure(self.action().execute)
        self.assertIn("stayed on host a: the migration failed. It was configured to fail.", failure)

    def test_a_migration_that_ends_in_error(self) -> None:
        self.on_wait = lambda: self.change(state="error", task_state=None)
        self.assertIn("ERROR", self.failure(self.action().execute))

    def test_a_migration_to_another_host_than_wanted(self) -> None:
        self.on_wait = lambda: self.change(host="c", task_state=None)
        self.assertIn("should be on b", self.failure(self.action().execute))

    def test_a_service_that_is_slow_to_say_that_it_began(self) -> None:
        """Right after the request the server may look as if nothing had happened."""
        looks = iter([False, True])
        real = self.cloud.server

        def server(uuid: str) -> Server:
            if self.requests and not next(looks, True):
                return Server(uuid, "s", "a", 1, 1, 1)
            return real(uuid)

        self.cloud.server = server  # type: ignore[method-assign]
        self.action().execute()
        self.assertEqual("b", self.place()[0])

    def test_a_request_that_never_began_anything(self) -> None:
        self.cloud.live_migrate = lambda *args: None  # type: ignore[method-assign]
        self.assertIn("stayed on host a", self.failure(self.action().execute))
        self.assertEqual(3, self.now)

    def test_one_that_takes_too_long_is_aborted(self) -> None:
        self.build(migration_seconds=1000)
        self.assertIn("within 10 seconds; the migration", self.failure(self.action().execute))
        self.assertEqual(("a", "active", None), self.place())
        self.assertEqual(["live_migrate", "abort_live_migration"], self.requests)

    def test_one_that_arrives_when_it_is_given_up_has_arrived(self) -> None:
        self.build(migration_seconds=10.5)
        real = self.cloud.abort_live_migration

        def too_late(uuid: str) -> None:
            self.now += 1
            real(uuid)

        self.cloud.abort_live_migration = too_late  # type: ignore[method-assign]
        self.action().execute()
        self.assertEqual("b", self.place()[0])

    def test_one_that_cannot_be_aborted(self) -> None:
        self.build(migration_seconds=1000)
        self.cloud.abort_live_migration = lambda uuid: None  # type: ignore[method-assign]
        self.assertIn("could not be aborted", self.failure(self.action().execute))

    def test_a_cold_one_that_takes_too_long_goes_on(self) -> None:
        self.build(migration_seconds=1000)
        action = self.action(migration_type="cold")
        self.assertIn("cannot be aborted and goes on", self.failure(action.execute))

    def test_a_confirmation_without_effect(self) -> None:
        self.cloud.confirm_resize = lambda uuid: None  # type: ignore[method-assign]
        action = self.action(migration_type="cold")
        self.assertIn("without effect", self.failure(action.execute))

    def test_a_cloud_that_does_not_answer_for_a_while(self) -> None:
        """Neither while we look, nor when the answer to the request is lost."""
        real_server, real_migrate = self.cloud.server, self.cloud.live_migrate

        def migrate(*args: Any) -> None:
            real_migrate(*args)
            raise CloudUnavailable("No answer.")

        def server(uuid: str) -> Server:
            if 0 < self.now < 5:
                raise CloudUnavailable("No answer.")
            return real_server(uuid)

        self.cloud.live_migrate = migrate  # type: ignore[method-assign, assignment]
        self.cloud.server = server  # type: ignore[method-assign]
        self.action().execute()
        self.assertEqual(["live_migrate"], self.requests)

    # resume

    def resume_after(self, seconds: float, **parameters: Any) -> None:
        """Begin as an applier would that dies right after, and resume later."""
        action = self.action(**parameters)
        if action.parameters["migration_type"] == "live":
            self.cloud.live_migrate(UUID, "b")
        else:
            self.cloud.cold_migrate(UUID, "b")
        self.now += seconds
        self.requests.clear()
        action.resume()

    def test_resume_of_one_under_way_awaits_it(self) -> None:
        self.resume_after(1)
        self.assertEqual(("b", "active", None), self.place())
        self.assertEqual([], self.requests)

    def test_resume_of_one_that_has_arrived(self) -> None:
        self.resume_after(3)
        self.assertEqual([], self.requests)

    def test_resume_of_a_cold_one_confirms_it(self) -> None:
        for seconds in (1, 3):
            self.build()
            self.resume_after(seconds, migration_type="cold")
            self.assertEqual(("b", "active", None), self.place())
            self.assertEqual(["confirm_resize"], self.requests)

    def test_resume_of_one_that_was_never_requested_requests_it(self) -> None:
        self.action().resume()
        self.assertEqual(["live_migrate"], self.requests)
        self.assertEqual("b", self.place()[0])

    def test_resume_looks_before_it_repeats(self) -> None:
        self.assertIn("disabled", self.failure(self.action(destination_node="off").resume))
        self.assertEqual([], self.requests)

    def test_resume_that_cannot_be_decided(self) -> None:
        self.change(host="c")
        self.assertIn("should be on b", self.failure(self.action().resume))
        self.change(host="a", state="resized")
        self.assertIn("is resized on host a", self.failure(self.action().resume))
        gone = self.action(resource_id="7a4f3c6e-21d0-4d0e-9a53-2f5c1f0f6a12")
        self.assertRaises(NotFound, gone.resume)

    # abort

    def interrupted(self, after: float, **parameters: Any) -> Migrate:
        """An action that was cancelled *after* some seconds."""

        def cancel() -> None:
            if self.now >= after:
                raise Cancelled

        self.on_wait = cancel
        action = self.action(**parameters)
        self.assertRaises(Cancelled, action.execute)
        self.on_wait = lambda: None
        return action

    def test_abort_brings_a_live_one_back(self) -> None:
        self.assertTrue(self.interrupted(1).abort())
        self.assertEqual(("a", "active", None), self.place())

    def test_abort_of_one_that_has_just_arrived(self) -> None:
        action = self.interrupted(1)
        self.now += 10
        self.assertFalse(action.abort())
        action.resume()
        self.assertEqual("b", self.place()[0])

    def test_a_cold_one_goes_on(self) -> None:
        action = self.interrupted(1, migration_type="cold")
        self.assertFalse(action.abort())
        action.resume()
        self.assertEqual(("b", "active", None), self.place())

    def test_abort_of_one_that_was_never_requested(self) -> None:
        for kind in ("live", "cold"):
            self.assertTrue(self.action(migration_type=kind).abort())
        self.assertEqual(("a", "active", None), self.place())

    def test_without_a_cloud_nothing_moves(self) -> None:
        action = Migrate(self.action().parameters, ActionTools(Cloud(), self.conf, self.wait))
        self.assertRaises(NotConfigured, action.check)
