# SPDX-License-Identifier: Apache-2.0
"""Plans that the cloud has overtaken before they begin; any database."""

import dataclasses
from collections.abc import Collection
from typing import Any
from unittest import mock

from watcher.applier import recheck
from watcher.applier.service import Applier
from watcher.cloud.compute import Host, ServerGroup
from watcher.cloud.needs import Needs
from watcher.common.errors import CloudUnavailable
from watcher.common.states import ActionState, PlanState
from watcher.db import models, plan_execution
from watcher.db.action_plans import PlannedAction
from watcher.db.disabled_hosts import BY_HAND
from watcher.tests.unit.applier.stories import NOW, SimulatedInterrupts, Story

SKIPPED = "Action skipped automatically: "


class Bell:
    """A decision engine that listens to nobody."""

    def ring(self, uuid: str) -> None:
        pass


class RecheckStories(Story):
    """Four servers of 8 vCPUs on host a of 80; host b of 80 is empty."""

    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("migration_interval", 1.0, group="nova")

    def carry_out(self, row: models.ActionPlan) -> models.ActionPlan:
        applier = Applier(self.conf, self.database, self.cloud.cloud, Bell(), self.notifications)
        self.assertEqual(row.id, applier.dispatcher.claim(NOW))
        applier.execute_plan(row.id, SimulatedInterrupts(self))
        return self.plan_of(row)

    def change_host(self, name: str, **values: Any) -> None:
        """From now on the cloud shows the host so."""
        before = self.cloud.some_hosts

        def changed(*hostnames: Collection[str]) -> list[Host]:
            return [
                dataclasses.replace(host, **values) if host.hostname == name else host
                for host in before(*hostnames)
            ]

        self.patch(self.cloud, "some_hosts", changed)

    def moves(self, *numbers: int) -> list[dict[str, Any]]:
        """One after the other."""
        uuids = [models.new_uuid() for _ in numbers]
        return [
            self.migration(number) | {"uuid": uuid, "parents": [before] if before else []}
            for number, uuid, before in zip(numbers, uuids, [None, *uuids], strict=False)
        ]

    def check(self, *actions: dict[str, Any], **values: Any) -> list[tuple[str, str]]:
        """(state, message without its prefix) of each action after a plan that succeeds."""
        row = self.add_plan(*actions, **values)
        plan = self.carry_out(row)
        actions_ = self.actions_of(row)
        self.assertEqual(PlanState.SUCCEEDED, plan.state)
        some = any(each.state == ActionState.SKIPPED for each in actions_)
        self.assertEqual(plan_execution.SOME_SKIPPED if some else None, plan.status_message)
        return [
            (each.state or "", (each.status_message or "").removeprefix(SKIPPED))
            for each in actions_
        ]

    def test_what_is_as_it_was_is_carried_out(self) -> None:
        self.assertEqual([(ActionState.SUCCEEDED, "")] * 2, self.check(*self.moves(0, 1)))

    def test_a_server_that_is_gone_or_elsewhere(self) -> None:
        self.cloud.delete(self.uuids[0])
        self.cloud.live_migrate(self.uuids[1], "b")
        self.pass_time(60)
        first, second, third = self.check(*self.moves(0, 1, 2))
        self.assertEqual((ActionState.SKIPPED, f"Server {self.uuids[0]} was not found."), first)
        sentence = f"Server {self.uuids[1]} is expected on host a but is on b."
        self.assertEqual((ActionState.SKIPPED, sentence), second)
        self.assertEqual((ActionState.SUCCEEDED, ""), third)

    def test_a_destination_that_takes_nothing_any_more(self) -> None:
        for change, why in (
            ({"status": "disabled"}, "Host b is or may be disabled then."),
            ({"state": "down"}, "Host b is down."),
        ):
            with self.subTest(why):
                self.change_host("b", **({"status": "enabled", "state": "up"} | change))
                found = self.check(*self.moves(0), {"action_type": "nop"})
                self.assertEqual((ActionState.SKIPPED, why), found[0])
                self.assertEqual((ActionState.SUCCEEDED, ""), found[1])
        found = self.check(self.migration(0, destination_node="x"))
        self.assertEqual([(ActionState.SKIPPED, "Host x is unknown.")], found)

    def test_a_source_that_is_down(self) -> None:
        self.change_host("a", state="down")
        why = "Host a, which it leaves, is down."
        self.assertEqual([(ActionState.SKIPPED, why)], self.check(self.migration(0)))

    def test_a_destination_that_is_full(self) -> None:
        """As many stay as have no room, those that are listed last."""
        self.change_host("b", vcpus=20)
        states = self.check(*self.moves(0, 1, 2))
        self.assertEqual((ActionState.SUCCEEDED, ""), states[1])
        why = "Host b would hold 24 vCPUs, and can hold 20."
        self.assertEqual((ActionState.SKIPPED, why), states[2])

    def test_what_needs_the_room_that_a_skipped_move_would_free(self) -> None:
        self.cloud.live_migrate(self.uuids[0], "b")
        self.pass_time(60)
        self.change_host("b", vcpus=8)
        away, there = self.moves(0, 1)
        away["input_parameters"] |= {"source_node": "b", "destination_node": "x"}
        found = self.check(away, there)
        self.assertEqual((ActionState.SKIPPED, "Host x is unknown."), found[0])
        why = "Host b would hold 16 vCPUs, and can hold 8."
        self.assertEqual((ActionState.SKIPPED, why), found[1])

    def test_what_needs_the_room_that_a_deletion_frees(self) -> None:
        self.cloud.live_migrate(self.uuids[0], "b")
        self.pass_time(60)
        self.change_host("b", vcpus=8, used={"vcpus": 8})
        there = self.migration(1)["input_parameters"]
        for parents, stale in ((["1"], set()), ([], {"2"})):
            actions = [
                PlannedAction("1", "delete", {"resource_id": self.uuids[0]}, []),
                PlannedAction("2", "migrate", there, parents),
            ]
            found = recheck.stale_actions(actions, recheck.read(actions, self.cloud))
            self.assertEqual(stale, found.keys())

    def test_a_plan_that_no_cloud_could_carry_out_is_refused(self) -> None:
        self.cloud.scenario.groups.append(ServerGroup("g", "anti-affinity", self.uuids[:2], 2))
        first, second = self.moves(0, 1)
        row = self.add_plan(first, {**second, "parents": []})
        plan = self.carry_out(row)
        self.assertEqual(PlanState.FAILED, plan.state)
        self.assertIn(f"The plan is refused: action {second['uuid']}: It may", plan.status_message)
        self.assertEqual([ActionState.CANCELLED] * 2, self.states_of(row))
        self.assertEqual({"a"}, {self.cloud.server(uuid).host for uuid in self.uuids})

    def test_what_a_person_wrote_fails_as_it_always_did(self) -> None:
        row = self.add_plan(self.migration(0, destination_node="x"), strategy=BY_HAND)
        self.assertEqual(PlanState.FAILED, self.carry_out(row).state)
        self.assertEqual([ActionState.FAILED], self.states_of(row))

    def test_a_cloud_that_does_not_answer_keeps_no_plan_from_its_begin(self) -> None:
        with mock.patch.object(self.cloud, "server_groups", side_effect=CloudUnavailable("no")):
            found = self.check(*self.moves(0))
        self.assertEqual([(ActionState.SUCCEEDED, "")], found)

    def test_what_a_user_skips_frees_no_room(self) -> None:
        self.cloud.live_migrate(self.uuids[0], "b")
        self.pass_time(60)
        self.change_host("b", vcpus=8)
        away, there = self.moves(0, 1)
        away |= {"state": ActionState.SKIPPED, "status_message": "Action skipped by user."}
        away["input_parameters"] |= {"source_node": "b", "destination_node": "a"}
        self.assertIn("would hold 16 vCPUs", self.check(away, there)[1][1])

    def test_a_server_that_is_busy_is_left_to_its_action(self) -> None:
        self.cloud.stop(self.uuids[0])
        self.pass_time(60)
        row = self.add_plan(self.migration(0))
        self.assertEqual(PlanState.FAILED, self.carry_out(row).state)
        self.assertIn("must be ACTIVE", self.actions_of(row)[0].status_message)

    def test_few_requests(self) -> None:
        """Whatever is moved; servers are not read for a host whose usage placement has."""
        names = ("hosts", "servers", "host", "some_hosts", "server", "servers_on", "server_groups")
        compute = mock.Mock(wraps=self.cloud)
        moves = self.moves(0, 1, 2, 3)
        actions = [
            PlannedAction(each["uuid"], "migrate", each["input_parameters"], ()) for each in moves
        ]
        recheck.read(actions, compute)
        counts = [getattr(compute, name).call_count for name in names]
        self.assertEqual([0, 0, 0, 1, 0, 2, 1], counts)
        self.change_host("b", used={"vcpus": 75})
        compute = mock.Mock(wraps=self.cloud)
        recheck.read(actions[:1], compute)
        compute.servers_on.assert_not_called()
        compute.server.assert_called_once_with(self.uuids[0])
        compute = mock.Mock(wraps=self.cloud)
        known = recheck.read(actions, compute)
        self.assertEqual([mock.call("a")], compute.servers_on.call_args_list)
        self.assertEqual(4, len(recheck.stale_actions(actions, known)))
        self.cloud.scenario.groups.append(ServerGroup("g", "affinity", [self.uuids[0], "gone"]))
        self.assertEqual(["g"], [each.uuid for each in recheck.read(actions, compute).groups])
        compute.server.assert_called_once_with("gone")

    def test_traits_of_destinations_are_read_for_servers_that_need_some(self) -> None:
        (move,) = self.moves(0)
        actions = [PlannedAction(move["uuid"], "migrate", move["input_parameters"], ())]
        compute = mock.Mock(wraps=self.cloud)
        recheck.read(actions, compute)
        compute.traits.assert_not_called()
        needs = Needs(forbidden=frozenset({"CUSTOM_FAST"}))
        server = dataclasses.replace(self.cloud.server(self.uuids[0]), needs=needs)
        compute = mock.Mock(wraps=self.cloud, **{"server.side_effect": lambda _: server})
        compute.traits = mock.Mock(return_value=frozenset({"CUSTOM_FAST"}))
        hosts = recheck.read(actions, compute).hosts
        self.assertEqual([mock.call({"b"}, {"a"})], compute.some_hosts.call_args_list)
        self.assertEqual([mock.call("b")], compute.traits.call_args_list)
        self.assertEqual({"CUSTOM_FAST"}, hosts["b"].traits)
