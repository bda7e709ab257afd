# SPDX-License-Identifier: Apache-2.0
"""The node that works on an audit or an action plan."""

import sqlalchemy as sa
from alembic import op

revision = "52804f2498c4"
down_revision = "a86240e89a29"


def upgrade() -> None:
    for table in ("audits", "action_plans"):
        op.add_column(table, sa.Column("hostname", sa.String(255)))


def downgrade() -> None:
    for table in ("audits", "action_plans"):
        op.drop_column(table, "hostname")
