# SPDX-License-Identifier: Apache-2.0
"""The actions on servers and hosts through the driver of nova, against an emulated one."""

from typing import Any

from watcher.applier.actions.base import Action, ActionFailed, ActionTools, Skip
from watcher.applier.actions.change_nova_service_state import ChangeNovaServiceState
from watcher.applier.actions.delete import Delete
from watcher.applier.actions.migrate import Migrate
from watcher.applier.actions.resize import Resize
from watcher.applier.actions.shelve import Shelve
from watcher.applier.actions.stop import Stop
from watcher.cmd import cloud
from watcher.common.errors import NotFound
from watcher.tests import base
from watcher.tests.emulated.cloud import EmulatedCloud


class ActionsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conf.register_opts(Stop.options, group="watcher_actions.stop")
        emulated = self.useFixture(EmulatedCloud())
        emulated.configure(self.conf)
        self.nova = emulated.nova
        for name in ("one", "two"):
            emulated.add_host(name)
        self.nova.add_flavor("large", 4, 4096, 1)
        self.uuid = self.nova.add_server("a", "one", self.nova.add_flavor("small", 1, 1024, 1))
        self.cloud = cloud.connect(self.conf)

    def make(self, kind: type[Action], **parameters: Any) -> Action:
        tools = ActionTools(self.cloud, self.conf, lambda seconds: None)
        return kind({"resource_id": self.uuid, **parameters}, tools)

    def do(self, kind: type[Action], **parameters: Any) -> None:
        """All of it and back again; a resume of what is done does nothing."""
        action = self.make(kind, **parameters)
        origin = action.check()
        action.execute()
        action.verify()
        log = len(self.nova.log.get(self.uuid, ()))
        action.resume()
        self.assertEqual(log, len(self.nova.log.get(self.uuid, ())))
        assert origin is not None
        self.after = self.cloud.compute.server(self.uuid)
        action.revert(origin)

    def test_migrate(self) -> None:
        for kind in ("live", "cold"):
            for destination in ("two", None):
                self.do(
                    Migrate, migration_type=kind, source_node="one", destination_node=destination
                )
                self.assertEqual(("two", "active"), (self.after.host, self.after.state))
                server = self.cloud.compute.server(self.uuid)
                self.assertEqual(("one", "active"), (server.host, server.state))

    def test_a_migration_that_fails(self) -> None:
        self.nova.fails[self.uuid] = "No valid host was found."
        action = self.make(Migrate, migration_type="cold", source_node="one")
        action.check()
        failure = str(self.assertRaises(ActionFailed, action.execute))
        self.assertIn("stayed on host one: the migration failed. nova says: No valid", failure)

    def test_resize(self) -> None:
        self.do(Resize, flavor="large")
        self.assertEqual(("large", "active"), (self.after.flavor, self.after.state))
        self.assertEqual("small", self.cloud.compute.server(self.uuid).flavor)

    def test_stop(self) -> None:
        self.do(Stop)
        self.assertEqual("stopped", self.after.state)
        self.assertEqual("active", self.cloud.compute.server(self.uuid).state)

    def test_shelve(self) -> None:
        action = self.make(Shelve)
        self.assertIsNone(action.check())
        action.execute()
        server = self.cloud.compute.server(self.uuid)
        self.assertEqual(("shelved_offloaded", ""), (server.state, server.host))
        self.assertRaises(Skip, action.check)
        self.nova.fails[self.uuid] = "Image service is away."
        self.nova.touch(self.uuid, **{"OS-EXT-STS:vm_state": "active"})
        self.assertIn("Image service", str(self.assertRaises(ActionFailed, action.execute)))

    def test_delete(self) -> None:
        action = self.make(Delete)
        self.assertIsNone(action.check())
        action.execute()
        self.assertRaises(NotFound, self.cloud.compute.server, self.uuid)
        action.resume()
        self.assertRaises(Skip, action.check)

    def test_change_nova_service_state(self) -> None:
        kind = ChangeNovaServiceState
        self.cloud.compute.disable("two", "Bought second hand.")
        self.do(kind, resource_id="two", state="enabled")
        host = self.cloud.compute.host("two")
        self.assertEqual(("disabled", "Bought second hand."), (host.status, host.disabled_reason))
        self.assertRaises(Skip, self.make(kind, resource_id="two", state="disabled").check)
        by_uuid = self.make(kind, resource_id=host.uuid, state="enabled")
        by_uuid.execute()
        by_uuid.verify()
        self.assertEqual("enabled", self.cloud.compute.host("two").status)
