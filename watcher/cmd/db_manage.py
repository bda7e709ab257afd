# SPDX-License-Identifier: Apache-2.0
"""watcher-db-manage: the schema of the database, and removal of deleted rows."""

import argparse
import datetime
import sys

from oslo_config import cfg
from oslo_db import exception as db_exception
from oslo_utils import timeutils
from sqlalchemy.exc import SQLAlchemyError

from watcher import conf as watcher_conf
from watcher.cmd import upgrade_check
from watcher.common import logs
from watcher.common.errors import Invalid, WatcherError
from watcher.db import migration, purge
from watcher.db.session import Database


def upgrade(database: Database, options: cfg.ConfigOpts) -> None:
    migration.upgrade(database, getattr(options, "revision", None) or "head")


def downgrade(database: Database, options: cfg.ConfigOpts) -> None:
    migration.downgrade(database, options.revision)


def stamp(database: Database, options: cfg.ConfigOpts) -> None:
    migration.stamp(database, options.revision)


def revision(database: Database, options: cfg.ConfigOpts) -> None:
    migration.revision(database, options.message, options.autogenerate)


def version(database: Database, options: cfg.ConfigOpts) -> None:
    print(migration.version(database))


def create_schema(database: Database, options: cfg.ConfigOpts) -> None:
    migration.create_schema(database)


def purge_rows(database: Database, options: cfg.ConfigOpts) -> None:
    """Show what would go, ask, and remove it."""
    selection, most = _selection(database, options), options.max_number
    with database.reader() as session:
        found = purge.find(session, selection)
    total = sum(map(len, found.values()))
    if most is not None and total > most:
        print(f"{total} rows may go, more than {most}.")
        if not _agreed(options, f"Purge only goals that go completely within {most} rows?"):
            return
        with database.reader() as session:
            found = purge.find(session, purge.within(session, selection, most))
        total = sum(map(len, found.values()))
    print(_table({table.name: len(ids) for table, ids in found.items()}))
    if options.dry_run or not total:
        return
    if _agreed(options, f"Remove these {total} rows for good?"):
        purge.remove(database, found)
        print(f"{total} rows removed.")


def _selection(database: Database, options: cfg.ConfigOpts) -> purge.Selection:
    before = goals = None
    for name in ("age_in_days", "max_number"):
        if (getattr(options, name) or 0) < 0:
            raise Invalid(f"{name.replace('_', '-')}: has to be 0 or more.")
    if options.age_in_days is not None:
        before = timeutils.utcnow() - datetime.timedelta(days=options.age_in_days)
    if options.goal:
        with database.reader() as session:
            goals = purge.deleted_goals(session, options.goal)
    return purge.Selection(before, goals, not options.exclude_orphans)


def _agreed(options: cfg.ConfigOpts, question: str) -> bool:
    if options.yes or options.dry_run:
        return True
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        raise Invalid("yes: nobody is there to confirm; give --yes to purge unasked.") from None


def _table(counts: dict[str, int]) -> str:
    rows = [*counts.items(), ("total", sum(counts.values()))]
    return "\n".join(f"{name:<16}{count:>10}" for name, count in rows)


def _add_commands(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    commands.required = False

    def add(name: str, work: object, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(work=work)
        return command

    text = "Bring the schema up to date; also without any command."
    either = add("upgrade", upgrade, text).add_mutually_exclusive_group()
    either.add_argument("--revision", help="Stop at this revision.")
    either.add_argument(
        "--check",
        action="store_true",
        help="Only list what becomes of audits, action plans and audit templates at the next start "
        "of the services.",
    )
    add("downgrade", downgrade, "Take the schema back.").add_argument(
        "--revision", default="-1", help="To this revision; by default one step."
    )
    add("stamp", stamp, "Record a revision without changing the schema.").add_argument(
        "revision", help="The revision that the schema has."
    )
    new = add("revision", revision, "Add a file for a new revision, as a developer of Watcher.")
    new.add_argument("-m", "--message", help="What it does.")
    new.add_argument(
        "--autogenerate", action="store_true", help="Fill it by comparing models and database."
    )
    add("version", version, "Print the revision of the database.")
    add("create_schema", create_schema, "Create the schema in an empty database.")
    _add_purge(add("purge", purge_rows, "Remove deleted rows for good."))


def _add_purge(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "-d", "--age-in-days", type=int, help="Only rows deleted more than so many days ago."
    )
    command.add_argument(
        "-n",
        "--max-number",
        type=int,
        help="At most so many rows: if there are more, whole goals that fit.",
    )
    command.add_argument("-t", "--goal", help="Only rows of this deleted goal, by uuid or name.")
    command.add_argument(
        "-e",
        "--exclude-orphans",
        action="store_true",
        help="Keep what is not deleted, with all that it belongs to, even if that is deleted.",
    )
    command.add_argument("--dry-run", action="store_true", help="Only show what would go.")
    command.add_argument("-y", "--yes", action="store_true", help="Do not ask.")


CLI = [
    cfg.SubCommandOpt(
        "command", title="command", help="By default, upgrade.", handler=_add_commands
    )
]


def main() -> int:
    conf = watcher_conf.load(sys.argv[1:], cli=CLI)
    logs.setup(conf)
    database = Database(conf, bounded=False)
    work = conf.command.work if conf.command.name else upgrade
    try:
        if getattr(conf.command, "check", False):
            print(upgrade_check.report(database, conf, timeutils.utcnow()))
        else:
            work(database, conf.command)
    except (WatcherError, db_exception.DBError, SQLAlchemyError) as error:
        print(f"watcher-db-manage: {_sentence(error)}", file=sys.stderr)
        return 1
    finally:
        database.dispose()
    return 0


def _sentence(error: Exception) -> str:
    if isinstance(error, db_exception.DBConnectionError):
        reason = str(error.inner_exception).splitlines()[0]
        return f"The database cannot be reached: {reason}"
    if isinstance(error, db_exception.DBReferenceError):
        return "A row came to depend on one that was to go; what is left goes at the next purge."
    return str(error).splitlines()[0]
