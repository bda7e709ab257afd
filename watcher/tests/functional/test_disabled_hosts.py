# SPDX-License-Identifier: Apache-2.0
"""Plans that disable hosts and do not succeed, as users see them."""

from typing import Any

import fixtures

from watcher.common.errors import CloudRefused
from watcher.common.states import RunState
from watcher.tests.base import wait_for
from watcher.tests.functional import all_in_one

HOST = {"vcpus": 16, "memory_mb": 65536, "disk_gb": 2000, "zone": "nova"}
SERVER = {"vcpus": 2, "memory_mb": 2048, "disk_gb": 10, "cpu": 5, "ram": 1000}


class DisabledHostsTest(all_in_one.AllInOneTestCase):
    """h1 can be emptied, h2 cannot, and h3 is empty."""

    CLOUD = {
        "hosts": [HOST | {"hostname": name} for name in ("h1", "h2", "h3")],
        "servers": [
            SERVER | {"name": "a", "host": "h1"},
            SERVER | {"name": "b", "host": "h1"},
            SERVER | {"name": "c", "host": "h2", "vcpus": 8, "locked": True},
        ],
        "migration_seconds": 60,
    }

    def begin(self, strategy: str) -> Any:
        """A plan that has been started."""
        audit = self.create("ONESHOT", "server_consolidation", strategy=strategy)
        self.wait_for_runs(audit, RunState.SUCCEEDED)
        (plan,) = self.plans(audit)
        self.client.action_plan.start(plan.uuid)
        return plan

    def cancel(self, plan: Any) -> Any:
        """The plan when it has been cancelled in the midst of its first move."""
        wait_for(
            lambda: any(server.task_state for server in self.watcher.cloud.servers()),
            "a server moves",
        )
        self.client.action_plan.cancel(plan.uuid)
        return self.wait_for_plan(plan.uuid, "CANCELLED")

    def disabled(self) -> dict[str, str | None]:
        hosts = self.watcher.cloud.hosts()
        return {host.hostname: host.disabled_by for host in hosts if host.status == "disabled"}

    def shape(self, plan: Any) -> list[str]:
        actions = self.client.action.list(action_plan=plan.uuid)
        return sorted(action.action_type for action in actions)

    def test_a_scheduler_that_picks(self) -> None:
        first = self.begin("node_resource_consolidation")
        plan = self.cancel(first)
        self.assertEqual({}, self.disabled())
        self.assertEqual("Hosts enabled again: h1, h3.", plan.status_message)
        second = self.begin("node_resource_consolidation")
        self.assertEqual(self.shape(first), self.shape(second))
        self.cancel(second)
        self.assertEqual({}, self.disabled())

    def test_hosts_that_are_emptied(self) -> None:
        for strategy in ("basic", "vm_workload_consolidation"):
            self.cancel(self.begin(strategy))
            self.assertEqual({}, self.disabled())

    def test_a_migration_that_fails(self) -> None:
        self.check_failure("basic")

    def test_a_migration_that_fails_of_a_host_by_its_use(self) -> None:
        self.check_failure("vm_workload_consolidation")

    def test_a_migration_that_fails_while_hosts_are_disabled(self) -> None:
        self.check_failure("node_resource_consolidation")

    def check_failure(self, strategy: str) -> None:
        with self.refused("live_migrate"):
            plan = self.begin(strategy)
            self.wait_for_plan(plan.uuid, "FAILED")
        self.assertLessEqual(self.disabled().keys(), {"h3"})

    def refused(self, method: str) -> Any:
        def refuse(*arguments: Any) -> None:
            raise CloudRefused("Not today.")

        return fixtures.MockPatchObject(self.watcher.cloud, method, refuse)

    def test_hosts_that_an_applier_finds_at_its_start(self) -> None:
        plan = self.begin("node_resource_consolidation")
        self.cancel(plan)
        for name in ("h1", "h2"):
            self.watcher.cloud.disable(name, f"watcher_disabled {plan.uuid}")
        self.watcher.restart()
        wait_for(lambda: not self.disabled(), "hosts are enabled again")
