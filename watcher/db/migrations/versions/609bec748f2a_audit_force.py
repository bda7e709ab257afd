# SPDX-License-Identifier: Apache-2.0
"""Audits that run beside an action plan under way."""

import sqlalchemy as sa
from alembic import op

revision = "609bec748f2a"
down_revision = "4b16194c56bc"


def upgrade() -> None:
    op.add_column("audits", sa.Column("force", sa.Boolean))


def downgrade() -> None:
    op.drop_column("audits", "force")
