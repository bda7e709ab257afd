# SPDX-License-Identifier: Apache-2.0
"""The actions on servers and hosts, on a simulated cloud whose clock goes on when they wait."""

import functools
from collections.abc import Callable
from typing import Any
from unittest import mock

from watcher.applier.actions.base import Action, ActionFailed, ActionTools, Skip
from watcher.applier.actions.change_nova_service_state import ChangeNovaServiceState
from watcher.applier.actions.migrate import Migrate
from watcher.applier.actions.resize import Resize
from watcher.applier.actions.stop import Stop
from watcher.applier.interrupts import Cancelled
from watcher.cloud.compute import Host, Server
from watcher.common.errors import CloudRefused, CloudUnavailable, NotFound
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base

UUID = "7a4f3c6e-21d0-4d0e-9a53-2f5c1f0f6a11"
OTHER = "7a4f3c6e-21d0-4d0e-9a53-2f5c1f0f6a12"
SMALL = {"vcpus": 2, "memory_mb": 2000, "disk_gb": 20}
LARGE = {"vcpus": 4, "memory_mb": 4000, "disk_gb": 40}
HOST = {"vcpus": 8, "memory_mb": 8000, "disk_gb": 80}
REASON = "Bought second hand."


class ActionTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conf.register_opts(Stop.options, group="watcher_actions.stop")
        self.conf.set_override("migration_max_retries", 10, group="nova")
        self.conf.set_override("migration_interval", 1.0, group="nova")
        self.on_wait: Callable[[], None] = lambda: None
        self.build()

    def build(self, **server: Any) -> None:
        self.now = 0.0
        off = {"status": "disabled", "disabled_reason": REASON, "uuid": "uuid-of-off"}
        self.cloud = SimulatedCloud(
            Scenario.from_dict(
                {
                    "hosts": [
                        {"hostname": "a", "uuid": "uuid-of-a", **HOST},
                        {"hostname": "b", **HOST},
                        {"hostname": "off", **off, **HOST},
                    ],
                    "servers": [
                        {"uuid": UUID, "name": "s", "host": "a", "flavor": "small", **SMALL}
                        | {"migration_seconds": 3}
                        | server
                    ],
                    "flavors": [
                        {"id": "1", "name": "small", **SMALL},
                        {"id": "2", "name": "large", **LARGE},
                        {"id": "3", "name": "huge", **LARGE, "vcpus": 99},
                    ],
                }
            ),
            lambda: self.now,
        )

    def wait(self, seconds: float) -> None:
        self.on_wait()
        self.now += seconds

    def make(self, kind: type[Action], **parameters: Any) -> Any:
        return kind({"resource_id": UUID, **parameters}, self.tools)

    @property
    def tools(self) -> ActionTools:
        return ActionTools(self.cloud.cloud, self.conf, self.wait)

    @property
    def server(self) -> Server:
        return self.cloud.server(UUID)

    def change(self, **changes: Any) -> None:
        self.cloud.change(UUID, **changes)

    def delete(self) -> None:
        """Whoever wanted it gone."""
        self.cloud.remove(UUID)

    def sentence(self, do: Callable[..., Any], *args: Any, error: Any = ActionFailed) -> str:
        return str(self.assertRaises(error, do, *args))

    def spied(self, request: str) -> Any:
        """A context in which a request is counted; it still is one."""
        real = getattr(self.cloud, request)
        return mock.patch.object(self.cloud, request, side_effect=real)

    def unheard(self, request: str, happens: bool = True) -> Any:
        """A context in which the answer to a request gets lost, or the request itself."""
        real = getattr(self.cloud, request)

        def ask(*args: Any) -> None:
            if happens:
                real(*args)
            raise CloudUnavailable("No answer.")

        return mock.patch.object(self.cloud, request, ask)

    def interrupt(self, do: Callable[[], None], after: float) -> None:
        """An interrupt comes at a time of the cloud's clock."""

        def cancel() -> None:
            if self.now >= after:
                raise Cancelled

        self.on_wait = cancel
        self.assertRaises(Cancelled, do)
        self.on_wait = lambda: None


