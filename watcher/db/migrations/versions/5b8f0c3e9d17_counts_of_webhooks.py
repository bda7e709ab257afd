# SPDX-License-Identifier: Apache-2.0
"""Indexes count what came to a webhook, list its runs, and find what is to be purged."""

from alembic import op

revision = "5b8f0c3e9d17"
down_revision = "a7c1e94d3b60"


def upgrade() -> None:
    op.create_index(
        "idx_audit_events_audit_id_decision", "audit_events", ["audit_id", "decision", "run_id"]
    )
    op.drop_index("idx_audit_events_decision", "audit_events")
    op.create_index(
        "idx_audit_runs_audit_id_id", "audit_runs", ["audit_id", "id", "coalesced_count"]
    )
    for table in ("action_plans", "actions"):
        op.create_index(f"idx_{table}_deleted_at", table, ["deleted_at"])


def downgrade() -> None:
    for table in ("action_plans", "actions"):
        op.drop_index(f"idx_{table}_deleted_at", table)
    op.drop_index("idx_audit_runs_audit_id_id", "audit_runs")
    op.create_index(
        "idx_audit_events_decision", "audit_events", ["source", "decision", "decision_reason"]
    )
    op.drop_index("idx_audit_events_audit_id_decision", "audit_events")
