# SPDX-License-Identifier: Apache-2.0
import datetime
import itertools
import pathlib
import re

from watcher import db
from watcher.common.states import ActionState, AuditState, PlanState
from watcher.db.models import Action, ActionPlan, Audit, EfficacyIndicator
from watcher.db.transitions import move, soft_delete, update_rows
from watcher.tests import base, factories

NOW = datetime.datetime(2026, 5, 1, 12)

STATEFUL = (
    (Audit, AuditState),
    (ActionPlan, PlanState),
    (Action, ActionState),
)


class TestTransitions(base.DatabaseTestCase):
    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            strategy = factories.strategy(session, factories.goal(session))
            audit = factories.audit(session, strategy=strategy)
            plan = factories.action_plan(session, audit, strategy)
            factories.action(session, plan)
            session.add(EfficacyIndicator(action_plan_id=plan.id))

    def test_each_table_allows_what_it_names_and_no_more(self):
        with self.database.writer() as session:
            for row, states in STATEFUL:
                found = session.query(row).one()
                tables = (states.BY_USER, states.BY_ENGINE)
                for table, before, target in itertools.product(tables, states.ALL, states.ALL):
                    found.state = before
                    session.flush()
                    number = move(session, row, table, target)
                    session.refresh(found)
                    allowed = target in table.get(before, ())
                    self.assertEqual(
                        (int(allowed), target if allowed else before),
                        (number, found.state),
                        (row, before, target),
                    )

    def test_a_row_is_deleted_once(self):
        for row in (Audit, ActionPlan, Action, EfficacyIndicator):
            with self.database.writer() as session:
                numbers = [soft_delete(session, row, NOW, row.id == 1) for _ in range(2)]
                found = session.query(row).one()
                self.assertEqual(([1, 0], 1, NOW), (numbers, found.deleted, found.deleted_at))
                self.assertIn(getattr(found, "state", "DELETED"), "DELETED")

    def test_a_state_is_no_plain_column(self):
        with self.database.writer() as session:
            self.assertRaises(ValueError, update_rows, session, Audit, state=AuditState.FAILED)

    def test_no_other_module_writes_states(self):
        writes = re.compile(r"\.values\([^)]*\bstate=|\.state = ")
        modules = pathlib.Path(db.__file__).parent.glob("*.py")
        found = {module.name for module in modules if writes.search(module.read_text())}
        self.assertEqual(set(), found)