class ResizeTest(ActionTestCase):
    def action(self, flavor: str = "large") -> Resize:
        resize: Resize = self.make(Resize, flavor=flavor)
        return resize

    def test_a_flavor_has_an_id_or_a_name(self) -> None:
        for ident in ("large", "2"):
            self.build()
            action = self.action(ident)
            self.assertEqual({"flavor": "small"}, action.check())
            action.execute()
            self.assertEqual(("large", 4, "active"), self.shape())

    def shape(self) -> tuple[str, int, str]:
        return self.server.flavor, self.server.vcpus, self.server.state

    def test_a_stopped_server_stays_stopped(self) -> None:
        self.build(state="stopped")
        self.action().execute()
        self.assertEqual(("large", 4, "stopped"), self.shape())

    def test_there_is_nothing_to_do(self) -> None:
        gone = self.make(Resize, resource_id=OTHER, flavor="large")
        self.assertIn(OTHER, self.sentence(gone.check, error=Skip))
        skip = self.sentence(self.action("1").check, error=Skip)
        self.assertIn("has flavor small already", skip)

    def test_an_unknown_flavor(self) -> None:
        self.assertIn("Flavor none was not found", self.sentence(self.action("none").check))

    def test_a_refusal_is_passed_on(self) -> None:
        refused = self.sentence(self.action("huge").execute, error=CloudRefused)
        self.assertIn("No host has room", refused)

    def test_one_that_fails(self) -> None:
        self.build(migration_fails=True)
        failure = self.sentence(self.action().execute)
        self.assertIn("the resize to large failed. It was configured to fail.", failure)

    def test_one_whose_failure_is_not_explained(self) -> None:
        self.build(migration_fails=True)
        for silence in ({"return_value": None}, {"side_effect": CloudUnavailable("No answer.")}):
            with mock.patch.object(self.cloud, "failure", **silence):
                failure = self.sentence(self.action().execute)
            self.assertTrue(failure.endswith("the resize to large failed."))

    def test_one_that_ends_in_error(self) -> None:
        self.on_wait = lambda: self.change(state="error")
        self.assertIn("in state ERROR on host a", self.sentence(self.action().execute))

    def test_one_that_takes_too_long(self) -> None:
        self.build(migration_seconds=1000)
        self.assertIn("not resized within 10 seconds", self.sentence(self.action().execute))
        self.assertEqual(10, self.now)

    def test_the_service_may_confirm_by_itself(self) -> None:
        real = self.cloud.confirm_resize

        def too_late(uuid: str) -> None:
            real(uuid)
            real(uuid)

        with mock.patch.object(self.cloud, "confirm_resize", too_late):
            self.action().execute()
        self.assertEqual(("large", 4, "active"), self.shape())

    def test_a_confirmation_that_is_refused(self) -> None:
        refusal = mock.Mock(side_effect=CloudRefused("Not now."))
        with mock.patch.object(self.cloud, "confirm_resize", refusal):
            self.assertRaises(CloudRefused, self.action().execute)

    def test_answers_that_get_lost(self) -> None:
        for request in ("resize", "confirm_resize"):
            self.build()
            with self.unheard(request):
                self.action().execute()
            self.assertEqual(("large", 4, "active"), self.shape())

    def test_resume_at_any_time(self) -> None:
        """Nothing asked for, under way, to be confirmed, confirmed."""
        for begun, after in ((False, 0), (True, 0), (True, 5)):
            self.build()
            if begun:
                self.cloud.resize(UUID, "2")
            self.now += after
            for _ in range(2):
                self.action().resume()
                self.assertEqual(("large", 4, "active"), self.shape())

    def test_resume_asks_once(self) -> None:
        self.cloud.resize(UUID, "2")
        with self.spied("resize") as again:
            self.action().resume()
        again.assert_not_called()

    def test_a_cancel_awaits_the_end(self) -> None:
        action = self.action()
        self.interrupt(action.execute, after=1)
        self.assertFalse(action.abort())
        action.resume()
        self.assertEqual(("large", 4, "active"), self.shape())

    def test_abort_of_one_that_was_never_requested(self) -> None:
        self.assertTrue(self.action().abort())
        self.assertEqual(("small", 2, "active"), self.shape())

    def test_abort_of_one_that_is_over(self) -> None:
        self.action().execute()
        self.assertFalse(self.action().abort())

    def test_abort_of_one_that_does_not_end_or_ends_in_error(self) -> None:
        self.build(migration_seconds=1000)
        self.cloud.resize(UUID, "2")
        self.assertFalse(self.action().abort())
        self.change(state="error")
        self.assertIn("in state ERROR", self.sentence(self.action().abort))

    def test_revert(self) -> None:
        action = self.action()
        origin = action.check()
        action.execute()
        for _ in range(2):
            action.revert(origin)
            self.assertEqual(("small", 2, "active"), self.shape())


