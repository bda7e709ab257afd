# SPDX-License-Identifier: Apache-2.0
"""What services do at SIGHUP, and how long they take at SIGTERM."""

import pathlib
import signal

from watcher.common.states import ActionState, PlanState
from watcher.db import models
from watcher.tests import factories
from watcher.tests.functional.test_console_scripts import ScriptTestCase
from watcher.tests.processes import Process, status_of

CHANGED = "Option DEFAULT.debug changed from [None] to [true]"


class ReloadTestCase(ScriptTestCase):
    def reload(self, process: Process) -> None:
        """New values are taken over by the same processes; a file that is none is refused."""
        children = process.children()
        path = pathlib.Path(self.config)
        text = path.read_text()
        path.write_text("no configuration at all")
        process.send(signal.SIGHUP)
        process.wait_until("kept its values", lambda: self.count(process, "stays as it is"))
        path.write_text(text.replace("[DEFAULT]", "[DEFAULT]\ndebug = true"))
        process.wait_until("took them over", lambda: self.takes_over(process))
        self.assertEqual(children, process.children())

    def takes_over(self, process: Process) -> bool:
        """Whether it has the new values, as its parent has, whose next child has the same."""
        # A signal that arrives while the parent passes one on is ignored.
        process.send(signal.SIGHUP)
        return self.count(process, CHANGED) == 2

    def count(self, process: Process, words: str) -> int:
        return process.log.read_text().count(words)

    def test_api(self) -> None:
        process = self.start_script("watcher-api")
        url = f"http://127.0.0.1:{self.port}/v1/goals"
        process.wait_until("answered", lambda: status_of(url))
        self.reload(process)
        self.assertEqual(200, status_of(url))
        self.assertEqual(0, process.stop())

    def test_decision_engine(self) -> None:
        process = self.start_script("watcher-decision-engine")
        process.wait_until("was seen", lambda: self.beats("watcher-decision-engine"))
        self.reload(process)
        self.assertEqual(0, process.stop())

    def test_applier(self) -> None:
        process = self.start_script("watcher-applier")
        process.wait_until("was seen", lambda: self.beats("watcher-applier"))
        self.reload(process)
        self.assertEqual(0, process.stop())


class StopTestCase(ScriptTestCase):
    def test_an_action_that_takes_long_does_not_hold_up_a_stop(self) -> None:
        path = pathlib.Path(self.config)
        path.write_text(
            path.read_text().replace("[DEFAULT]", "[DEFAULT]\ngraceful_shutdown_timeout = 1")
        )
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session))
            audit = factories.audit(session, strategy=strategy)
            plan = factories.action_plan(session, audit, strategy, state=PlanState.PENDING)
            values = {"action_type": "sleep", "input_parameters": {"duration": 3600.0}}
            action = factories.action(session, plan, **values)
        process = self.start_script("watcher-applier")
        process.wait_until("began the action", lambda: self.state(action) == ActionState.ONGOING)
        process.stop()
        # Another applier, or the next start, goes on with it.
        with self.database.reader() as session:
            state = session.get_one(models.ActionPlan, plan.id).state
        self.assertIn(state, (PlanState.PENDING, PlanState.ONGOING))

    def state(self, action: models.Action) -> str | None:
        with self.database.reader() as session:
            return session.get_one(models.Action, action.id).state
