# SPDX-License-Identifier: Apache-2.0
"""The last schema of the former service, in an empty database or one of an earlier revision."""

from typing import Any

import sqlalchemy as sa

from watcher.db.migrations import repeatable

revision = "f56ba02662b4"
down_revision = None

TABLES = (
    "goals",
    "strategies",
    "audit_templates",
    "audits",
    "action_plans",
    "actions",
    "efficacy_indicators",
    "scoring_engines",
    "services",
    "apscheduler_jobs",
    "action_descriptions",
)


def upgrade() -> None:
    _create_catalog()
    _create_audits()
    _create_plans()
    _create(
        "services",
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("last_seen_up", sa.DateTime),
        sa.UniqueConstraint("host", "name", "deleted", name="uniq_services0host0name0deleted"),
    )
    repeatable.create_table(
        "apscheduler_jobs",
        sa.Column("id", sa.String(191), primary_key=True),
        sa.Column("next_run_time", sa.Float(25), index=True),
        sa.Column("job_state", sa.LargeBinary, nullable=False),
        sa.Column("service_id", sa.Integer, sa.ForeignKey("services.id"), nullable=False),
        sa.Column("tag", sa.Text),
        mysql_engine="InnoDB",
    )
    _create(
        "action_descriptions",
        sa.Column("action_type", sa.String(255), nullable=False),
        sa.Column("description", sa.String(255), nullable=False),
        sa.UniqueConstraint("action_type", name="uniq_action_description0action_type"),
    )


def downgrade() -> None:
    for table in reversed(TABLES):
        repeatable.drop_table(table)


def _create_catalog() -> None:
    _create(
        "goals",
        sa.Column("uuid", sa.String(36)),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("display_name", sa.String(63), nullable=False),
        sa.Column("efficacy_specification", sa.Text, nullable=False),
        sa.UniqueConstraint("uuid", name="uniq_goals0uuid"),
        sa.UniqueConstraint("name", "deleted", name="uniq_goals0name"),
    )
    _create(
        "strategies",
        sa.Column("uuid", sa.String(36)),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("display_name", sa.String(63), nullable=False),
        sa.Column("goal_id", sa.Integer, sa.ForeignKey("goals.id"), nullable=False),
        sa.Column("parameters_spec", sa.Text),
        sa.UniqueConstraint("uuid", name="uniq_strategies0uuid"),
        sa.UniqueConstraint("name", "deleted", name="uniq_strategies0name"),
    )
    _create(
        "scoring_engines",
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("description", sa.String(255)),
        sa.Column("metainfo", sa.Text),
        sa.UniqueConstraint("uuid", name="uniq_scoring_engines0uuid"),
        sa.UniqueConstraint("name", "deleted", name="uniq_scoring_engines0name"),
    )


def _create_audits() -> None:
    _create(
        "audit_templates",
        sa.Column("uuid", sa.String(36)),
        sa.Column("name", sa.String(63)),
        sa.Column("description", sa.String(255)),
        sa.Column("goal_id", sa.Integer, sa.ForeignKey("goals.id"), nullable=False),
        sa.Column("strategy_id", sa.Integer, sa.ForeignKey("strategies.id")),
        sa.Column("scope", sa.Text),
        sa.Column("default_parameters", sa.Text),
        sa.UniqueConstraint("uuid", name="uniq_audit_templates0uuid"),
        sa.UniqueConstraint("name", "deleted", name="uniq_audit_templates0name"),
    )
    _create(
        "audits",
        sa.Column("uuid", sa.String(36)),
        sa.Column("name", sa.String(63)),
        sa.Column("audit_type", sa.String(20)),
        sa.Column("state", sa.String(20)),
        sa.Column("parameters", sa.Text),
        sa.Column("interval", sa.Integer().with_variant(sa.String(36), "mysql", "mariadb")),
        sa.Column("goal_id", sa.Integer, sa.ForeignKey("goals.id"), nullable=False),
        sa.Column("strategy_id", sa.Integer, sa.ForeignKey("strategies.id")),
        sa.Column("scope", sa.Text),
        sa.Column("auto_trigger", sa.Boolean, nullable=False),
        sa.Column("next_run_time", sa.DateTime),
        sa.Column("hostname", sa.String(255)),
        sa.Column("start_time", sa.DateTime),
        sa.Column("end_time", sa.DateTime),
        sa.Column("force", sa.Boolean),
        sa.Column("status_message", sa.String(255)),
        sa.UniqueConstraint("uuid", name="uniq_audits0uuid"),
    )


def _create_plans() -> None:
    _create(
        "action_plans",
        sa.Column("uuid", sa.String(36)),
        sa.Column("audit_id", sa.Integer, sa.ForeignKey("audits.id"), nullable=False),
        sa.Column("strategy_id", sa.Integer, sa.ForeignKey("strategies.id"), nullable=False),
        sa.Column("state", sa.String(20)),
        sa.Column("global_efficacy", sa.Text),
        sa.Column("hostname", sa.String(255)),
        sa.Column("status_message", sa.String(255)),
        sa.UniqueConstraint("uuid", name="uniq_action_plans0uuid"),
    )
    _create(
        "actions",
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("action_plan_id", sa.Integer, sa.ForeignKey("action_plans.id"), nullable=False),
        sa.Column("action_type", sa.String(255), nullable=False),
        sa.Column("input_parameters", sa.Text),
        sa.Column("state", sa.String(20)),
        sa.Column("parents", sa.Text),
        sa.Column("status_message", sa.String(255)),
        sa.UniqueConstraint("uuid", name="uniq_actions0uuid"),
    )
    _create(
        "efficacy_indicators",
        sa.Column("uuid", sa.String(36)),
        sa.Column("name", sa.String(63)),
        sa.Column("description", sa.String(255)),
        sa.Column("unit", sa.String(63)),
        sa.Column("value", sa.Numeric),
        sa.Column("data", sa.Float),
        sa.Column("action_plan_id", sa.Integer, sa.ForeignKey("action_plans.id"), nullable=False),
        sa.UniqueConstraint("uuid", name="uniq_efficacy_indicators0uuid"),
    )


def _create(name: str, *parts: Any) -> None:
    repeatable.create_table(
        name,
        sa.Column("created_at", sa.DateTime),
        sa.Column("updated_at", sa.DateTime),
        sa.Column("deleted_at", sa.DateTime),
        sa.Column("deleted", sa.Integer),
        sa.Column("id", sa.Integer, primary_key=True),
        *parts,
        mysql_engine="InnoDB",
    )
