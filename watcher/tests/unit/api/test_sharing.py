# SPDX-License-Identifier: Apache-2.0
import threading
from concurrent.futures import Future, ThreadPoolExecutor

from watcher.api.sharing import Shared
from watcher.common.errors import NotFound
from watcher.tests.base import TestCase, wait_for


class Key:
    """Equal to its like.  It has been asked about once it is hashed, which happens in the lock."""

    def __init__(self) -> None:
        self.asked = False

    def __hash__(self) -> int:
        self.asked = True
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key)


class SharedTest(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.shared: Shared[int] = Shared()
        self.pool = ThreadPoolExecutor(20)
        self.addCleanup(self.pool.shutdown)
        self.looks = 0
        self.go_on = threading.Event()
        self.addCleanup(self.go_on.set)

    def look(self) -> int:
        self.looks += 1
        number = self.looks
        self.go_on.wait(30)
        return number

    def ask(self, key: object = "a") -> "Future[int]":
        return self.pool.submit(self.shared.get, key, self.look)

    def ask_during_a_look(self, number: int) -> "tuple[Future[int], list[Future[int]]]":
        first = self.ask(Key())
        wait_for(lambda: self.looks == 1, "the first look began")
        keys = [Key() for _ in range(number)]
        others = [self.ask(key) for key in keys]
        wait_for(lambda: all(key.asked for key in keys), "all have asked")
        return first, others

    def test_one_who_asks_alone_gets_the_own_look(self) -> None:
        self.go_on.set()
        self.assertEqual([1, 2], [self.ask().result(), self.ask().result()])

    def test_those_who_ask_during_a_look_share_the_next_one(self) -> None:
        first, others = self.ask_during_a_look(10)
        self.assertEqual(1, self.looks)
        self.go_on.set()
        self.assertEqual(1, first.result(30))
        self.assertEqual([2] * 10, [other.result(30) for other in others])

    def test_different_questions_do_not_wait_for_each_other(self) -> None:
        self.ask("a")
        self.ask("b")
        wait_for(lambda: self.looks == 2, "both look at the same time")

    def test_an_error_is_that_of_all_and_of_no_later_look(self) -> None:
        def fail() -> int:
            raise NotFound("There is none.")

        self.assertRaises(NotFound, self.shared.get, "a", fail)
        self.go_on.set()
        self.assertEqual(1, self.shared.get("a", self.look))

    def test_nothing_is_kept(self) -> None:
        first, others = self.ask_during_a_look(5)
        self.go_on.set()
        for each in (first, *others):
            each.result(30)
        self.assertEqual(({}, {}), (self.shared._next, self.shared._now))
