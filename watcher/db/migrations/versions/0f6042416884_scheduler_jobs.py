# SPDX-License-Identifier: Apache-2.0
"""Jobs of the scheduler of the time, for CONTINUOUS audits."""

import sqlalchemy as sa
from alembic import op

from watcher.db.migrations import repeatable

revision = "0f6042416884"
down_revision = "001"


def upgrade() -> None:
    if sa.inspect(op.get_bind()).has_table("apscheduler_jobs"):
        return
    repeatable.create_table(
        "apscheduler_jobs",
        sa.Column("id", sa.String(191), primary_key=True),
        sa.Column("next_run_time", sa.Float(25), index=True),
        sa.Column("job_state", sa.LargeBinary, nullable=False),
        sa.Column("service_id", sa.Integer, sa.ForeignKey("services.id"), nullable=False),
        sa.Column("tag", sa.Text),
        mysql_engine="InnoDB",
    )


def downgrade() -> None:
    repeatable.drop_table("apscheduler_jobs")
