# SPDX-License-Identifier: Apache-2.0
"""An event may be the replay of another one."""

import sqlalchemy as sa
from alembic import op

revision = "a7c1e94d3b60"
down_revision = "f19c3b7d60a2"


def upgrade() -> None:
    op.add_column("audit_events", sa.Column("replay_of", sa.String(36)))


def downgrade() -> None:
    op.drop_column("audit_events", "replay_of")
