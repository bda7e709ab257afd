# SPDX-License-Identifier: Apache-2.0
"""On MySQL, text of any alphabet and, where it is JSON, of megabytes."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "b0c7e112e0d2"
down_revision = "dc27dcac47fe"

JSON_COLUMNS = (
    ("goals", "efficacy_specification", False),
    ("strategies", "parameters_spec", True),
    ("audit_templates", "scope", True),
    ("audit_templates", "default_parameters", True),
    ("audits", "scope", True),
    ("audits", "parameters", True),
    ("action_plans", "global_efficacy", True),
    ("actions", "input_parameters", True),
    ("actions", "parents", True),
    ("scoring_engines", "metainfo", True),
)


def upgrade() -> None:
    if op.get_bind().dialect.name not in ("mysql", "mariadb"):
        return
    for table, collation in _narrow_tables(op.get_bind()):
        op.execute(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}")
    for table, column, nullable in JSON_COLUMNS:
        op.alter_column(
            table,
            column,
            existing_type=sa.Text,
            type_=mysql.MEDIUMTEXT,
            nullable=nullable,
        )


def downgrade() -> None:
    """Nothing: narrowing would lose text."""


def _narrow_tables(connection: sa.Connection) -> list[tuple[str, str]]:
    """Tables that do not take every character, and the collation that compares as theirs does."""
    present = connection.execute(
        sa.text(
            "SELECT table_name, table_collation FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
            " AND table_collation NOT LIKE 'utf8mb4%'"
        )
    ).all()
    return [(table, _wide(collation)) for table, collation in present]


def _wide(collation: str) -> str:
    charset, _, comparison = collation.partition("_")
    return f"utf8mb4_{comparison}" if charset in ("utf8", "utf8mb3") else "utf8mb4_general_ci"
