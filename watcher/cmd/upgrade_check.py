# SPDX-License-Identifier: Apache-2.0
"""The dry run of an upgrade, as text for people."""

import datetime
from collections.abc import Iterable, Sequence

from oslo_config import cfg

from watcher.db import migration, upgrade_preview
from watcher.db.session import Database
from watcher.decision_engine.catalog import Catalog

_HEADER = ("UUID", "Name", "Type", "State", "Becomes", "What happens")


def report(database: Database, conf: cfg.ConfigOpts, now: datetime.datetime) -> str:
    """The effect of an upgrade *now* and of the start of the services after it.

    Invalid if the revision of the database is unknown.
    """
    present, steps = migration.version(database), migration.steps(database)
    if not steps:
        return f"Revision {present}: there is nothing to upgrade."
    catalog = Catalog(conf)
    with database.connection() as connection:
        found = upgrade_preview.preview(
            connection, conf, lambda session: catalog.sync(session, now), now
        )
    return "\n".join(
        [
            f"Revision {present or 'none'} -> {steps[-1]}, {len(steps)} steps",
            *_table("Audits", found.audits, _HEADER),
            *_table("Action plans", found.plans, _HEADER),
            *_table("Audit templates", found.templates, _HEADER),
            "",
            "Nothing was changed.",
        ]
    )


def _table(title: str, rows: Iterable[Sequence[str]], header: Sequence[str]) -> list[str]:
    """A table whose columns are as wide as their values; empty columns are left out."""
    columns = [(name, *values) for name, *values in zip(header, *rows, strict=True) if any(values)]
    if not columns:
        return ["", f"{title}: none"]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    return ["", title] + ["  ".join(map(str.ljust, line, widths)).rstrip() for line in lines]
