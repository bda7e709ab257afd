# SPDX-License-Identifier: Apache-2.0
"""What must be known to revert an action."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "8c2f94d1e0b7"
down_revision = "5e0a7c31d94b"

LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}


def upgrade() -> None:
    op.create_table(
        "action_origins",
        sa.Column("action_id", sa.Integer, sa.ForeignKey("actions.id"), primary_key=True),
        sa.Column("origin", LONG, nullable=False),
        **MYSQL,
    )


def downgrade() -> None:
    op.drop_table("action_origins")
