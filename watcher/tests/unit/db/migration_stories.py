# SPDX-License-Identifier: Apache-2.0
"""What the migrations must do on every database; the tests of each take these in."""

import datetime
import json
from typing import Any

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations

from watcher.common import errors
from watcher.db import migration, models, runs, schema
from watcher.db.errors import WrongSchema
from watcher.db.models import Audit, EfficacyIndicator, Webhook
from watcher.db.session import Database
from watcher.tests import factories

NOW = datetime.datetime(2026, 5, 4, 3, 2, 1)
FORMER_HEAD = "f56ba02662b4"
ADDED: dict[str, tuple[str, ...]] = {
    "001": (),
    "0f6042416884": ("apscheduler_jobs",),
    "d098df6021e2": ("audits.next_run_time",),
    "d09a5945e4a0": ("action_descriptions",),
    "3cfc94cecf4e": ("audits.name",),
    "a86240e89a29": (),
    "52804f2498c4": ("audits.hostname", "action_plans.hostname"),
    "4b16194c56bc": ("audits.start_time", "audits.end_time"),
    "609bec748f2a": ("audits.force",),
    "15f7375ca737": ("efficacy_indicators.data",),
    "7150a7d8f228": (
        "audits.status_message",
        "action_plans.status_message",
        "actions.status_message",
    ),
    FORMER_HEAD: ("audit_templates.default_parameters",),
}
"""The revisions of the former service, with the tables and columns that each added."""
LEGACY = tuple(ADDED)


class FormerRows:
    """Needs ``self.database``, an empty one."""

    database: Database

    def make_former(self, revision: str) -> None:
        """Give the database the schema of a revision of the former service."""
        migration.upgrade(self.database, FORMER_HEAD)
        with self.database.engine.begin() as connection:
            operations = Operations(MigrationContext.configure(connection))
            for later in LEGACY[LEGACY.index(revision) + 1 :]:
                for name in ADDED[later]:
                    table, _, column = name.partition(".")
                    if column:
                        operations.drop_column(table, column)
                    else:
                        operations.drop_table(table)
            connection.execute(
                sa.text("UPDATE alembic_version SET version_num = :revision"),
                {"revision": revision},
            )

    def insert(self, table: str, **values: Any) -> int:
        """A row as the former service writes it; columns that are not there yet are left out."""
        with self.database.engine.begin() as connection:
            reflected = sa.Table(table, sa.MetaData(), autoload_with=connection)
            known = {name: value for name, value in values.items() if name in reflected.c}
            known = {"created_at": NOW, "deleted": 0} | known
            row_id: int = connection.execute(reflected.insert().values(known)).inserted_primary_key[
                0
            ]
        return row_id

    def insert_goal(self) -> int:
        return self.insert(
            "goals", uuid="goal", name="dummy", display_name="Dummy", efficacy_specification="[]"
        )

    def insert_audit(self, uuid: str, goal_id: int, **values: Any) -> int:
        values = {"audit_type": "ONESHOT", "state": "PENDING", "auto_trigger": False} | values
        return self.insert("audits", uuid=uuid, goal_id=goal_id, **values)

    def upgraded_names(self, *names: str) -> list[str]:
        """The names of audits of the former service after an upgrade."""
        migration.upgrade(self.database, FORMER_HEAD)
        goal = self.insert_goal()
        for number, name in enumerate(names):
            self.insert_audit(f"audit-{number}", goal, name=name)
        migration.upgrade(self.database)
        with self.database.engine.connect() as connection:
            return list(connection.scalars(sa.text("SELECT name FROM audits ORDER BY id")))

    def kill_at(self, number: int, work: Any) -> bool:
        """Whether *work* is killed at that statement, as it has so many."""
        count = 0

        def kill(*args: Any) -> None:
            nonlocal count
            count += 1
            if count == number:
                raise RuntimeError("killed")

        sa.event.listen(self.database.engine, "before_cursor_execute", kill)
        try:
            work(self.database)
        except Exception:
            if count < number:
                raise
        finally:
            sa.event.remove(self.database.engine, "before_cursor_execute", kill)
        return count >= number


