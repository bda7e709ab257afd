# SPDX-License-Identifier: Apache-2.0
import io
import os
import sys
from unittest import mock

from alembic import command
from oslo_utils import timeutils
from sqlalchemy import MetaData, Table
from sqlalchemy.exc import OperationalError

from watcher.cmd import db_manage, status
from watcher.common.states import AuditType
from watcher.db import migration
from watcher.db.session import Database
from watcher.tests import base, factories
from watcher.tests.unit.db.migration_stories import FORMER_HEAD, FormerRows

HEAD = migration.head()
AUDIT = "0ca2845e-c142-4d4b-a346-e495553628ce"


class CommandTestCase(base.TestCase):
    def setUp(self) -> None:
        super().setUp()
        connection = f"sqlite:///{self.directory}/watcher.sqlite"
        self.config_file = os.path.join(self.directory, "watcher.conf")
        with open(self.config_file, "w") as file:
            file.write(f"[database]\nconnection = {connection}\n")
            file.write(f"[DEFAULT]\nlog_file = {self.directory}/log\n")
        self.conf.set_override("connection", connection, group="database")
        self.database = Database(self.conf)
        self.addCleanup(self.database.dispose)

    def call(self, module: object, *arguments: str, answer: str = "") -> tuple[int, str, str]:
        """Exit status, standard output and standard error of a command."""
        argv = [module.__name__, "--config-file", self.config_file, *arguments]
        with (
            mock.patch.object(sys, "argv", argv),
            mock.patch.object(sys, "stdin", io.StringIO(answer)),
            mock.patch.object(sys, "stdout", io.StringIO()) as out,
            mock.patch.object(sys, "stderr", io.StringIO()) as err,
        ):
            return module.main(), out.getvalue(), err.getvalue()


class DatabaseManageTest(FormerRows, CommandTestCase):
    def manage(self, *arguments: str, answer: str = "") -> tuple[int, str, str]:
        return self.call(db_manage, *arguments, answer=answer)

    def add_deleted_goals(self, number: int) -> None:
        migration.ensure(self.database)
        with self.database.writer() as session:
            for _ in range(number):
                goal = factories.goal(session)
                goal.deleted, goal.deleted_at = goal.id, timeutils.utcnow()

    def goals_left(self) -> int:
        with self.database.engine.connect() as connection:
            return connection.exec_driver_sql("SELECT count(*) FROM goals").scalar_one()

    def test_without_a_command_it_upgrades(self) -> None:
        self.assertEqual((0, "", ""), self.manage())
        self.assertEqual(HEAD, migration.version(self.database))

    def test_up_and_down(self) -> None:
        self.manage("upgrade", "--revision", FORMER_HEAD)
        self.assertEqual(FORMER_HEAD, migration.version(self.database))
        self.manage("upgrade")
        self.manage("downgrade")
        self.assertNotEqual(HEAD, migration.version(self.database))
        self.manage("downgrade", "--revision", FORMER_HEAD)
        self.assertEqual((0, f"{FORMER_HEAD}\n", ""), self.manage("version"))

    def test_a_dry_run_of_an_upgrade(self) -> None:
        self.make_former("001")
        with self.database.engine.begin() as connection:
            tables = MetaData()
            tables.reflect(connection)
            goal = {"id": 1, "name": "dummy", "display_name": "D", "efficacy_specification": "[]"}
            connection.execute(tables.tables["goals"].insert(), {**goal, "deleted": 0})
            audit = {"uuid": AUDIT, "audit_type": "CONTINUOUS", "state": "ONGOING", "interval": -1}
            connection.execute(
                tables.tables["audits"].insert(),
                {**audit, "goal_id": 1, "auto_trigger": False, "deleted": 0},
            )
        code, text, error = self.manage("upgrade", "--check")
        self.assertEqual((0, ""), (code, error))
        sentence = "interval: -1 seconds; allowed are 1 to 316224000. Create the audit anew."
        columns = f"{AUDIT}  CONTINUOUS  ONGOING  CANCELLED  {sentence}"
        head, *lines = text.splitlines()
        self.assertEqual(f"Revision 001 -> {HEAD}, 2 steps", head)
        self.assertIn(columns, lines)
        self.assertIn("Action plans: none", lines)
        self.assertIn("Audit templates: none", lines)
        self.assertEqual("001", migration.version(self.database))

    def test_a_dry_run_where_nothing_is_to_do(self) -> None:
        self.assertIn(f"Revision none -> {HEAD}", self.manage("upgrade", "--check")[1])
        self.manage("upgrade")
        found = f"Revision {HEAD}: there is nothing to upgrade.\n"
        self.assertEqual((0, found, ""), self.manage("upgrade", "--check"))

    def test_a_dry_run_of_an_unknown_revision(self) -> None:
        self.manage("stamp", FORMER_HEAD)
        with self.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num = 'other'")
        code, _, error = self.manage("upgrade", "--check")
        self.assertEqual(1, code)
        self.assertIn("other", error)

    def test_stamp(self) -> None:
        self.manage("stamp", FORMER_HEAD)
        self.assertEqual(FORMER_HEAD, migration.version(self.database))

    def test_create_schema_only_once(self) -> None:
        self.assertEqual(0, self.manage("create_schema")[0])
        code, _, error = self.manage("create_schema")
        self.assertEqual(1, code)
        self.assertIn(f"at revision {HEAD} already", error)

    def test_an_unknown_revision_is_one_sentence(self) -> None:
        code, _, error = self.manage("upgrade", "--revision", "nonsense")
        self.assertEqual(1, code)
        self.assertEqual(1, len(error.splitlines()))
        self.assertIn("nonsense", error)

    def test_a_database_out_of_reach_is_one_sentence(self) -> None:
        with open(self.config_file, "a") as file:
            file.write("[database]\nconnection = mysql+pymysql://root@127.0.0.1:1/watcher\n")
            file.write("max_retries = 0\n")
        code, _, error = self.manage("version")
        self.assertEqual(1, code)
        self.assertIn("cannot be reached", error)
        self.assertEqual(1, len(error.splitlines()), error)

    def test_a_user_that_the_database_refuses_is_one_sentence(self) -> None:
        """oslo.db has no class for it."""
        denied = OperationalError(None, None, Exception("Access denied for user 'nobody'"))
        with mock.patch.object(migration, "upgrade", side_effect=denied):
            code, _, error = self.manage("upgrade")
        self.assertEqual(1, code)
        self.assertIn("Access denied for user 'nobody'", error)
        self.assertEqual(1, len(error.splitlines()), error)

    def test_revision_is_alembics(self) -> None:
        with mock.patch.object(command, "revision") as revision:
            self.manage("revision", "-m", "add it", "--autogenerate")
        revision.assert_called_once_with(mock.ANY, "add it", True)

    def test_purge_asks(self) -> None:
        self.add_deleted_goals(2)
        code, out, _ = self.manage("purge", answer="n\n")
        self.assertEqual((0, 2), (code, self.goals_left()))
        self.assertRegex(out, r"goals +2\n(.*\n)+total +2\n")
        self.assertIn("[y/N]", out)
        self.assertEqual(0, self.manage("purge", answer="y\n")[0])
        self.assertEqual(0, self.goals_left())

    def test_purge_unasked(self) -> None:
        self.add_deleted_goals(1)
        code, out, _ = self.manage("purge", "--yes")
        self.assertEqual((0, 0), (code, self.goals_left()))
        self.assertNotIn("[y/N]", out)

    def test_purge_needs_a_confirmation(self) -> None:
        self.add_deleted_goals(1)
        code, _, error = self.manage("purge")
        self.assertEqual((1, 1), (code, self.goals_left()))
        self.assertIn("--yes", error)

    def test_dry_run_purges_nothing(self) -> None:
        self.add_deleted_goals(1)
        code, out, _ = self.manage("purge", "--dry-run")
        self.assertEqual((0, 1), (code, self.goals_left()))
        self.assertRegex(out, r"total +1")

    def test_purge_by_age(self) -> None:
        self.add_deleted_goals(1)
        self.manage("purge", "--yes", "-d", "1")
        self.assertEqual(1, self.goals_left())
        self.manage("purge", "--yes", "-d", "0")
        self.assertEqual(0, self.goals_left())

    def test_purge_up_to_a_number(self) -> None:
        self.add_deleted_goals(3)
        self.assertEqual(0, self.manage("purge", "-n", "2", answer="n\n")[0])
        self.assertEqual(3, self.goals_left())
        code, out, _ = self.manage("purge", "-n", "2", answer="y\ny\n")
        self.assertEqual((0, 1), (code, self.goals_left()))
        self.assertIn("3 rows may go, more than 2.", out)

    def test_negative_numbers_are_refused(self) -> None:
        self.add_deleted_goals(1)
        for option in ("-n", "-d"):
            code, _, error = self.manage("purge", "--yes", option, "-1")
            self.assertEqual((1, 1), (code, self.goals_left()))
            self.assertIn("0 or more", error)

    def test_purge_of_an_unknown_goal(self) -> None:
        self.add_deleted_goals(1)
        code, _, error = self.manage("purge", "-t", "nonsense")
        self.assertEqual(1, code)
        self.assertIn("'nonsense' is not the uuid or name of a deleted goal", error)


