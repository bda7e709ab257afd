# SPDX-License-Identifier: Apache-2.0
"""Parameters that an audit takes from its template."""

import sqlalchemy as sa

from watcher.db.migrations import repeatable

revision = "f56ba02662b4"
down_revision = "7150a7d8f228"


def upgrade() -> None:
    repeatable.add_column("audit_templates", sa.Column("default_parameters", sa.Text))


def downgrade() -> None:
    repeatable.drop_column("audit_templates", "default_parameters")
