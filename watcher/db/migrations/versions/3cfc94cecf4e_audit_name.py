# SPDX-License-Identifier: Apache-2.0
"""Audits have names."""

import sqlalchemy as sa

from watcher.db.migrations import repeatable

revision = "3cfc94cecf4e"
down_revision = "d09a5945e4a0"


def upgrade() -> None:
    repeatable.add_column("audits", sa.Column("name", sa.String(63)))


def downgrade() -> None:
    repeatable.drop_column("audits", "name")
