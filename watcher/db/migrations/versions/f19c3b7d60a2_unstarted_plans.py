# SPDX-License-Identifier: Apache-2.0
"""Plans that nobody started are found by their age."""

from alembic import op

revision = "f19c3b7d60a2"
down_revision = "e2b7c50d9a14"

# Whole host names are too long for an index of a table in an older format.
LENGTH = {"hostname": 4}


def upgrade() -> None:
    op.create_index(
        "idx_action_plans_unstarted",
        "action_plans",
        ["hostname", "state", "created_at"],
        mysql_length=LENGTH,
        mariadb_length=LENGTH,
    )


def downgrade() -> None:
    op.drop_index("idx_action_plans_unstarted", "action_plans")