class StopTest(ActionTestCase):
    def action(self) -> Stop:
        stop: Stop = self.make(Stop)
        return stop

    def test_stop(self) -> None:
        self.assertEqual({}, self.action().check())
        self.action().execute()
        self.assertEqual(("stopped", None), (self.server.state, self.server.task_state))

    def test_there_is_nothing_to_do(self) -> None:
        gone = self.make(Stop, resource_id=OTHER)
        self.assertIn(OTHER, self.sentence(gone.check, error=Skip))
        self.build(state="stopped")
        self.assertIn("stopped already", self.sentence(self.action().check, error=Skip))

    def test_a_server_in_error_is_refused(self) -> None:
        self.build(state="error")
        self.assertIn("in state ERROR", self.sentence(self.action().check))

    def test_a_refusal_is_passed_on(self) -> None:
        self.build(state="paused")
        self.assertRaises(CloudRefused, self.action().execute)

    def test_a_server_that_is_deleted_does_not_run(self) -> None:
        self.on_wait = self.delete
        self.action().execute()
        self.action().resume()

    def test_one_that_does_not_stop(self) -> None:
        with mock.patch.object(self.cloud, "stop"):
            self.assertIn("is ACTIVE on host a", self.sentence(self.action().execute))
        self.assertEqual(3, self.now)

    def test_one_that_takes_too_long(self) -> None:
        self.conf.set_override("timeout", 2, group="watcher_actions.stop")
        self.assertIn("not stopped within 2 seconds", self.sentence(self.action().execute))
        self.assertEqual(2, self.now)

    def test_an_answer_that_gets_lost(self) -> None:
        with self.unheard("stop"):
            self.action().execute()
        self.assertEqual("stopped", self.server.state)

    def test_resume_at_any_time(self) -> None:
        """Nothing asked for, under way, over."""
        for begun, after in ((False, 0), (True, 1), (True, 5)):
            self.build()
            if begun:
                self.cloud.stop(UUID)
            self.now += after
            self.action().resume()
            self.assertEqual("stopped", self.server.state)

    def test_a_cancel_awaits_the_end(self) -> None:
        action = self.action()
        self.interrupt(action.execute, after=1)
        self.assertFalse(action.abort())
        action.resume()
        self.assertEqual("stopped", self.server.state)

    def test_abort_of_one_that_was_never_requested(self) -> None:
        self.assertTrue(self.action().abort())
        self.assertEqual("active", self.server.state)

    def test_abort_of_one_that_does_not_end_or_ends_in_error(self) -> None:
        self.cloud.stop(UUID)
        self.conf.set_override("timeout", 1, group="watcher_actions.stop")
        self.assertFalse(self.action().abort())
        self.change(state="error")
        self.assertIn("in state ERROR", self.sentence(self.action().abort))
        self.delete()
        self.assertFalse(self.action().abort())

    def test_revert(self) -> None:
        action = self.action()
        action.execute()
        for _ in range(2):
            action.revert({})
            self.assertEqual("active", self.server.state)


