# SPDX-License-Identifier: Apache-2.0
"""Runs keep the error of each attempt, and how many engines died of them."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "c4d81e0a6f27"
down_revision = "3d9a41c7e8f5"

LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    op.add_column("audit_runs", sa.Column("deaths", sa.Integer, nullable=False, server_default="0"))
    op.add_column("audit_runs", sa.Column("errors", LONG))


def downgrade() -> None:
    # Not in a batch: SQLite would copy the table, which it cannot with a generated column.
    op.drop_column("audit_runs", "errors")
    op.drop_column("audit_runs", "deaths")
