# SPDX-License-Identifier: Apache-2.0
"""The actions after which a server is on no host, on a simulated cloud."""

from unittest import mock

from watcher.applier.actions.base import Skip
from watcher.applier.actions.delete import Delete
from watcher.applier.actions.shelve import Shelve
from watcher.common.errors import CloudRefused, NotFound
from watcher.model.compute import ComputeModel
from watcher.tests.unit.applier.test_actions import OTHER, UUID, ActionTestCase


class ShelveTest(ActionTestCase):
    def action(self) -> Shelve:
        shelve: Shelve = self.make(Shelve)
        return shelve

    def test_shelve(self) -> None:
        self.assertIsNone(self.action().check(), "it cannot be reverted")
        self.action().execute()
        self.assertEqual(
            ("shelved_offloaded", "", None),
            (self.server.state, self.server.host, self.server.task_state),
        )
        self.assertIn(UUID, {each.uuid for each in self.cloud.servers()})
        model = ComputeModel.build(self.cloud.hosts(), self.cloud.servers())
        self.assertEqual((), model.servers, "it is on no host")

    def test_there_is_nothing_to_do(self) -> None:
        gone = self.make(Shelve, resource_id=OTHER)
        self.assertIn(OTHER, self.sentence(gone.check, error=Skip))
        for state in ("shelved", "shelved_offloaded"):
            self.build(state=state)
            self.assertIn("shelved already", self.sentence(self.action().check, error=Skip))

    def test_a_server_in_error(self) -> None:
        self.build(state="error")
        self.assertIn("in state ERROR", self.sentence(self.action().check))

    def test_one_that_is_deleted_meanwhile(self) -> None:
        self.on_wait = self.delete
        self.assertIn(UUID, self.sentence(self.action().execute, error=NotFound))

    def test_one_that_is_not_shelved(self) -> None:
        with mock.patch.object(self.cloud, "shelve"):
            self.assertIn("is ACTIVE on host a", self.sentence(self.action().execute))
        self.conf.set_override("shelve_max_retries", 4, group="nova")
        self.conf.set_override("shelve_interval", 0.1, group="nova")
        self.assertIn("not shelved within 0.4 seconds", self.sentence(self.action().execute))

    def test_resume_asks_once(self) -> None:
        for begun, after in ((False, 0), (True, 1), (True, 5)):
            self.build()
            if begun:
                self.cloud.shelve(UUID)
            self.now += after
            with self.spied("shelve") as shelve:
                self.action().resume()
            self.assertEqual(0 if begun else 1, shelve.call_count)
            self.assertEqual("shelved_offloaded", self.server.state)

    def test_a_cancel_awaits_the_end(self) -> None:
        action = self.action()
        self.interrupt(action.execute, after=1)
        self.assertFalse(action.abort())
        action.resume()
        self.assertEqual("shelved_offloaded", self.server.state)


class DeleteTest(ActionTestCase):
    def action(self) -> Delete:
        delete: Delete = self.make(Delete)
        return delete

    def test_delete(self) -> None:
        for state in ("active", "stopped", "error"):
            self.build(state=state)
            self.assertIsNone(self.action().check(), "it cannot be reverted")
            self.action().execute()
            self.assertRaises(NotFound, self.cloud.server, UUID)

    def test_there_is_nothing_to_do(self) -> None:
        gone = self.make(Delete, resource_id=OTHER)
        self.assertIn(OTHER, self.sentence(gone.check, error=Skip))
        gone.execute()
        self.build(state="soft-delete")
        self.assertIn("deleted already", self.sentence(self.action().check, error=Skip))

    def test_a_service_that_keeps_deleted_servers_for_a_while(self) -> None:
        self.on_wait = lambda: self.change(state="soft-delete", task_state=None)
        self.action().execute()
        self.assertEqual("soft-delete", self.server.state)

    def test_a_refusal_is_passed_on(self) -> None:
        refusal = CloudRefused("It is locked.")
        with mock.patch.object(self.cloud, "delete", side_effect=refusal):
            self.assertIn("locked", self.sentence(self.action().execute, error=CloudRefused))

    def test_one_that_is_not_deleted(self) -> None:
        self.conf.set_override("delete_max_retries", 3, group="nova")
        with mock.patch.object(self.cloud, "delete"):
            self.assertIn("not deleted within 3 seconds", self.sentence(self.action().execute))

    def test_a_deletion_that_fails(self) -> None:
        def begin(uuid: str) -> None:
            self.change(task_state="deleting")

        def fail() -> None:
            if self.now >= 1:
                self.change(state="error", task_state=None)

        self.on_wait = fail
        with mock.patch.object(self.cloud, "delete", begin):
            self.assertIn("should be deleted but is ERROR", self.sentence(self.action().execute))

    def test_resume_asks_once(self) -> None:
        for begun, after in ((False, 0), (True, 1), (True, 5)):
            self.build()
            if begun:
                self.cloud.delete(UUID)
            self.now += after
            with self.spied("delete") as delete:
                self.action().resume()
            self.assertEqual(0 if begun else 1, delete.call_count)
            self.assertRaises(NotFound, self.cloud.server, UUID)