class ChangeNovaServiceStateTest(ActionTestCase):
    def action(self, state: str = "disabled", **parameters: Any) -> ChangeNovaServiceState:
        kind = ChangeNovaServiceState
        action: ChangeNovaServiceState = self.make(
            kind, **{"resource_id": "a", "state": state, **parameters}
        )
        return action

    def host(self, hostname: str = "a") -> Host:
        return self.cloud.host(hostname)

    def do(self, action: Action) -> Any:
        origin = action.check()
        action.execute()
        action.verify()
        return origin

    def test_a_host_is_named_in_three_ways(self) -> None:
        for names in (
            {"resource_id": "uuid-of-a", "resource_name": "a"},
            {"resource_id": "a"},
            {"resource_id": "uuid-of-a"},
        ):
            self.build()
            self.do(self.action(**names))
            self.assertEqual("disabled", self.host().status)

    def test_a_reason_is_written_down(self) -> None:
        self.do(self.action(disabled_reason="watcher_disabled"))
        self.assertEqual("watcher_disabled", self.host().disabled_reason)

    def test_enabled(self) -> None:
        self.do(self.action("enabled", resource_id="off"))
        self.assertEqual(("enabled", None), (self.host("off").status, self.host().disabled_reason))

    def test_there_is_nothing_to_do(self) -> None:
        skip = self.sentence(self.action(resource_id="x").check, error=Skip)
        self.assertIn("Host x was not found", skip)
        skip = self.sentence(self.action("enabled").check, error=Skip)
        self.assertIn("host a is enabled already", skip)

    def test_only_if_empty(self) -> None:
        action = self.action(only_if_empty=True)
        self.assertIn("has 1 server left", self.sentence(action.check, error=Skip))
        self.do(self.action(resource_id="b", only_if_empty=True))
        self.assertEqual("disabled", self.host("b").status)

    def test_a_host_that_watcher_disabled_goes_into_maintenance(self) -> None:
        plans = [f"5b1d7a9c-2e4f-4083-9c01-1f6c8e2a7b9{number}" for number in range(2)]
        self.cloud.disable("a", f"watcher_disabled {plans[0]}")
        maintenance = f"watcher_maintaining {plans[1]}"
        self.assertTrue(self.action(disabled_reason=maintenance).abort())
        self.do(self.action(disabled_reason=maintenance))
        self.assertEqual(maintenance, self.host().disabled_reason)
        for reason in (f"watcher_disabled {plans[1]}", f"watcher_maintaining {plans[0]}"):
            self.sentence(self.action(disabled_reason=reason).check, error=Skip)

    def test_a_host_that_a_person_disabled_is_not_changed(self) -> None:
        self.cloud.disable("a", "broken fan")
        for word in ("watcher_disabled", "watcher_maintaining"):
            self.sentence(self.action(disabled_reason=word).check, error=Skip)

    def test_a_service_cannot_be_set_up_or_down(self) -> None:
        for state in ("up", "down"):
            failure = self.sentence(self.action(state).check)
            self.assertIn(f"not set {state}", failure)

    def test_a_service_that_does_not_obey(self) -> None:
        with mock.patch.object(self.cloud, "disable"):
            failure = self.sentence(self.do, self.action())
        self.assertIn("should be disabled but is enabled", failure)

    def test_resume(self) -> None:
        for done in (False, True):
            self.build()
            if done:
                self.cloud.disable("a", "before the crash")
            self.action().resume()
            self.assertEqual("disabled", self.host().status)
        self.assertEqual("before the crash", self.host().disabled_reason)

    def test_abort(self) -> None:
        self.assertTrue(self.action().abort())
        self.do(self.action())
        self.assertFalse(self.action().abort())

    def test_revert_brings_the_reason_back(self) -> None:
        for hostname, state in (("off", "enabled"), ("a", "disabled")):
            before = self.host(hostname)
            action = self.action(state, resource_id=hostname)
            origin = self.do(action)
            for _ in range(2):
                action.revert(origin)
                self.assertEqual(before, self.host(hostname))


class RevertMigrationTest(ActionTestCase):
    def action(self, kind: str = "live", destination: str | None = "b") -> Migrate:
        migrate: Migrate = self.make(
            Migrate, migration_type=kind, source_node="a", destination_node=destination
        )
        return migrate

    def test_a_server_comes_back(self) -> None:
        for kind, destination in (("live", "b"), ("live", None), ("cold", "b"), ("cold", None)):
            self.build()
            action = self.action(kind, destination)
            action.execute()
            for _ in range(2):
                action.revert({})
                self.assertEqual(("a", "active"), (self.server.host, self.server.state))

    def test_one_that_was_moved_by_others_stays(self) -> None:
        self.change(host="off")
        self.assertIn("should be on a", self.sentence(self.action().revert, {}))
        self.assertEqual("off", self.server.host)

    def test_it_may_be_begun_again_at_any_time(self) -> None:
        """An applier dies in the middle of it: while it goes on, or before the confirmation."""
        for kind, after in (("live", 1), ("cold", 1), ("cold", 3)):
            self.build()
            action = self.action(kind)
            action.execute()
            self.interrupt(functools.partial(action.revert, {}), self.now + after)
            action.revert({})
            self.assertEqual(("a", "active"), (self.server.host, self.server.state))

    def test_a_server_that_is_gone(self) -> None:
        self.delete()
        self.assertRaises(NotFound, self.action().revert, {})
