# SPDX-License-Identifier: Apache-2.0
"""Runs revisions on the connection that ``watcher.db.migration`` hands over."""

from alembic import context

from watcher.db import models

# The scheduler of the former service kept its jobs here.  Nothing reads them now.
UNMODELLED = {"apscheduler_jobs"}


def _modelled(item: object, name: str | None, kind: str, reflected: bool, other: object) -> bool:
    return not (kind == "table" and name in UNMODELLED)


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=models.Base.metadata,
    include_object=_modelled,
    render_as_batch=True,
    transaction_per_migration=True,
    # A revision is one transaction if the database supports that; alembic's default excludes
    # SQLite.
    transactional_ddl=connection.dialect.name in ("sqlite", "postgresql"),
)
with context.begin_transaction():
    context.run_migrations()
