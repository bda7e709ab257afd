# SPDX-License-Identifier: Apache-2.0
"""What action plans have promised, and what they did."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "3d9a41c7e8f5"
down_revision = "b61f3a90c2d4"

LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
PRECISE = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def upgrade() -> None:
    op.create_table(
        "action_plan_reviews",
        sa.Column("action_plan_id", sa.Integer, sa.ForeignKey("action_plans.id"), primary_key=True),
        sa.Column("promise", LONG, nullable=False),
        sa.Column("window_seconds", sa.Integer, nullable=False),
        sa.Column("ended_at", PRECISE),
        sa.Column("due_at", PRECISE, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("reviewed_at", PRECISE),
        sa.Column("realised", LONG, nullable=False),
        sa.Column("kept", sa.Float),
        sa.Column("message", sa.String(255)),
        sa.Column("counts", sa.Boolean, nullable=False),
        sa.Column("distrusts", sa.Boolean, nullable=False),
        **MYSQL,
    )


def downgrade() -> None:
    op.drop_table("action_plan_reviews")
