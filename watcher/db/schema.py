# SPDX-License-Identifier: Apache-2.0
"""Whether a database has the schema of this code.  alembic is not imported, because it takes
megabytes."""

import re
from pathlib import Path
from typing import Final

from sqlalchemy import inspect, select, text

from watcher.db import models
from watcher.db.errors import WrongSchema
from watcher.db.migrations import FORMER
from watcher.db.session import Database

SENTENCE: Final = (
    "The database has no tables of Watcher, or those of another version; "
    "run watcher-db-manage upgrade."
)

_VERSIONS = Path(__file__).parent / "migrations" / "versions"
_REVISION = re.compile(r'^(down_)?revision = "(\w+)"', re.MULTILINE)


def require(database: Database) -> None:
    """WrongSchema for a database without tables, or with those of an older version.

    A revision that this code does not know is that of a newer Watcher, to which another
    node may have been upgraded already.
    """
    with database.reader() as session:
        session.execute(select(models.Goal.id).limit(1))
        if not inspect(session.connection()).has_table("alembic_version"):
            return
        present = session.scalar(text("SELECT version_num FROM alembic_version"))
    if present in _older():
        raise WrongSchema(f"The database is at revision {present}.")


def _older() -> set[str]:
    """The revisions before the newest one."""
    found = (_REVISION.findall(path.read_text()) for path in _VERSIONS.glob("*.py"))
    return {*FORMER, *(revision for pairs in found for down, revision in pairs if down)}
