# SPDX-License-Identifier: Apache-2.0
import contextlib
import threading
from collections.abc import Callable

import hypothesis
from hypothesis import strategies as st

from watcher.applier.concurrency import ConcurrencyLimits
from watcher.applier.interrupts import Interrupts
from watcher.tests import base
from watcher.tests.base import TIMEOUT


class Worker:
    """A thread that asks for a place, and keeps it until it is told to leave."""

    def __init__(self, limits: ConcurrencyLimits, action_type: str, interrupts: Interrupts) -> None:
        self._limits, self._type, self._interrupts = limits, action_type, interrupts
        self.answered, self._leave = threading.Event(), threading.Event()
        self.admitted = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        with self._limits.place(self._type, self._interrupts) as self.admitted:
            self.answered.set()
            self._leave.wait(TIMEOUT)

    def leave(self) -> None:
        self._leave.set()
        self._thread.join(TIMEOUT)


class LimitsTest(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.interrupts = Interrupts()

    def make(self, in_all: int = 0, **by_type: int) -> Callable[[str], Worker]:
        limits = ConcurrencyLimits(in_all, by_type)

        def ask(action_type: str) -> Worker:
            before = limits.waiting
            worker = Worker(limits, action_type, self.interrupts)
            # Until it has its place, or stands in the queue.
            base.wait_for(lambda: worker.answered.is_set() or limits.waiting > before, "asked")
            self.addCleanup(worker.leave)
            self.addCleanup(self.interrupts.stop)  # before that: nobody waits for ever
            return worker

        return ask

    def admitted(self, worker: Worker) -> bool:
        return worker.answered.wait(TIMEOUT) and worker.admitted

    def test_without_limits_no_action_waits(self) -> None:
        ask = self.make()
        self.assertTrue(all(self.admitted(ask("migrate")) for _ in range(20)))

    def test_the_first_who_waits_is_the_first_to_get_a_place(self) -> None:
        ask = self.make(in_all=2)
        workers = [ask("migrate") for _ in range(4)]
        self.assertEqual([True, True, False, False], [w.answered.is_set() for w in workers])
        workers[1].leave()
        self.assertTrue(self.admitted(workers[2]))
        self.assertFalse(workers[3].answered.is_set())
        workers[0].leave()
        self.assertTrue(self.admitted(workers[3]))

    def test_a_type_that_is_full_holds_up_no_other(self) -> None:
        ask = self.make(in_all=3, migrate=1)
        first, second = ask("migrate"), ask("migrate")
        self.assertTrue(self.admitted(ask("nop")))
        self.assertTrue(self.admitted(ask("nop")))
        third = ask("nop")
        self.assertEqual([False, False], [w.answered.is_set() for w in (second, third)])
        first.leave()
        self.assertTrue(self.admitted(second))

    def test_an_interrupt_ends_the_wait(self) -> None:
        for interrupt in (Interrupts.cancel, Interrupts.stop):
            ask = self.make(in_all=1)
            first, second = ask("nop"), ask("nop")
            interrupt(self.interrupts)
            self.assertTrue(second.answered.wait(TIMEOUT))
            self.assertFalse(second.admitted)
            second.leave()
            first.leave()
            self.interrupts = Interrupts()
            self.assertTrue(self.admitted(ask("nop")))

    def test_what_must_not_wait_counts(self) -> None:
        limits = ConcurrencyLimits(1, {})
        self.interrupts.cancel()
        with (
            limits.extra_place("nop"),
            limits.extra_place("nop"),
            limits.place("nop", self.interrupts) as admitted,
        ):
            self.assertFalse(admitted)
        with limits.place("nop", self.interrupts) as admitted:
            self.assertTrue(admitted)

    @hypothesis.settings(deadline=None, max_examples=20)
    @hypothesis.given(
        st.lists(st.sampled_from(["migrate", "resize", "nop"]), max_size=12),
        st.integers(0, 3),
        st.dictionaries(st.sampled_from(["migrate", "resize"]), st.integers(1, 2)),
    )
    def test_everybody_gets_a_place_and_no_limit_is_passed(
        self, kinds: list[str], in_all: int, by_type: dict[str, int]
    ) -> None:
        limits, counting = ConcurrencyLimits(in_all, by_type), threading.Lock()
        under_way: list[str] = []
        passed: list[str] = []

        def work(kind: str) -> None:
            with contextlib.ExitStack() as stack:
                stack.enter_context(limits.place(kind, self.interrupts))
                with counting:
                    under_way.append(kind)
                    if under_way.count(kind) > by_type.get(kind, 99) or (
                        in_all and len(under_way) > in_all
                    ):
                        passed.append(kind)
                with counting:
                    under_way.remove(kind)

        threads = [threading.Thread(target=work, args=(kind,), daemon=True) for kind in kinds]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(TIMEOUT)
        self.assertFalse(any(thread.is_alive() for thread in threads))
        self.assertEqual([], passed)
