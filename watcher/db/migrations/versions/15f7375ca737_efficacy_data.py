# SPDX-License-Identifier: Apache-2.0
"""Efficacy indicators keep their decimals."""

import sqlalchemy as sa

from watcher.db.migrations import repeatable

revision = "15f7375ca737"
down_revision = "609bec748f2a"


def upgrade() -> None:
    repeatable.add_column("efficacy_indicators", sa.Column("data", sa.Float))


def downgrade() -> None:
    repeatable.drop_column("efficacy_indicators", "data")