class StatusTest(FormerRows, CommandTestCase):
    def test_an_old_schema_fails_the_check(self) -> None:
        self.make_former("001")
        code, out, _ = self.call(status, "upgrade", "check")
        self.assertEqual(2, code)
        self.assertIn("watcher-db-manage upgrade", " ".join(out.split()).replace("| | ", ""))

    def test_the_schema_of_this_release_passes(self) -> None:
        migration.ensure(self.database)
        code, out, _ = self.call(status, "upgrade", "check")
        self.assertEqual(0, code)
        self.assertEqual(7, out.count("Result: Success"))

    def test_open_webhooks_with_auto_trigger_are_a_warning(self) -> None:
        migration.ensure(self.database)
        with self.database.writer() as session:
            factories.audit(session, name="open", audit_type=AuditType.EVENT, auto_trigger=True)
        code, out, _ = self.call(status, "upgrade", "check")
        self.assertEqual(1, code)
        self.assertIn("auto_trigger: open;", " ".join(out.split()).replace("| | ", ""))
        with open(self.config_file, "a") as file:
            file.write("[webhooks]\ndefault_auth = secret\n")
        self.assertEqual(0, self.call(status, "upgrade", "check")[0])

    def test_before_the_upgrade_there_are_no_settings_yet(self) -> None:
        self.make_former("001")
        with self.database.engine.begin() as connection:
            for table, row in (
                (
                    "goals",
                    {
                        "id": 1,
                        "uuid": "g",
                        "name": "g",
                        "display_name": "g",
                        "efficacy_specification": "[]",
                    },
                ),
                (
                    "audits",
                    {
                        "uuid": AUDIT,
                        "goal_id": 1,
                        "audit_type": "EVENT",
                        "state": "PENDING",
                        "auto_trigger": True,
                    },
                ),
            ):
                old = Table(table, MetaData(), autoload_with=connection)
                connection.execute(old.insert(), row | {"deleted": 0})
        _code, out, _ = self.call(status, "upgrade", "check")
        self.assertIn(AUDIT, out)
