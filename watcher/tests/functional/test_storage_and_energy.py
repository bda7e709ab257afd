# SPDX-License-Identifier: Apache-2.0
"""Audits of block storage and bare metal, from the client to the cloud."""

import uuid as uuidlib
from typing import Any

from watcher.common.states import ActionState, PlanState, RunState
from watcher.tests.base import wait_for
from watcher.tests.functional.all_in_one import AllInOneTestCase

FULL, EMPTY = "node@full#p", "node@empty#p"
SIZE = {"vcpus": 4, "memory_mb": 4096, "disk_gb": 40}
VOLUMES = [str(uuidlib.UUID(int=number)) for number in range(1, 6)]
SLOW = str(uuidlib.UUID(int=6))


class StorageAndEnergyTest(AllInOneTestCase):
    OPTIONS = {"cinder": {"migration_interval": 0.1}, "baremetal": {"power_interval": 0.1}}
    CLOUD: Any = {
        "hosts": [
            {"hostname": name, "power": "on", "power_seconds": 0.2, **SIZE} for name in "abcd"
        ],
        "servers": [{"name": "s", "host": "a", **SIZE}],
        "storage": {
            "migration_seconds": 0.2,
            "types": [{"name": "small", "extra_specs": {"volume_backend_name": "empty"}}],
            "pools": [
                {"name": FULL, "total_capacity_gb": 100},
                {"name": EMPTY, "total_capacity_gb": 100},
            ],
            "volumes": [
                {"uuid": uuid, "name": f"v{number}", "host": FULL, "size_gb": 19}
                for number, uuid in enumerate(VOLUMES)
            ]
            + [{"uuid": SLOW, "name": "s", "host": FULL, "size_gb": 0, "migration_seconds": 2}],
        },
    }

    def carried_out(self, state: str = PlanState.SUCCEEDED, **audit: Any) -> list[Any]:
        """The actions of the one plan of an audit, when it is over."""
        audit = {"audit_type": "ONESHOT", "auto_trigger": True, **audit}
        uuid = self.client.audit.create(**audit).uuid
        self.wait_for_runs(uuid, RunState.SUCCEEDED)
        (plan,) = self.plans(uuid)
        self.wait_for_plan(plan.uuid, state)
        return self.client.action.list(action_plan=plan.uuid, detail=True)

    def places(self) -> list[str]:
        return [self.watcher.cloud.storage.volume(uuid).host for uuid in VOLUMES]

    def test_a_pool_that_is_too_full_gives_a_volume(self) -> None:
        """It is 95 % full, and 76 % with one volume less."""
        template = self.client.audit_template.create(
            name="storage",
            goal="workload_balancing",
            strategy="storage_capacity_balance",
            scope=[{"storage": [{"exclude": [{"volumes": [{"uuid": VOLUMES[0]}]}]}]}],
        )
        (action,) = self.carried_out(audit_template_uuid=template.uuid)
        self.assertEqual(
            ("volume_migrate", ActionState.SUCCEEDED), (action.action_type, action.state)
        )
        self.assertEqual([FULL, EMPTY, FULL, FULL, FULL], self.places())

    def test_volumes_by_hand(self) -> None:
        def volume(number: int, **parameters: Any) -> dict[str, Any]:
            return {
                "action_type": "volume_migrate",
                "resource_id": VOLUMES[number],
                "input_parameters": parameters,
            }

        actions = self.carried_out(
            PlanState.FAILED,
            goal="unclassified",
            strategy="actuator",
            parameters={
                "actions": [
                    volume(0, migration_type="migrate", destination_node=EMPTY),
                    volume(1, migration_type="retype", destination_type="small"),
                    volume(2, migration_type="migrate", destination_node=FULL),
                    volume(3, migration_type="migrate", destination_node="x@y#z"),
                ]
            },
        )
        ends = {
            action.input_parameters["resource_id"]: (action.state, action.status_message)
            for action in actions
        }
        self.assertEqual([EMPTY, EMPTY, FULL, FULL, FULL], self.places())
        self.assertEqual(
            [ActionState.SUCCEEDED, ActionState.SUCCEEDED, ActionState.SKIPPED, ActionState.FAILED],
            [ends[uuid][0] for uuid in VOLUMES[:4]],
        )
        self.assertIn(f"is in pool {FULL} already", ends[VOLUMES[2]][1])
        self.assertIn("Pool x@y#z was not found", ends[VOLUMES[3]][1])

    def test_a_restart_while_a_volume_moves(self) -> None:
        """The action finds the move under way, and awaits it: another request is refused."""
        parameters = {"migration_type": "migrate", "destination_node": EMPTY}
        action = {"action_type": "volume_migrate", "input_parameters": parameters}
        audit = self.client.audit.create(
            audit_type="ONESHOT",
            auto_trigger=True,
            goal="unclassified",
            strategy="actuator",
            parameters={"actions": [{**action, "resource_id": SLOW}]},
        )
        wait_for(lambda: self.watcher.cloud.storage.volume(SLOW).moving, "the volume moves")
        self.watcher.restart()
        self.client = self.watcher.client
        (plan,) = self.plans(audit.uuid)
        self.wait_for_plan(plan.uuid, PlanState.SUCCEEDED)
        self.assertEqual(EMPTY, self.watcher.cloud.storage.volume(SLOW).host)

    def test_machines_that_are_not_needed_are_switched_off(self) -> None:
        actions = self.carried_out(goal="saving_energy", strategy="saving_energy")
        self.assertEqual([ActionState.SUCCEEDED] * 2, [action.state for action in actions])
        hosts = {host.hostname: host for host in self.watcher.cloud.hosts()}
        off = [name for name, host in hosts.items() if host.state == "down"]
        self.assertEqual(2, len(off))
        self.assertNotIn("a", off)
        self.assertEqual({"disabled"}, {hosts[name].status for name in off})

        actions = self.carried_out(
            goal="saving_energy", strategy="saving_energy", parameters={"min_free_hosts_num": 3}
        )
        self.assertEqual([ActionState.SUCCEEDED] * 2, [action.state for action in actions])
        self.assertEqual(
            {("up", "enabled")}, {(host.state, host.status) for host in self.watcher.cloud.hosts()}
        )
