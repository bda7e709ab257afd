# SPDX-License-Identifier: Apache-2.0
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import fixtures

from watcher.api.together import Together
from watcher.common.errors import NotFound
from watcher.tests.base import PATIENCE, TestCase, wait_for


class TogetherTest(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.goes: list[list[object]] = []
        self.go_on = threading.Event()
        self.together: Together[object, int] = Together(self.answer, fatal=OSError)
        self.pool = ThreadPoolExecutor(30)
        self.addCleanup(self.pool.shutdown)
        self.addCleanup(self.go_on.set)

    def answer(self, questions: Sequence[object]) -> list[int | Exception]:
        self.goes.append(list(questions))
        number = len(self.goes)
        self.go_on.wait(PATIENCE)
        if "all fail" in questions:
            raise OSError("away")
        if "bad" in questions:
            raise ValueError("bad")
        return [NotFound("none") if question == "missing" else number for question in questions]

    def ask(self, question: object) -> "Future[int]":
        return self.pool.submit(self.together.ask, question)

    def keep_busy(self) -> "Future[int]":
        """A go that does not end yet."""
        asked = self.ask("busy")
        wait_for(lambda: self.goes, "it is under way")
        return asked

    def ask_meanwhile(self, questions: Sequence[object], others: int = 0) -> "list[Future[int]]":
        asked = [self.ask(question) for question in questions]
        number = len(questions) + others
        wait_for(
            lambda: self.together._next and len(self.together._next.questions) == number,
            "all have asked",
        )
        return asked

    def test_one_who_asks_alone_waits_for_nobody(self) -> None:
        self.go_on.set()
        self.assertEqual([1, 2], [self.ask("a").result(30), self.ask("b").result(30)])

    def test_those_who_ask_meanwhile_share_the_next_go(self) -> None:
        first = self.keep_busy()
        others = self.ask_meanwhile(list(range(10)))
        self.assertEqual([["busy"]], self.goes)
        self.go_on.set()
        self.assertEqual(1, first.result(30))
        self.assertEqual([2] * 10, [each.result(30) for each in others])
        self.assertEqual(set(range(10)), set(self.goes[1]))

    def test_a_crowd_takes_those_along_who_are_a_moment_late(self) -> None:
        self.keep_busy()
        crowd = self.ask_meanwhile(["a", "b"])
        late: list[Future[int]] = []
        clock = self.useFixture(fixtures.MockPatch("watcher.api.together.time")).mock
        clock.sleep.side_effect = lambda _: late.extend(self.ask_meanwhile(["late"], others=1))
        self.go_on.set()
        self.assertEqual([2, 2], [each.result(30) for each in crowd])
        clock.sleep.assert_not_called()
        asked = self.ask("in time")
        self.assertEqual([3, 3], [asked.result(30), late[0].result(30)])
        clock.sleep.side_effect = None
        self.assertEqual(4, self.ask("c").result(30))
        clock.sleep.side_effect = AssertionError("nobody waits for one who is alone")
        self.assertEqual(5, self.ask("d").result(30))

    def test_each_gets_the_answer_to_the_own_question(self) -> None:
        self.keep_busy()
        good, missing = self.ask_meanwhile(["a", "missing"])
        self.go_on.set()
        self.assertEqual(2, good.result(30))
        self.assertRaises(NotFound, missing.result, 30)

    def test_when_all_fails_all_know(self) -> None:
        self.keep_busy()
        asked = self.ask_meanwhile(["a", "all fail"])
        self.go_on.set()
        for each in asked:
            self.assertRaises(OSError, each.result, 30)
        self.assertEqual(3, self.ask("later").result(30))

    def test_one_bad_question_spoils_no_other(self) -> None:
        self.keep_busy()
        good, bad, other = self.ask_meanwhile(["a", "bad", "b"])
        self.go_on.set()
        self.assertRaises(ValueError, bad.result, 30)
        self.assertTrue(good.result(30) > 2 and other.result(30) > 2)
        self.assertEqual([["a"], ["b"], ["bad"]], sorted(self.goes[2:]))
