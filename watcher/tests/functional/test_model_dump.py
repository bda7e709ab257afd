# SPDX-License-Identifier: Apache-2.0
"""A cloud that is saved, and an audit on the copy."""

import json
import pathlib

from watcher.tests import processes
from watcher.tests.base import TestCase, wait_for
from watcher.tests.functional.all_in_one import AllInOne

CLOUD = {
    "generate": {"hosts": 6, "servers": 40, "seed": 3},
    "servers": [
        {"name": "hot", "host": "compute-0001", "vcpus": 1, "memory_mb": 1, "disk_gb": 0, "cpu": 99}
    ],
    "metrics": {"host": {}},
}


class ModelDumpTest(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.saved = pathlib.Path(self.directory, "saved.json")

    def dump(self, cloud: str, *arguments: str):
        config = pathlib.Path(self.directory, "watcher.conf")
        config.write_text(f"[cloud]\nsimulation = {cloud}\n")
        return processes.run(
            "watcher-status", "--config-file", str(config), "model", "dump", *arguments
        )

    def original(self) -> str:
        path = pathlib.Path(self.directory, "cloud.json")
        path.write_text(json.dumps(CLOUD))
        return str(path)

    def test_the_copy_makes_the_same_plan(self) -> None:
        done = self.dump(self.original(), "--output", str(self.saved))
        self.assertEqual((0, ""), (done.returncode, done.stdout), done.stderr)
        self.assertIn("6 hosts, 6 of them measured; 41 servers", done.stderr)
        copy = json.loads(self.saved.read_text())
        self.assertEqual(
            self.plan(json.loads(pathlib.Path(self.original()).read_text())), self.plan(copy)
        )

    def plan(self, cloud):
        """(server, destination) of each migration that evens the cloud's load out."""
        watcher = self.useFixture(AllInOne(cloud))
        audit = watcher.client.audit.create(
            audit_type="ONESHOT",
            goal="workload_balancing",
            strategy="workload_stabilization",
            parameters={"thresholds": {"instance_cpu_usage": 0.05}},
        )
        (plan,) = wait_for(
            lambda: watcher.client.action_plan.list(audit=audit.uuid), "there is a plan"
        )
        actions = watcher.client.action.list(action_plan=plan.uuid, detail=True)
        moves = {
            (action.input_parameters["resource_id"], action.input_parameters["destination_node"])
            for action in actions
        }
        self.assertTrue(moves)
        return moves

    def test_without_a_file_it_goes_to_the_standard_output(self) -> None:
        done = self.dump(self.original(), "--period", "60")
        self.assertEqual(41, len(json.loads(done.stdout)["servers"]))

    def test_what_is_missing_is_one_sentence_and_no_file(self) -> None:
        done = self.dump("", "--output", str(self.saved))
        self.assertEqual((1, ""), (done.returncode, done.stdout))
        self.assertIn("watcher-status: No cloud is configured", done.stderr)
        self.assertFalse(self.saved.exists())

    def test_a_file_that_cannot_be_written_is_named(self) -> None:
        done = self.dump(self.original(), "--output", "/nowhere/saved.json")
        self.assertEqual(1, done.returncode)
        self.assertIn("/nowhere/saved.json", done.stderr)
