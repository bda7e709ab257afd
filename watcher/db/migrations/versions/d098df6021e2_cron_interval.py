# SPDX-License-Identifier: Apache-2.0
"""Cron expressions as intervals, on MySQL alone, and the time of the next run."""

import sqlalchemy as sa
from alembic import op

from watcher.db.migrations import repeatable

revision = "d098df6021e2"
down_revision = "0f6042416884"


def upgrade() -> None:
    # In other databases this column stays an integer until our own first revision.
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        op.alter_column(
            "audits", "interval", existing_type=sa.Integer, type_=sa.String(36), nullable=True
        )
    repeatable.add_column("audits", sa.Column("next_run_time", sa.DateTime))


def downgrade() -> None:
    repeatable.drop_column("audits", "next_run_time")