class MigrationStories(FormerRows):
    def test_services_refuse_what_is_to_be_upgraded(self) -> None:
        self.assertRaises(WrongSchema, schema.require, self.database)
        migration.upgrade(self.database, FORMER_HEAD)
        self.assertRaises(WrongSchema, schema.require, self.database)

    def insert_one_of_each(self) -> None:
        goal = self.insert_goal()
        strategy = self.insert(
            "strategies",
            uuid="strategy",
            name="dummy",
            display_name="Dummy",
            goal_id=goal,
            parameters_spec="{}",
        )
        self.insert(
            "audit_templates",
            uuid="template",
            name="template",
            goal_id=goal,
            strategy_id=strategy,
            scope="[]",
            default_parameters="{}",
        )
        audit = self.insert_audit(
            "audit", goal, strategy_id=strategy, interval=60, parameters='{"para1": 3.2}'
        )
        plan = self.insert(
            "action_plans",
            uuid="plan",
            audit_id=audit,
            strategy_id=strategy,
            state="SUCCEEDED",
            global_efficacy="{}",
        )
        self.insert(
            "actions",
            uuid="action",
            action_plan_id=plan,
            action_type="nop",
            input_parameters='{"message": "h\u00e9llo"}',
            state="SUCCEEDED",
            parents="[]",
        )
        self.insert("efficacy_indicators", uuid="indicator", name="n", value=3, action_plan_id=plan)
        self.insert("services", name="watcher-applier", host="host-1")

    def differences(self) -> list[Any]:
        def modelled(item: Any, name: str, kind: str, reflected: bool, other: Any) -> bool:
            return not (kind == "table" and name == "apscheduler_jobs")

        with self.database.engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"include_object": modelled})
            return list(compare_metadata(context, models.Base.metadata))

    def test_an_empty_database_gets_what_the_models_say(self) -> None:
        migration.create_schema(self.database)
        self.assertEqual([], self.differences())
        self.assertEqual(migration.head(), migration.version(self.database))

    def test_a_database_of_any_age_can_be_taken_over(self) -> None:
        for revision in LEGACY:
            self.make_former(revision)
            self.insert_one_of_each()
            migration.upgrade(self.database)
            self.assertEqual([], self.differences(), revision)
            self._check_one_of_each()
            migration.downgrade(self.database, "base")

    def _check_one_of_each(self) -> None:
        with self.database.reader() as session:
            audit = session.scalars(sa.select(Audit)).one()
            self.assertEqual("60", audit.interval)
            self.assertEqual({"para1": 3.2}, audit.parameters)
            self.assertIs(False, audit.force)
            action = session.scalars(sa.select(models.Action)).one()
            self.assertEqual({"message": "h\u00e9llo"}, action.input_parameters)
            indicator = session.scalars(sa.select(EfficacyIndicator)).one()
            self.assertEqual(3.0, indicator.data)
            for row in (models.Goal, models.Strategy, models.AuditTemplate, models.Service):
                self.assertEqual(1, len(session.scalars(sa.select(row)).all()))

    def test_names_that_audits_share_go_to_the_eldest(self) -> None:
        migration.upgrade(self.database, FORMER_HEAD)
        goal = self.insert_goal()
        first = self.insert_audit("a", goal, name="twin")
        second = self.insert_audit("b", goal, name="twin")
        self.insert_audit("c", goal, name=f"twin-{second}")
        longest = "n" * 63
        for uuid in "de":
            last = self.insert_audit(uuid, goal, name=longest)
        gone = self.insert_audit("f", goal, name="twin", deleted=1000, deleted_at=NOW)
        for uuid in "gh":
            self.insert_audit(uuid, goal)
        migration.upgrade(self.database)
        with self.database.reader() as session:
            names = dict(session.execute(sa.select(Audit.uuid, Audit.name)).all())
            by_id = dict(session.execute(sa.select(Audit.id, Audit.name)).all())
        self.assertEqual("twin", by_id[first])
        self.assertEqual(f"twin-{second}x", by_id[second])
        self.assertEqual(f"twin-{second}", names["c"])
        self.assertEqual(longest, names["d"])
        self.assertEqual(f"-{last}", names["e"][-len(f"-{last}") :])
        self.assertEqual(63, len(names["e"]))
        self.assertEqual("twin", by_id[gone])
        self.assertIsNone(names["g"])

    def test_the_pickled_jobs_go(self) -> None:
        migration.upgrade(self.database, FORMER_HEAD)
        service = self.insert("services", name="watcher-decision-engine", host="host-1")
        with self.database.engine.begin() as connection:
            connection.execute(
                sa.text(
                    "INSERT INTO apscheduler_jobs (id, job_state, service_id)"
                    " VALUES ('job', :state, :service)"
                ),
                {"state": b"pickle", "service": service},
            )
        migration.upgrade(self.database)
        with self.database.engine.connect() as connection:
            count = connection.scalar(sa.text("SELECT count(*) FROM apscheduler_jobs"))
        self.assertEqual(0, count)

    def test_living_event_audits_get_a_webhook(self) -> None:
        migration.upgrade(self.database, FORMER_HEAD)
        goal = self.insert_goal()
        alive = self.insert_audit("a", goal, audit_type="EVENT")
        self.insert_audit("b", goal, audit_type="EVENT", deleted=2, deleted_at=NOW)
        self.insert_audit("c", goal, audit_type="CONTINUOUS")
        migration.upgrade(self.database)
        with self.database.reader() as session:
            webhooks = session.scalars(sa.select(Webhook)).all()
            self.assertEqual([alive], [webhook.audit_id for webhook in webhooks])
            self.assertIsNone(webhooks[0].auth)

    def test_a_schema_made_from_the_former_models_can_be_taken_over(self) -> None:
        migration.upgrade(self.database, FORMER_HEAD)
        with self.database.engine.begin() as connection:
            context = MigrationContext.configure(connection)
            operations = Operations(context)
            with operations.batch_alter_table("audits") as audits:
                audits.alter_column("interval", type_=sa.String(36))
                audits.alter_column("force", existing_type=sa.Boolean, nullable=False)
                audits.create_unique_constraint("uniq_audits0name", ["name", "deleted"])
            operations.drop_table("apscheduler_jobs")
        migration.upgrade(self.database)
        self.assertEqual([], self.differences())

    def test_ours_can_be_taken_back_and_given_again(self) -> None:
        migration.upgrade(self.database)
        with self.database.writer() as session:
            audit = factories.audit(session, name="kept", interval="*/5 * * * *")
            runs.enqueue(session, audit.id, NOW, NOW)
        migration.downgrade(self.database, FORMER_HEAD)
        with self.database.engine.connect() as connection:
            tables = sa.inspect(connection).get_table_names()
        self.assertNotIn("audit_runs", tables)
        self.assertNotIn("action_plan_leases", tables)
        migration.ensure(self.database)
        self.assertEqual([], self.differences())
        with self.database.reader() as session:
            kept = session.scalars(sa.select(Audit)).one()
            self.assertEqual("*/5 * * * *", kept.interval)

    STEP = 11
    """Of so many statements one is the moment of a kill; 1 has been tried and takes minutes."""

    def test_what_was_killed_at_any_statement_goes_on(self) -> None:
        def back(database: Database) -> None:
            migration.downgrade(database, FORMER_HEAD)

        migration.upgrade(self.database, FORMER_HEAD)
        self.insert_one_of_each()
        for work, again in ((migration.upgrade, back), (back, migration.upgrade)):
            number = 1
            while self.kill_at(number, work):
                work(self.database)
                if work is migration.upgrade:
                    self.assertEqual([], self.differences(), number)
                    self._check_one_of_each()
                again(self.database)
                number += self.STEP
            self.assertGreater(number, 2 * self.STEP)
        migration.upgrade(self.database)
        self.assertEqual([], self.differences())

    def test_of_any_age_as_well(self) -> None:
        for number in (1, 2, 5, 30):
            self.make_former("001")
            self.insert_one_of_each()
            self.assertTrue(self.kill_at(number, migration.upgrade))
            migration.upgrade(self.database)
            self.assertEqual([], self.differences(), number)
            self._check_one_of_each()
            migration.downgrade(self.database, "base")

    def test_text_of_any_alphabet_is_kept(self) -> None:
        migration.create_schema(self.database)
        text = "\u6e29\u5ea6 \U0001f525"
        with self.database.writer() as session:
            factories.audit(session, name=text, scope=[{"text": text * 30000}])
        with self.database.reader() as session:
            audit = session.scalars(sa.select(Audit)).one()
            self.assertEqual(text, audit.name)
            self.assertEqual(json.dumps(text * 30000), json.dumps(audit.scope[0]["text"]))

    def test_a_schema_is_not_created_over_another(self) -> None:
        self.make_former("001")
        error = self.assertRaises(errors.Conflict, migration.create_schema, self.database)
        self.assertIn("001", str(error))
        with self.database.engine.begin() as connection:
            connection.execute(sa.text("DROP TABLE alembic_version"))
        error = self.assertRaises(errors.Conflict, migration.create_schema, self.database)
        self.assertIn("no revision", str(error))

    def test_a_stamp_is_believed(self) -> None:
        migration.stamp(self.database, FORMER_HEAD)
        self.assertEqual(FORMER_HEAD, migration.version(self.database))

    def test_an_unknown_revision_is_refused(self) -> None:
        error = self.assertRaises(errors.Invalid, migration.upgrade, self.database, "nonsense")
        self.assertIn("nonsense", str(error))
