# SPDX-License-Identifier: Apache-2.0
"""Descriptions of the action types."""

import sqlalchemy as sa

from watcher.db.migrations import repeatable

revision = "d09a5945e4a0"
down_revision = "d098df6021e2"


def upgrade() -> None:
    repeatable.create_table(
        "action_descriptions",
        sa.Column("created_at", sa.DateTime),
        sa.Column("updated_at", sa.DateTime),
        sa.Column("deleted_at", sa.DateTime),
        sa.Column("deleted", sa.Integer),
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("action_type", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.UniqueConstraint("action_type", name="uniq_action_description0action_type"),
        mysql_engine="InnoDB",
    )


def downgrade() -> None:
    repeatable.drop_table("action_descriptions")
