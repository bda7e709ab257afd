# SPDX-License-Identifier: Apache-2.0
"""The queue of runs, the events that reached the webhooks, and indexes for who looks for work."""

import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "dc27dcac47fe"
down_revision = "41996d61de16"

PRECISE = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}

INDEXES = (
    ("idx_audits_audit_type_state", "audits", ["audit_type", "state"]),
    ("idx_audits_created_at", "audits", ["created_at"]),
    ("ix_audits_goal_id", "audits", ["goal_id"]),
    ("ix_audits_strategy_id", "audits", ["strategy_id"]),
    ("idx_action_plans_state", "action_plans", ["state"]),
    ("idx_action_plans_audit_id_state", "action_plans", ["audit_id", "state"]),
    ("ix_action_plans_strategy_id", "action_plans", ["strategy_id"]),
    ("idx_actions_action_plan_id_state", "actions", ["action_plan_id", "state"]),
    ("ix_efficacy_indicators_action_plan_id", "efficacy_indicators", ["action_plan_id"]),
)


def upgrade() -> None:
    _create_audit_runs()
    _create_audit_events()
    _create_webhooks()
    op.create_table(
        "action_plan_leases",
        sa.Column(
            "action_plan_id",
            sa.Integer,
            sa.ForeignKey("action_plans.id"),
            primary_key=True,
        ),
        sa.Column("engine", sa.String(255), nullable=False),
        sa.Column("lease_expires_at", PRECISE, nullable=False, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        **MYSQL,
    )
    op.create_table(
        "tallies",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("name", name="uniq_tallies0name"),
        **MYSQL,
    )
    for name, table, columns in INDEXES:
        op.create_index(name, table, columns)


def downgrade() -> None:
    _give_foreign_keys_their_indexes()
    for name, table, _ in INDEXES:
        op.drop_index(name, table)
    for table in ("tallies", "action_plan_leases", "webhooks", "audit_events", "audit_runs"):
        op.drop_table(table)


def _create_audit_runs() -> None:
    op.create_table(
        "audit_runs",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("audit_id", sa.Integer, sa.ForeignKey("audits.id"), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column(
            "slot",
            sa.String(20),
            sa.Computed("CASE WHEN state IN ('QUEUED', 'ONGOING') THEN state END", persisted=True),
        ),
        sa.Column("not_before", PRECISE, nullable=False),
        sa.Column("wait_reason", sa.String(36)),
        sa.Column("coalesced_count", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("engine", sa.String(255)),
        sa.Column("lease_expires_at", PRECISE),
        sa.Column("created_at", PRECISE, nullable=False),
        sa.Column("started_at", PRECISE),
        sa.Column("finished_at", PRECISE),
        sa.Column("action_plan_id", sa.Integer, sa.ForeignKey("action_plans.id"), index=True),
        sa.Column("status_message", sa.String(255)),
        sa.Column("parameters", LONG),
        sa.Column("auto_started", sa.Boolean, nullable=False),
        sa.UniqueConstraint("uuid", name="uniq_audit_runs0uuid"),
        sa.UniqueConstraint("audit_id", "slot", name="uniq_audit_runs0audit_id0slot"),
        sa.Index("idx_audit_runs_slot_not_before", "slot", "not_before", "id"),
        sa.Index("idx_audit_runs_slot_lease", "slot", "lease_expires_at"),
        **MYSQL,
    )


def _create_audit_events() -> None:
    op.create_table(
        "audit_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("audit_id", sa.Integer, sa.ForeignKey("audits.id"), nullable=False),
        sa.Column("run_id", sa.Integer, sa.ForeignKey("audit_runs.id"), index=True),
        sa.Column("received_at", PRECISE, nullable=False),
        sa.Column("source", sa.String(36), nullable=False),
        sa.Column("alarm_name", sa.String(255)),
        sa.Column("alarm_id", sa.String(255)),
        sa.Column("severity", sa.String(63)),
        sa.Column("previous_state", sa.String(63)),
        sa.Column("current_state", sa.String(63)),
        sa.Column("reason", sa.Text),
        sa.Column("request_id", sa.String(255)),
        sa.Column("decision", sa.String(20), nullable=False),
        sa.Column("decision_reason", sa.String(36)),
        sa.Column("payload", LONG),
        sa.Column("parameters", LONG),
        sa.Column("delivery_key", sa.String(64)),
        sa.Column("deliveries", sa.Integer, nullable=False),
        sa.UniqueConstraint("uuid", name="uniq_audit_events0uuid"),
        sa.UniqueConstraint("audit_id", "delivery_key", name="uniq_audit_events0delivery"),
        sa.Index("idx_audit_events_audit_id_received_at", "audit_id", "received_at"),
        sa.Index("idx_audit_events_decision", "source", "decision", "decision_reason"),
        **MYSQL,
    )


def _create_webhooks() -> None:
    """Each EVENT audit has one, so those that exist get theirs."""
    webhooks = op.create_table(
        "webhooks",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("audit_id", sa.Integer, sa.ForeignKey("audits.id"), nullable=False),
        sa.Column("auth", sa.String(20)),
        sa.Column("secret_hash", sa.String(64)),
        sa.Column("previous_secret_hash", sa.String(64)),
        sa.Column("debounce", sa.Integer, nullable=False),
        sa.Column("cooldown", sa.Integer, nullable=False),
        sa.Column("max_actions", sa.Integer),
        sa.Column("max_plans_per_hour", sa.Integer),
        sa.Column("min_efficacy", sa.Float),
        sa.Column("filter", sa.Text),
        sa.Column("parameters", LONG),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("note", sa.String(255)),
        sa.Column("created_at", PRECISE, nullable=False),
        sa.Column("updated_at", PRECISE),
        sa.UniqueConstraint("audit_id", name="uniq_webhooks0audit_id"),
        **MYSQL,
    )
    audits = sa.table(
        "audits",
        sa.column("id", sa.Integer),
        sa.column("audit_type", sa.String),
        sa.column("deleted", sa.Integer),
    )
    now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
    op.execute(
        webhooks.insert().from_select(
            ["audit_id", "debounce", "cooldown", "paused", "created_at"],
            sa.select(
                audits.c.id,
                sa.literal(0),
                sa.literal(0),
                sa.false(),
                sa.literal(now, PRECISE),
            ).where(audits.c.audit_type == "EVENT", audits.c.deleted == 0),
        )
    )


def _give_foreign_keys_their_indexes() -> None:
    """MySQL keeps an index under each foreign key, and dropped its own for ours."""
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        for _, table, columns in INDEXES:
            if columns[0].endswith("_id"):
                op.create_index(columns[0], table, columns[:1])
