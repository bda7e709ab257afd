# SPDX-License-Identifier: Apache-2.0
import dataclasses
from collections.abc import Callable
from typing import Any

from watcher.applier.actions.base import ActionFailed, ActionTools, Skip
from watcher.applier.actions.volume_migrate import VolumeMigrate
from watcher.applier.interrupts import Cancelled
from watcher.cloud import Cloud
from watcher.common.errors import CloudRefused, CloudUnavailable, NotConfigured, NotFound
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import Scenario
from watcher.tests import base

UUID = "7a4f3c6e-21d0-4d0e-9a53-2f5c1f0f6a11"
GONE = "7a4f3c6e-21d0-4d0e-9a53-2f5c1f0f6a12"
SERVER = "7a4f3c6e-21d0-4d0e-9a53-2f5c1f0f6a13"
SSD, HDD, TINY = "node@ssd#a", "node@hdd#b", "node@tiny#c"
ATTACHED = {"status": "in-use", "attachments": [{"server_id": SERVER, "attachment_id": "1"}]}


class VolumeMigrateTest(base.TestCase):
    """Against a simulated cloud whose clock goes on when the action waits."""

    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("migration_timeout", 10, group="cinder")
        self.conf.set_override("migration_interval", 1.0, group="cinder")
        self.now = 0.0
        self.requests: list[str] = []
        self.on_wait: Callable[[], None] = lambda: None
        self.build()

    def build(self, server_state: str = "active", **volume: Any) -> None:
        entry = {"uuid": UUID, "name": "v", "host": SSD, "size_gb": 10, "migration_seconds": 3}
        storage = {
            "types": [
                {"name": "fast", "extra_specs": {"volume_backend_name": "ssd"}},
                {"name": "slow", "extra_specs": {"volume_backend_name": "hdd"}},
                {"name": "nowhere", "extra_specs": {"volume_backend_name": "tape"}},
            ],
            "pools": [
                {"name": SSD, "total_capacity_gb": 100},
                {"name": HDD, "total_capacity_gb": 100},
                {"name": TINY, "total_capacity_gb": 1},
            ],
            "volumes": [{**entry, **volume}],
        }
        size = {"vcpus": 1, "memory_mb": 1, "disk_gb": 1}
        server = {"uuid": SERVER, "name": "s", "host": "h", "state": server_state, **size}
        scenario = {"hosts": [{"hostname": "h", **size}], "servers": [server], "storage": storage}
        self.cloud = SimulatedCloud(Scenario.from_dict(scenario), lambda: self.now)
        self.storage = self.cloud.storage
        for request in ("migrate", "retype"):
            self.spy(request)

    def spy(self, request: str) -> None:
        original = getattr(self.storage, request)

        def call(*args: Any) -> None:
            self.requests.append(request)
            original(*args)

        setattr(self.storage, request, call)

    def action(self, kind: str = "migrate", **parameters: Any) -> VolumeMigrate:
        where = {"destination_type": "slow"} if kind == "retype" else {"destination_node": HDD}
        parameters = {"resource_id": UUID, "migration_type": kind, **where, **parameters}
        return VolumeMigrate(parameters, ActionTools(self.cloud.cloud, self.conf, self.wait))

    def retype(self, **parameters: Any) -> VolumeMigrate:
        return self.action("retype", **parameters)

    def wait(self, seconds: float) -> None:
        self.on_wait()
        self.now += seconds

    def place(self) -> tuple[str, str, str]:
        volume = self.storage.volume(UUID)
        return volume.host, volume.volume_type, volume.status

    def change(self, **changes: Any) -> None:
        self.storage.change(UUID, **changes)

    def failure(self, do: Callable[[], Any]) -> str:
        return str(self.assertRaises(ActionFailed, do))

    # revert

    def test_a_volume_comes_back(self) -> None:
        for kind, volume_type in (("migrate", ""), ("retype", "fast")):
            self.build(volume_type=volume_type)
            action = self.action(kind)
            origin = action.check()
            before = self.place()
            action.execute()
            self.assertNotEqual(before, self.place())
            for _ in range(2):
                action.revert(origin)
                self.assertEqual(before, self.place())

    # check

    def test_there_is_nothing_to_do_for_a_volume_that_is_gone(self) -> None:
        skip = self.assertRaises(Skip, self.action(resource_id=GONE).check)
        self.assertIn(GONE, str(skip))

    def test_there_is_nothing_to_do_for_a_volume_that_is_there_already(self) -> None:
        skip = self.assertRaises(Skip, self.action(destination_node=SSD).check)
        self.assertIn(SSD, str(skip))
        self.change(volume_type="slow")
        self.assertIn("type slow", str(self.assertRaises(Skip, self.retype().check)))

    def test_the_destination_must_be_known(self) -> None:
        for action, what in (
            (self.retype(destination_type="x"), "type x was not found"),
            (self.action(destination_type="x"), "type x was not found"),
            (self.action(destination_node="x"), "Pool x was not found"),
            (self.action(destination_node=None), "destination_node"),
            (self.retype(destination_type=None), "destination_type"),
        ):
            self.assertIn(what, self.failure(action.check))

    def test_the_destination_must_be_one(self) -> None:
        pools = list(self.storage.pools())
        self.storage.pools = lambda: [*pools, *pools]
        self.assertIn("ambiguous", self.failure(self.action().check))

    def test_the_server_of_an_attached_volume_must_run(self) -> None:
        for state in ("active", "paused"):
            self.build(state, **ATTACHED)
            self.action().check()
        self.build("stopped", **ATTACHED)
        self.assertIn("it is STOPPED", self.failure(self.action().check))
        self.build(**{**ATTACHED, "status": "detaching"})
        self.assertIn("it is detaching", self.failure(self.action().check))
        attachment = {"server_id": GONE, "attachment_id": "1"}
        self.build(**{**ATTACHED, "attachments": [attachment]})
        self.assertIn(f"{GONE}, which was not found", self.failure(self.action().check))

    def test_the_pool_must_have_what_the_type_asks_for(self) -> None:
        self.build(volume_type="fast")
        self.assertIn("does not have what the type fast", self.failure(self.action().check))
        self.build(volume_type="slow")
        self.action().check()

    def test_a_check_that_finds_nothing_wrong(self) -> None:
        self.action().check()
        self.action("swap").check()
        self.retype().check()

    # execute

    def test_migrate(self) -> None:
        for kind in ("migrate", "swap"):
            self.build()
            self.action(kind).execute()
            self.assertEqual((HDD, "", "available"), self.place())
        self.assertEqual(["migrate", "migrate"], self.requests)

    def test_retype(self) -> None:
        self.build(volume_type="fast", **ATTACHED)
        self.retype().execute()
        self.assertEqual((HDD, "slow", "in-use"), self.place())

    def test_a_refusal_is_passed_on(self) -> None:
        self.assertRaises(CloudRefused, self.action(destination_node="x").execute)

    def test_one_that_fails(self) -> None:
        self.assertIn("did not move", self.failure(self.action(destination_node=TINY).execute))
        self.build(volume_type="fast")
        action = self.retype(destination_type="nowhere")
        self.assertIn("kept its type fast", self.failure(action.execute))

    def test_one_that_ends_in_error(self) -> None:
        self.on_wait = lambda: self.change(host=HDD, status="error")
        self.assertIn("status error", self.failure(self.action().execute))

    def test_one_whose_volume_is_deleted_meanwhile(self) -> None:
        self.on_wait = lambda: self.storage.remove(UUID)
        self.assertRaises(NotFound, self.action().execute)

    def test_a_service_that_is_slow_to_say_that_it_began(self) -> None:
        real, looks = self.storage.volume, iter([False, True])
        at_first = real(UUID)

        def volume(uuid: str) -> Any:
            return real(uuid) if next(looks, True) else at_first

        self.storage.volume = volume
        self.action().execute()
        self.assertEqual(HDD, self.place()[0])

    def test_a_retype_that_is_over_at_the_first_look(self) -> None:
        self.build(migration_seconds=0)
        self.retype().execute()
        self.assertEqual("slow", self.place()[1])

    def test_a_request_that_never_began_anything(self) -> None:
        self.storage.migrate = lambda *args: None
        self.assertIn("did not move", self.failure(self.action().execute))
        self.assertEqual(3, self.now)

    def test_one_that_takes_too_long(self) -> None:
        self.build(migration_seconds=1000)
        self.assertIn("within 10 seconds; the move", self.failure(self.action().execute))
        self.assertEqual(10, self.now)

    def test_a_cloud_that_does_not_answer_for_a_while(self) -> None:
        """Neither while we look, nor when the answer to the request is lost."""
        real_volume, real_migrate = self.storage.volume, self.storage.migrate
        leftovers = iter([True, None])

        def migrate(*args: Any) -> None:
            real_migrate(*args)
            raise CloudUnavailable("No answer.")

        def volume(uuid: str) -> Any:
            if 0 < self.now < 5:
                raise CloudUnavailable("No answer.")
            return real_volume(uuid)

        def has_leftover(uuid: str) -> bool:
            left = next(leftovers, False)
            if left is None:
                raise CloudUnavailable("No answer.")
            return left

        self.storage.migrate, self.storage.volume = migrate, volume
        self.storage.has_leftover = has_leftover
        self.action().execute()
        self.assertEqual((["migrate"], 7), (self.requests, self.now))

    def test_a_copy_that_stays_behind_fails_nothing(self) -> None:
        self.storage.has_leftover = lambda uuid: True
        self.action().execute()
        self.assertEqual(3 + 120, self.now)

    # resume

    def begun(self, seconds: float, **parameters: Any) -> VolumeMigrate:
        """An action whose applier died right after its request, some time later."""
        action = self.action(**parameters)
        if action.parameters["migration_type"] == "retype":
            self.storage.retype(UUID, "slow")
        else:
            self.storage.migrate(UUID, HDD)
        self.now += seconds
        self.requests.clear()
        return action

    def test_resume_of_one_under_way_or_over_requests_nothing(self) -> None:
        for kind in ("migrate", "retype"):
            for seconds in (1, 3):
                self.build(volume_type="fast" if kind == "retype" else "")
                self.begun(seconds, kind=kind).resume()
                self.assertEqual((HDD, []), (self.place()[0], self.requests))

    def test_resume_of_one_that_was_never_requested_requests_it(self) -> None:
        self.action().resume()
        self.assertEqual((HDD, ["migrate"]), (self.place()[0], self.requests))

    def test_resume_looks_before_it_repeats(self) -> None:
        self.assertIn("not found", self.failure(self.action(destination_node="x").resume))
        self.assertRaises(NotFound, self.action(resource_id=GONE).resume)
        self.assertEqual([], self.requests)

    def test_resume_of_a_failed_one_repeats_it(self) -> None:
        self.change(migration_status="error")
        self.action().resume()
        self.assertEqual(HDD, self.place()[0])

    # abort

    def test_a_move_cannot_be_aborted_and_goes_to_its_end(self) -> None:
        def cancel() -> None:
            raise Cancelled

        self.on_wait = cancel
        action = self.action()
        self.assertRaises(Cancelled, action.execute)
        self.on_wait = lambda: None
        self.assertFalse(action.abort())
        action.resume()
        self.assertEqual((HDD, ["migrate"]), (self.place()[0], self.requests))

    def test_abort_of_one_that_fails_or_never_began(self) -> None:
        self.assertTrue(self.action().abort())
        self.build(migration_fails=True)
        self.assertTrue(self.begun(1).abort())
        self.assertEqual(SSD, self.place()[0])

    def test_abort_of_one_that_is_over(self) -> None:
        self.assertFalse(self.begun(3).abort())

    def test_without_storage_nothing_moves(self) -> None:
        action = VolumeMigrate(self.action().parameters, ActionTools(Cloud(), self.conf, self.wait))
        self.assertRaises(NotConfigured, action.check)

    def test_moving(self) -> None:
        volume = self.storage.volume(UUID)
        for changes, moving in (
            ({"migration_status": "starting"}, True),
            ({"migration_status": "success"}, False),
            ({"status": "retyping"}, True),
        ):
            self.assertEqual(moving, dataclasses.replace(volume, **changes).moving)
