# SPDX-License-Identifier: Apache-2.0
"""Why the actions of a plan were proposed."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "5e0a7c31d94b"
down_revision = "b0c7e112e0d2"

LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def upgrade() -> None:
    op.create_table(
        "action_plan_reasons",
        sa.Column("action_plan_id", sa.Integer, sa.ForeignKey("action_plans.id"), primary_key=True),
        sa.Column("summary", LONG, nullable=False),
        sa.Column("reasons", LONG, nullable=False),
        **MYSQL,
    )


def downgrade() -> None:
    op.drop_table("action_plan_reasons")
