# SPDX-License-Identifier: Apache-2.0
"""Efficacy indicators keep their decimals."""

import sqlalchemy as sa
from alembic import op

revision = "15f7375ca737"
down_revision = "609bec748f2a"


def upgrade() -> None:
    op.add_column("efficacy_indicators", sa.Column("data", sa.Float))


def downgrade() -> None:
    op.drop_column("efficacy_indicators", "data")
