# SPDX-License-Identifier: Apache-2.0
import ast
import datetime
import itertools
import pathlib
import re

import watcher
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
        root = pathlib.Path(watcher.__file__).parent
        found = [
            f"{path.relative_to(root)}:{line}"
            for path in root.rglob("*.py")
            if not {"tests", "migrations"} & set(path.parts) and path.stem != "transitions"
            for line in writes_of_states(path.read_text())
        ]
        self.assertEqual([], found)

    def test_a_write_is_recognised(self):
        for text in (
            "audit.state = AuditState.FAILED",
            "session.execute(update(Audit).values(state=state))",
            "session.execute(text('UPDATE audits SET state = :state'))",
            "setattr(audit, 'state', state)",
        ):
            self.assertEqual([1], list(writes_of_states(text)), text)
        for text in ("self.state = state", "insert(Audit).values(state=state)"):
            self.assertEqual([], list(writes_of_states(text)), text)


def writes_of_states(text):
    """The lines of a module that write the state of a row that exists."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign):
            owners = [ast.unparse(each) for each in node.targets if isinstance(each, ast.Attribute)]
            if any(owner.endswith(".state") and owner != "self.state" for owner in owners):
                yield node.lineno
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            is_update = called.endswith(".values") and "insert(" not in called
            if (is_update and "state" in {each.arg for each in node.keywords}) or (
                called == "setattr" and ast.unparse(node.args[1]) == "'state'"
            ):
                yield node.lineno
        elif isinstance(node, ast.Constant) and re.search(r"(?i)\bset state\b", str(node.value)):
            yield node.lineno
