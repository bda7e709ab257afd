# SPDX-License-Identifier: Apache-2.0
"""Audits that run beside an action plan under way."""

import sqlalchemy as sa

from watcher.db.migrations import repeatable

revision = "609bec748f2a"
down_revision = "4b16194c56bc"


def upgrade() -> None:
    repeatable.add_column("audits", sa.Column("force", sa.Boolean))


def downgrade() -> None:
    repeatable.drop_column("audits", "force")
