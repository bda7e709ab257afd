# SPDX-License-Identifier: Apache-2.0
"""A sentence on why a state is what it is."""

import sqlalchemy as sa

from watcher.db.migrations import repeatable

revision = "7150a7d8f228"
down_revision = "15f7375ca737"


def upgrade() -> None:
    for table in ("audits", "action_plans", "actions"):
        repeatable.add_column(table, sa.Column("status_message", sa.String(255)))


def downgrade() -> None:
    for table in ("audits", "action_plans", "actions"):
        repeatable.drop_column(table, "status_message")
