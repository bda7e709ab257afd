# SPDX-License-Identifier: Apache-2.0
"""The node that works on an audit or an action plan."""

import sqlalchemy as sa

from watcher.db.migrations import repeatable

revision = "52804f2498c4"
down_revision = "a86240e89a29"


def upgrade() -> None:
    for table in ("audits", "action_plans"):
        repeatable.add_column(table, sa.Column("hostname", sa.String(255)))


def downgrade() -> None:
    for table in ("audits", "action_plans"):
        repeatable.drop_column(table, "hostname")
