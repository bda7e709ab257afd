# SPDX-License-Identifier: Apache-2.0
"""From when, and until when, an audit runs."""

import sqlalchemy as sa

from watcher.db.migrations import repeatable

revision = "4b16194c56bc"
down_revision = "52804f2498c4"


def upgrade() -> None:
    for name in ("start_time", "end_time"):
        repeatable.add_column("audits", sa.Column(name, sa.DateTime))


def downgrade() -> None:
    for name in ("start_time", "end_time"):
        repeatable.drop_column("audits", name)
