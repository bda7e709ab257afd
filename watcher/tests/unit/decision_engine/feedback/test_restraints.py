# SPDX-License-Identifier: Apache-2.0
import datetime
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from watcher import conf as watcher_conf
from watcher.db.moves import EarlierMove
from watcher.decision_engine.feedback import restraints
from watcher.decision_engine.solution import SolutionBuilder
from watcher.model import undone
from watcher.model.bounds import Bounds
from watcher.model.compute import ComputeModel
from watcher.model.whatif import WhatIf
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine import clusters

NOW = datetime.datetime(2026, 1, 1, 12)
CONF = watcher_conf.load(config_files=[])
AUDIT, OTHER, GOAL, OTHER_GOAL = 1, 2, 1, 2


def move(
    server: str,
    minutes: float,
    *,
    succeeded: bool = True,
    audit: int = AUDIT,
    goal: int = GOAL,
    source: str = "h1",
    destination: str = "h2",
) -> EarlierMove:
    """A move that ended so many minutes ago."""
    ended = NOW - datetime.timedelta(minutes=minutes)
    return EarlierMove(
        clusters.uid(server), source, destination, succeeded, ended, audit, goal, "no reason"
    )


class RestraintsTest(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.model = ComputeModel.build(
            [clusters.host("h1"), clusters.host("h2"), clusters.host("h3")],
            [clusters.server("s1", "h1"), clusters.server("s2", "h2"), clusters.server("s3", "h2")],
        )

    def restrained(self, moves: Sequence[EarlierMove], automatic: bool = True) -> ComputeModel:
        failed = restraints.failures(moves, CONF, NOW)
        by = AUDIT, GOAL, CONF, NOW
        return restraints.restrained(self.model, failed, moves, *by, automatic=automatic)

    def staying(self, *moves: EarlierMove, automatic: bool = True) -> dict[str, str]:
        model = self.restrained(moves, automatic)
        names = {clusters.uid(name): name for name in ("s1", "s2", "s3")}
        self.not_taking = dict(model.not_taking)
        return {names[uuid]: reason for uuid, reason in model.staying.items()}

    def test_nothing_happened(self) -> None:
        self.assertEqual({}, self.staying())

    def test_a_server_rests_after_a_move_of_a_plan_that_starts_on_its_own(self) -> None:
        self.assertEqual({"s1": undone.RESTING}, self.staying(move("s1", 59)))
        self.assertEqual({}, self.staying(move("s1", 61)))
        self.assertEqual({}, self.staying(move("s1", 1), automatic=False))

    def test_a_failed_server_waits_longer_after_each_failure(self) -> None:
        failed = [move("s1", minutes, succeeded=False) for minutes in (100, 50, 16)]
        self.assertEqual({}, self.staying(failed[-1]))
        self.assertEqual({"s1": undone.FAILED_BEFORE}, self.staying(*failed[1:]))
        self.assertEqual({"s1": undone.FAILED_BEFORE}, self.staying(*failed, automatic=False))
        self.assertEqual({}, self.staying(*failed, move("s1", 10), automatic=False))

    def test_a_failure_is_forgotten(self) -> None:
        self.assertEqual(
            {}, self.staying(*[move("s1", 24 * 60 + n, succeeded=False) for n in range(9)])
        )

    def test_a_host_that_refused_two_servers_is_left_alone(self) -> None:
        self.staying(move("s1", 1, succeeded=False))
        self.assertEqual({}, self.not_taking)
        self.staying(move("s1", 1, succeeded=False), move("s3", 1, succeeded=False))
        self.assertEqual({"h2": undone.FAILED_BEFORE}, self.not_taking)

    def test_what_an_audit_with_another_goal_did_is_left(self) -> None:
        other = {"audit": OTHER, "goal": OTHER_GOAL}
        self.assertEqual(
            {"s2": undone.OTHER_AUDIT}, self.staying(move("s2", 5 * 60, source="h3", **other))
        )
        self.assertEqual({"h3": undone.OTHER_AUDIT}, self.not_taking)
        self.assertEqual({}, self.staying(move("s2", 7 * 60, source="h3", **other)))
        self.assertEqual({}, self.staying(move("s2", 5 * 60, source="h3")))

    def test_hosts_that_take_none_are_named(self) -> None:
        other = {"audit": OTHER, "goal": OTHER_GOAL}
        failed = [move(name, 1, succeeded=False) for name in ("s1", "s3")]
        found = restraints.closed_hosts(
            self.restrained([*failed, move("s2", 5 * 60, source="h3", **other)])
        )
        self.assertEqual(
            "Much is left: 2 destinations take none: 1 with failed migrations of several servers "
            "(h2), 1 emptied by a plan of an audit with another goal (h3).",
            undone.sentence("Much is left", found),
        )

    def test_memory_that_is_left(self) -> None:
        CONF.set_override("max_gib_per_hour", 10, group="optimization")
        self.addCleanup(CONF.clear_override, "max_gib_per_hour", group="optimization")
        size = self.model.servers[0].memory_mb
        moves = [move("s1", 59), move("s2", 1, succeeded=False), move("s3", 61), move("gone", 1)]
        bounds = restraints.bounds(self.model, moves, CONF, NOW)
        self.assertEqual(10 * 1024 - 2 * size, bounds.memory_mb)

    def test_a_plan_that_ignores_its_bounds_is_found_out(self) -> None:
        model = self.restrained([move("s1", 1)])
        builder = SolutionBuilder()
        for server in model.servers:
            builder.migrate(server, model.hosts[2])
        actions = builder.build().actions
        size = self.model.servers[0].memory_mb
        sentence = restraints.exceeded(Bounds(memory_mb=2.5 * size), model, actions)
        self.assertIn("1 servers that are to stay, such as s1", sentence)
        self.assertIn("max_gib_per_hour", sentence)
        self.assertEqual("", restraints.exceeded(Bounds(memory_mb=3 * size), self.model, actions))

    @given(st.lists(st.tuples(st.sampled_from(["s1", "s2", "s3"]), st.floats(0, 120)), max_size=9))
    def test_no_server_that_rests_may_leave(self, moved: list[tuple[str, float]]) -> None:
        moves = sorted((move(*each) for each in moved), key=lambda each: each.ended)
        model = self.restrained(moves)
        what_if = WhatIf(model)
        for name, minutes in moved:
            if minutes < 60:
                index = model.server_index[clusters.uid(name)]
                self.assertFalse(what_if.leavers[index])
                self.assertEqual(undone.RESTING, what_if.why_not(index))
