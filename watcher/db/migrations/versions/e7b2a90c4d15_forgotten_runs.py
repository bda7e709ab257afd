# SPDX-License-Identifier: Apache-2.0
"""Runs are forgotten by the time of their end, and know when they were queued."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "e7b2a90c4d15"
down_revision = "c4d81e0a6f27"

PRECISE = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    op.add_column("audit_runs", sa.Column("queued_at", PRECISE))
    op.create_index("idx_audit_runs_finished_at", "audit_runs", ["finished_at"])


def downgrade() -> None:
    op.drop_index("idx_audit_runs_finished_at", "audit_runs")
    op.drop_column("audit_runs", "queued_at")
