# SPDX-License-Identifier: Apache-2.0
import random
import threading
import uuid as uuidlib
from typing import Any

import hypothesis
from hypothesis import strategies as st

from watcher.applier.interrupts import Cancelled, Interrupts, Stopped
from watcher.applier.workflow import ANY, Workflow
from watcher.common.errors import Invalid
from watcher.common.states import ActionState, PlanState
from watcher.db.plan_execution import HeldAction, HeldPlan
from watcher.tests import base
from watcher.tests.base import TIMEOUT


def plan_of(parents: list[set[int]], states: dict[int, str] | None = None) -> HeldPlan:
    """A plan whose action *i* has the parents ``parents[i]``."""
    uuids = [str(uuidlib.UUID(int=number)) for number in range(len(parents))]
    actions = [
        HeldAction(
            number,
            uuids[number],
            "nop",
            {},
            [uuids[parent] for parent in sorted(above)],
            (states or {}).get(number, ActionState.PENDING),
        )
        for number, above in enumerate(parents)
    ]
    return HeldPlan(1, "plan", "audit", "dummy", PlanState.ONGOING, actions, "engine-1")


class ActionExecutor:
    """Notes which action began and ended when, and ends it as it is told."""

    def __init__(self, ends: dict[int, Any] | None = None) -> None:
        self._ends = ends or {}
        self._lock = threading.Lock()
        self.notes: list[tuple[str, int]] = []
        self.at_once = self.most_at_once = 0

    def execute(self, plan: HeldPlan, action: HeldAction, interrupts: Interrupts) -> str | None:
        with self._lock:
            self.notes.append(("begin", action.id))
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
        end = self._ends.get(action.id, ActionState.SUCCEEDED)
        with self._lock:
            self.notes.append(("end", action.id))
            self.at_once -= 1
        if isinstance(end, Exception):
            raise end
        return str(end)

    @property
    def begun(self) -> list[int]:
        return [action for what, action in self.notes if what == "begin"]


def run(plan: HeldPlan, executor: Any, workers: int = 2, **options: Any) -> Interrupts:
    interrupts = Interrupts()
    Workflow(plan, executor, interrupts, workers, **options).run()
    return interrupts


@st.composite
def graphs(draw: st.DrawFn) -> list[set[int]]:
    """Acyclic, in an order that has nothing to do with that of the rows."""
    size = draw(st.integers(0, 12))
    shuffled = list(range(size))
    random.Random(draw(st.integers(0, 1000))).shuffle(shuffled)
    parents: list[set[int]] = [set() for _ in range(size)]
    for place, number in enumerate(shuffled):
        if place:
            parents[number] = draw(st.sets(st.sampled_from(shuffled[:place]), max_size=3))
    return parents


class WorkflowTest(base.TestCase):
    @hypothesis.settings(deadline=None, max_examples=60)
    @hypothesis.given(graphs(), st.integers(1, 4), st.data())
    def test_each_step_once_and_after_its_parents(
        self, parents: list[set[int]], workers: int, data: st.DataObject
    ) -> None:
        ends = {
            number: data.draw(st.sampled_from(sorted(ActionState.OVER)))
            for number in range(len(parents))
        }
        executor = ActionExecutor(ends)

        run(plan_of(parents), executor, workers)

        self.assertEqual(list(range(len(parents))), sorted(executor.begun))
        for number, above in enumerate(parents):
            begin = executor.notes.index(("begin", number))
            for parent in above:
                self.assertLess(executor.notes.index(("end", parent)), begin)
        self.assertLessEqual(executor.most_at_once, workers)

    def test_steps_without_a_common_edge_go_in_parallel(self) -> None:
        meeting = threading.Barrier(2, timeout=TIMEOUT)

        class Meeting(ActionExecutor):
            def execute(self, *args: Any) -> str | None:
                meeting.wait()
                return ActionState.SUCCEEDED

        run(plan_of([set(), set()]), Meeting())

    def test_steps_that_wait_for_each_other(self) -> None:
        error = self.assertRaises(Invalid, run, plan_of([{1}, {0}]), ActionExecutor())
        self.assertIn("wait for each other", str(error))

    def test_a_parent_in_another_plan_is_ignored(self) -> None:
        plan = plan_of([set()])
        action = HeldAction(9, "action", "nop", {}, ["of-another-plan"], ActionState.PENDING)
        executor = ActionExecutor()
        run(HeldPlan(1, "p", "a", "s", PlanState.ONGOING, [*plan.actions, action], "e"), executor)
        self.assertEqual([0, 9], sorted(executor.begun))

    def test_what_a_step_raises_gets_out_and_stops_the_others(self) -> None:
        executor = ActionExecutor({0: KeyError("bug")})
        interrupts = Interrupts()
        workflow = Workflow(plan_of([set(), {0}]), executor, interrupts, 1)  # type: ignore[arg-type]
        self.assertRaises(KeyError, workflow.run)
        self.assertTrue(interrupts.stopped)
        self.assertEqual([0], executor.begun)

    def test_any_spares_the_followers_of_a_success(self) -> None:
        parents: list[set[int]] = [set(), {0}, {1}, set(), {3}]
        executor = ActionExecutor({3: ActionState.FAILED})
        run(plan_of(parents), executor, rule=ANY)
        self.assertEqual([0, 3, 4], sorted(executor.begun))

    def test_an_empty_plan(self) -> None:
        run(plan_of([]), ActionExecutor())


class InterruptsTest(base.TestCase):
    def test_waits_end_early(self) -> None:
        for interrupt, error in (("cancel", Cancelled), ("stop", Stopped)):
            interrupts = Interrupts()
            interrupts.wait(0)
            threading.Thread(target=getattr(interrupts, interrupt)).start()
            self.assertRaises(error, interrupts.wait, TIMEOUT)

    def test_only_a_stop_ends_a_wait_while_cancelling(self) -> None:
        interrupts = Interrupts()
        self.assertTrue(interrupts.cancel())
        self.assertFalse(interrupts.cancel())
        interrupts.wait_despite_cancel(0)
        threading.Thread(target=interrupts.stop).start()
        self.assertRaises(Stopped, interrupts.wait_despite_cancel, TIMEOUT)
        self.assertRaises(Stopped, interrupts.wait, 0)
