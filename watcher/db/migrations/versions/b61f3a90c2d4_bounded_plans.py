# SPDX-License-Identifier: Apache-2.0
"""Plans fit within the limits of their webhook, and earlier moves are found by their time."""

import sqlalchemy as sa
from alembic import op

revision = "b61f3a90c2d4"
down_revision = "8c2f94d1e0b7"


def upgrade() -> None:
    # A limit that was set before keeps holding plans back until it is set anew.
    op.add_column(
        "webhooks",
        sa.Column("fit_actions", sa.Boolean, nullable=False, server_default=sa.false()),
    )
    op.create_index("idx_action_plans_updated_at", "action_plans", ["updated_at"])


def downgrade() -> None:
    op.drop_index("idx_action_plans_updated_at", "action_plans")
    with op.batch_alter_table("webhooks") as batch:
        batch.drop_column("fit_actions")
