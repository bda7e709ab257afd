# SPDX-License-Identifier: Apache-2.0
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import fixtures
from oslo_db.exception import DBConnectionError

from watcher.api.group_commit import GroupCommit
from watcher.db.timeouts import LockWait
from watcher.tests.base import TIMEOUT, TestCase, wait_for


class Batches(TestCase):
    max_wait = TIMEOUT

    def setUp(self) -> None:
        super().setUp()
        self.batches: list[list[object]] = []
        self.go_on = threading.Event()
        self.group: GroupCommit[object, int] = GroupCommit(self.work, self.max_wait)
        self.pool = ThreadPoolExecutor(30)
        self.addCleanup(self.pool.shutdown)
        self.addCleanup(self.go_on.set)

    def work(self, items: Sequence[object]) -> list[int]:
        self.batches.append(list(items))
        number = len(self.batches)
        self.wait_for(items)
        if "away" in items:
            raise DBConnectionError("away")
        if "locked" in items:
            raise LockWait("locked")
        if "bad" in items:
            raise ValueError("bad")
        return [number] * len(items)

    def wait_for(self, items: Sequence[object]) -> None:
        self.go_on.wait(TIMEOUT)

    def submit(self, item: object) -> "Future[int]":
        return self.pool.submit(self.group.submit, item)

    def keep_busy(self) -> "Future[int]":
        """A batch that does not end yet."""
        submitted = self.submit("busy")
        wait_for(lambda: self.batches, "it is under way")
        return submitted

    def submit_meanwhile(self, items: Sequence[object], others: int = 0) -> "list[Future[int]]":
        submitted = [self.submit(item) for item in items]
        number = len(items) + others
        wait_for(
            lambda: self.group.pending == number,
            "all have submitted",
        )
        return submitted


class GroupCommitTest(Batches):
    def test_a_single_thread_does_not_wait(self) -> None:
        self.go_on.set()
        self.assertEqual([1, 2], [self.submit("a").result(30), self.submit("b").result(30)])

    def test_those_who_come_meanwhile_share_the_next_batch(self) -> None:
        first = self.keep_busy()
        others = self.submit_meanwhile(list(range(10)))
        self.assertEqual([["busy"]], self.batches)
        self.go_on.set()
        self.assertEqual(1, first.result(30))
        self.assertEqual([2] * 10, [each.result(30) for each in others])
        self.assertEqual(set(range(10)), set(self.batches[1]))

    def test_a_crowd_takes_those_along_who_are_a_moment_late(self) -> None:
        self.keep_busy()
        crowd = self.submit_meanwhile(["a", "b"])
        late: list[Future[int]] = []
        clock = self.useFixture(fixtures.MockPatch("watcher.api.group_commit.time")).mock
        clock.sleep.side_effect = lambda _: late.extend(self.submit_meanwhile(["late"], others=1))
        self.go_on.set()
        self.assertEqual([2, 2], [each.result(30) for each in crowd])
        clock.sleep.assert_not_called()
        asked = self.submit("in time")
        self.assertEqual([3, 3], [asked.result(30), late[0].result(30)])
        clock.sleep.side_effect = None
        self.assertEqual(4, self.submit("c").result(30))
        clock.sleep.side_effect = AssertionError("nobody waits for one who is alone")
        self.assertEqual(5, self.submit("d").result(30))

    def test_when_the_database_is_away_all_know(self) -> None:
        self.keep_busy()
        submitted = self.submit_meanwhile(["a", "away"])
        self.go_on.set()
        for each in submitted:
            self.assertRaises(DBConnectionError, each.result, 30)
        self.assertEqual(3, self.submit("later").result(30))

    def test_one_bad_item_spoils_no_other(self) -> None:
        for what, error in (("bad", ValueError), ("locked", LockWait)):
            self.go_on.clear()
            self.batches.clear()
            self.keep_busy()
            good, bad, other = self.submit_meanwhile(["a", what, "b"])
            self.go_on.set()
            self.assertRaises(error, bad.result, 30)
            self.assertTrue(good.result(30) > 2 and other.result(30) > 2)
            self.assertEqual([["a"], ["b"], [what]], sorted(self.batches[2:]))


class HangingBatchTest(Batches):
    """A batch that does not end holds up no other one."""

    max_wait = 0.01

    def wait_for(self, items: Sequence[object]) -> None:
        if "busy" in items:
            self.go_on.wait(TIMEOUT)

    def test_those_that_follow_go_ahead(self) -> None:
        hanging = self.keep_busy()
        self.assertEqual([2, 3], [self.submit("a").result(30), self.submit("b").result(30)])
        self.assertFalse(hanging.done())
        self.go_on.set()
        self.assertEqual(1, hanging.result(30))
        self.assertEqual(4, self.submit("c").result(30))
