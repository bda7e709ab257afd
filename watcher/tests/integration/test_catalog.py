# SPDX-License-Identifier: Apache-2.0
import threading
from collections import Counter

from oslo_utils import timeutils
from sqlalchemy import select

from watcher.db import models
from watcher.decision_engine.catalog import Catalog
from watcher.tests.integration.servers import MariaDBTestCase, PostgreSQLTestCase

ENGINES = 6


class CatalogStories:
    """Engines that start at the same time on one database."""

    def setUp(self) -> None:
        super().setUp()
        models.Base.metadata.create_all(self.database.engine)
        self.catalog = Catalog(self.conf)

    def start_all(self) -> None:
        errors: list[BaseException] = []
        barrier = threading.Barrier(ENGINES)

        def start() -> None:
            barrier.wait()
            try:
                self.database.write(lambda session: self.catalog.sync(session, timeutils.utcnow()))
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=start) for _ in range(ENGINES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([], errors)

    def test_each_plug_in_has_one_row(self) -> None:
        self.start_all()
        with self.database.reader() as session:
            rows = {
                table: Counter(session.scalars(select(table.name).where(table.deleted == 0)))
                for table in (models.Goal, models.Strategy, models.ScoringEngine)
            }
        self.assertEqual(Counter(self.catalog.goals.keys()), rows[models.Goal])
        self.assertEqual(Counter(self.catalog.strategies.keys()), rows[models.Strategy])
        self.assertEqual(Counter(self.catalog.scoring_engines.keys()), rows[models.ScoringEngine])

    def test_what_is_gone_goes_once(self) -> None:
        with self.database.writer() as session:
            goal = models.Goal(name="old", display_name="Old", efficacy_specification=[])
            session.add(goal)
            session.flush()
            session.add(
                models.Strategy(name="old", display_name="Old", goal_id=goal.id, parameters_spec={})
            )
        self.start_all()
        with self.database.reader() as session:
            for table in (models.Goal, models.Strategy):
                row = session.scalars(select(table).where(table.name == "old")).one()
                self.assertEqual(row.id, row.deleted)


class CatalogOnMariaDB(CatalogStories, MariaDBTestCase):
    pass


class CatalogOnPostgreSQL(CatalogStories, PostgreSQLTestCase):
    pass
