# SPDX-License-Identifier: Apache-2.0
import datetime
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from watcher.common.errors import Invalid, NotFound
from watcher.db import (
    action_plans,
    actions,
    audit_templates,
    audits,
    installed,
    paging,
    services,
)
from watcher.db.models import AuditTemplate, ScoringEngine, Service
from watcher.db.paging import Page
from watcher.tests import factories
from watcher.tests.base import DatabaseTestCase, TestCase

_LISTED = select(ScoringEngine).where(ScoringEngine.deleted == 0)
_KEYS = paging.sort_keys(ScoringEngine)


class FetchTestCase(DatabaseTestCase):
    @settings(max_examples=40, suppress_health_check=[HealthCheck.differing_executors])
    @given(
        descriptions=st.lists(st.none() | st.sampled_from(["a", "b", "c"]), max_size=12),
        limit=st.integers(1, 5),
        descending=st.booleans(),
    )
    def test_pages_are_the_whole_list_in_its_order(
        self, descriptions: list[str | None], limit: int, descending: bool
    ) -> None:
        with self.database.writer() as session:
            session.execute(delete(ScoringEngine))
            session.add_all(
                ScoringEngine(name=f"engine-{number}", description=description)
                for number, description in enumerate(descriptions)
            )
        everything = self._ids(Page(1000, None, "description", descending))
        self.assertEqual(len(descriptions), len(set(everything)))
        paged: list[int] = []
        marker = None
        while page := self._rows(Page(limit, marker, "description", descending)):
            paged += [row.id for row in page]
            marker = page[-1].uuid
        self.assertEqual(everything, paged)

    def test_one_direction_is_the_other_backwards(self) -> None:
        with self.database.writer() as session:
            for number, description in enumerate(("b", None, "a", "b", None)):
                session.add(ScoringEngine(name=str(number), description=description))
        up = self._ids(Page(10, None, "description"))
        self.assertEqual([2, 5, 3, 1, 4], up)
        self.assertEqual(up[::-1], self._ids(Page(10, None, "description", True)))

    def test_an_unknown_sort_key(self) -> None:
        error = self.assertRaises(Invalid, self._rows, Page(1, None, "colour"))
        self.assertIn("sort_key: must be one of created_at", str(error))

    def test_an_unknown_marker(self) -> None:
        self.assertRaises(NotFound, self._rows, Page(1, "nobody"))

    def test_a_deleted_row_is_no_marker(self) -> None:
        with self.database.writer() as session:
            gone = ScoringEngine(name="gone", deleted=1, deleted_at=datetime.datetime(2026, 1, 1))
            session.add(gone)
            session.flush()
            uuid = gone.uuid
        self.assertRaises(NotFound, self._rows, Page(1, uuid))

    def _rows(self, page: Page) -> list[ScoringEngine]:
        with self.database.reader() as session:
            return paging.fetch(session, _LISTED, page, _KEYS)

    def _ids(self, page: Page) -> list[int]:
        return [row.id for row in self._rows(page)]


class KeysTestCase(DatabaseTestCase):
    """Whatever type a sort key has, there is a page after the first one."""

    LISTS = (
        installed.goals,
        installed.strategies,
        audit_templates.list_page,
        audits.list_page,
        action_plans.list_page,
        actions.list_page,
        installed.scoring_engines,
        services.list_page,
    )

    def setUp(self) -> None:
        super().setUp()
        with self.database.writer() as session:
            for number in range(2):
                goal = factories.goal(session)
                strategy = factories.strategy(session, goal)
                plan = factories.action_plan(
                    session, factories.audit(session, strategy=strategy), strategy
                )
                factories.action(session, plan)
                session.add_all(
                    [
                        AuditTemplate(name=str(number), goal=goal, strategy=strategy),
                        ScoringEngine(name=str(number)),
                        Service(name="service", host=str(number)),
                    ]
                )

    def test_all_of_them(self) -> None:
        for list_page in self.LISTS:
            for key in self._keys(list_page):
                for descending in (False, True):
                    with self.database.reader() as session:
                        first, second = list_page(
                            session, Page(9, sort_key=key, descending=descending)
                        )
                        marker = first.id if isinstance(first, Service) else first.uuid
                        after = list_page(session, Page(9, marker, key, descending))
                        self.assertEqual([second], after, (list_page, key, descending))

    def _keys(self, list_page: Any) -> list[str]:
        with self.database.reader() as session:
            error = self.assertRaises(Invalid, list_page, session, Page(9, sort_key="?"))
        return str(error).partition("one of ")[2].rstrip(".").split(", ")


class NullsTestCase(TestCase):
    """PostgreSQL puts nulls where SQLite does not; the condition must know."""

    def test_where_nulls_are(self) -> None:
        for dialect, descending, value, nulls_follow in (
            ("sqlite", False, "a", False),
            ("sqlite", True, "a", True),
            ("postgresql", False, "a", True),
            ("postgresql", True, "a", False),
        ):
            condition = str(self._after(dialect, value, descending))
            self.assertEqual(nulls_follow, "IS NULL" in condition, (dialect, descending))

    def test_what_follows_a_null(self) -> None:
        for dialect, descending, values_follow in (
            ("sqlite", False, True),
            ("sqlite", True, False),
            ("postgresql", False, False),
            ("postgresql", True, True),
        ):
            condition = str(self._after(dialect, None, descending))
            self.assertEqual(values_follow, "IS NOT NULL" in condition, (dialect, descending))

    def _after(self, dialect: str, value: str | None, descending: bool) -> Any:
        session = mock.Mock()
        session.get_bind.return_value.dialect.name = dialect
        return paging.follows(
            session, ScoringEngine.description, ScoringEngine.id, (value, 5), descending
        )
