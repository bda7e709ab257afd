# SPDX-License-Identifier: Apache-2.0
"""Take over the database of the former service, and add what is ours.

Installations that differ by age, backend and way of creation get one shape: intervals are
text everywhere, names of audits are unique, indicators have their value in ``data``, the
pickled jobs of the former scheduler are gone, and on MySQL text may be of any alphabet and,
where it is JSON, of megabytes.
"""

import datetime
import logging
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

from watcher.db.migrations import repeatable, unique_names

revision = "5b8f0c3e9d17"
down_revision = "f56ba02662b4"

PRECISE = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
LONG = sa.Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
MYSQL: dict[str, Any] = {"mysql_engine": "InnoDB", "mysql_charset": "utf8mb4"}

LOG = logging.getLogger(__name__)

audits = sa.table(
    "audits",
    sa.column("id", sa.Integer),
    sa.column("name", sa.String),
    sa.column("audit_type", sa.String),
    sa.column("deleted", sa.Integer),
    sa.column("force", sa.Boolean),
)
indicators = sa.table(
    "efficacy_indicators", sa.column("value", sa.Numeric), sa.column("data", sa.Float)
)

JSON_COLUMNS = (
    ("goals", "efficacy_specification", False),
    ("strategies", "parameters_spec", True),
    ("audit_templates", "scope", True),
    ("audit_templates", "default_parameters", True),
    ("audits", "scope", True),
    ("audits", "parameters", True),
    ("action_plans", "global_efficacy", True),
    ("actions", "input_parameters", True),
    ("actions", "parents", True),
    ("scoring_engines", "metainfo", True),
)

INDEXES = (
    ("idx_audits_audit_type_state", "audits", ["audit_type", "state"]),
    ("idx_audits_created_at", "audits", ["created_at"]),
    ("ix_audits_goal_id", "audits", ["goal_id"]),
    ("ix_audits_strategy_id", "audits", ["strategy_id"]),
    ("idx_action_plans_state", "action_plans", ["state"]),
    ("idx_action_plans_audit_id_state", "action_plans", ["audit_id", "state"]),
    ("idx_action_plans_updated_at", "action_plans", ["updated_at"]),
    ("idx_action_plans_deleted_at", "action_plans", ["deleted_at"]),
    ("idx_action_plans_unstarted", "action_plans", ["hostname", "state", "created_at"]),
    ("ix_action_plans_strategy_id", "action_plans", ["strategy_id"]),
    ("idx_actions_action_plan_id_state", "actions", ["action_plan_id", "state"]),
    ("idx_actions_deleted_at", "actions", ["deleted_at"]),
    ("ix_efficacy_indicators_action_plan_id", "efficacy_indicators", ["action_plan_id"]),
)

# Whole host names are too long for an index of a table in an older format.
LENGTHS = {"idx_action_plans_unstarted": {"hostname": 4}}

OURS = (
    "tallies",
    "action_plan_reviews",
    "action_plan_reasons",
    "action_plan_leases",
    "action_origins",
    "webhooks",
    "audit_events",
    "audit_runs",
)


def upgrade() -> None:
    connection = op.get_bind()
    connection.execute(sa.update(audits).where(audits.c.force.is_(None)).values(force=False))
    connection.execute(
        sa.update(indicators)
        .where(indicators.c.data.is_(None))
        .values(data=sa.cast(indicators.c.value, sa.Float))
    )
    if sa.inspect(connection).has_table("apscheduler_jobs"):
        op.execute("DELETE FROM apscheduler_jobs")
    _rename_duplicates(connection)
    _reshape_audits(connection)
    if connection.dialect.name in ("mysql", "mariadb"):
        _widen_text(connection)
    for table in OURS:  # left by an upgrade that was killed
        repeatable.drop_table(table)
    _create_audit_runs()
    _create_audit_events()
    _create_webhooks()
    _create_tables_of_plans()
    repeatable.create_table(
        "tallies",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(400), nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("name", name="uniq_tallies0name"),
        **MYSQL,
    )
    repeatable.add_column("services", sa.Column("models_read_at", LONG))
    for name, table, columns in INDEXES:
        length = LENGTHS.get(name)
        repeatable.create_index(name, table, columns, mysql_length=length, mariadb_length=length)


def downgrade() -> None:
    """Intervals stay text, which the former service declares as well, and text stays wide."""
    _give_foreign_keys_their_indexes()
    for name, table, _ in INDEXES:
        repeatable.drop_index(name, table)
    for table in OURS:
        repeatable.drop_table(table)
    repeatable.drop_column("services", "models_read_at")
    if _names_are_unique(op.get_bind()):
        with op.batch_alter_table("audits") as batch:
            batch.drop_constraint("uniq_audits0name", type_="unique")


def _create_audit_runs() -> None:
    repeatable.create_table(
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
        sa.Column("queued_at", PRECISE),
        sa.Column("wait_reason", sa.String(36)),
        sa.Column("coalesced_count", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("deaths", sa.Integer, nullable=False, server_default="0"),
        sa.Column("errors", LONG),
        sa.Column("engine", sa.String(255)),
        sa.Column("lease_expires_at", PRECISE),
        sa.Column("created_at", PRECISE, nullable=False),
        sa.Column("started_at", PRECISE),
        sa.Column("finished_at", PRECISE),
        sa.Column("action_plan_id", sa.Integer, sa.ForeignKey("action_plans.id"), index=True),
        sa.Column("status_message", sa.String(255)),
        sa.Column("parameters", LONG),
        sa.Column("auto_started", sa.Boolean, nullable=False),
        sa.Column("cloud_digest", sa.String(64)),
        sa.UniqueConstraint("uuid", name="uniq_audit_runs0uuid"),
        sa.UniqueConstraint("audit_id", "slot", name="uniq_audit_runs0audit_id0slot"),
        sa.Index("idx_audit_runs_slot_not_before", "slot", "not_before", "id"),
        sa.Index("idx_audit_runs_slot_lease", "slot", "lease_expires_at"),
        sa.Index("idx_audit_runs_finished_at", "finished_at"),
        sa.Index("idx_audit_runs_audit_id_id", "audit_id", "id"),
        sa.Index("idx_audit_runs_audit_id_coalesced_count", "audit_id", "coalesced_count"),
        **MYSQL,
    )


def _create_audit_events() -> None:
    repeatable.create_table(
        "audit_events",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("uuid", sa.String(36), nullable=False),
        sa.Column("audit_id", sa.Integer, nullable=False),
        sa.Column("inbox", sa.Integer),
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
        sa.Column("replay_of", sa.String(36)),
        sa.UniqueConstraint("uuid", name="uniq_audit_events0uuid"),
        sa.UniqueConstraint("audit_id", "delivery_key", name="uniq_audit_events0delivery"),
        sa.Index("idx_audit_events_audit_id_received_at", "audit_id", "received_at"),
        sa.Index("idx_audit_events_inbox", "inbox", "id"),
        sa.Index("idx_audit_events_audit_id_decision", "audit_id", "decision", "run_id"),
        **MYSQL,
    )


def _create_webhooks() -> None:
    """Each EVENT audit has a webhook, so existing audits get one."""
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
        sa.Column("fit_actions", sa.Boolean, nullable=False, server_default=sa.false()),
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


def _create_tables_of_plans() -> None:
    repeatable.create_table(
        "action_plan_leases",
        _of_plan(),
        sa.Column("engine", sa.String(255), nullable=False),
        sa.Column("lease_expires_at", PRECISE, nullable=False, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        **MYSQL,
    )
    repeatable.create_table(
        "action_origins",
        sa.Column("action_id", sa.Integer, sa.ForeignKey("actions.id"), primary_key=True),
        sa.Column("origin", LONG, nullable=False),
        **MYSQL,
    )
    repeatable.create_table(
        "action_plan_reasons",
        _of_plan(),
        sa.Column("summary", LONG, nullable=False),
        sa.Column("reasons", LONG, nullable=False),
        **MYSQL,
    )
    repeatable.create_table(
        "action_plan_reviews",
        _of_plan(),
        sa.Column("promise", LONG, nullable=False),
        sa.Column("window_seconds", sa.Integer, nullable=False),
        sa.Column("ended_at", PRECISE),
        sa.Column("due_at", PRECISE, index=True),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("reviewed_at", PRECISE),
        sa.Column("realised", LONG, nullable=False),
        sa.Column("kept", sa.Float),
        sa.Column("message", sa.String(255)),
        sa.Column("counts", sa.Boolean, nullable=False),
        sa.Column("distrusts", sa.Boolean, nullable=False),
        **MYSQL,
    )


def _of_plan() -> sa.Column[int]:
    return sa.Column(
        "action_plan_id", sa.Integer, sa.ForeignKey("action_plans.id"), primary_key=True
    )


def _give_foreign_keys_their_indexes() -> None:
    """MySQL needs an index for each foreign key, and has dropped its own in favour of ours."""
    if op.get_bind().dialect.name in ("mysql", "mariadb"):
        for _, table, columns in INDEXES:
            if columns[0].endswith("_id"):
                repeatable.create_index(columns[0], table, columns[:1])


def _widen_text(connection: sa.Connection) -> None:
    for table, collation in _narrow_tables(connection):
        op.execute(f"ALTER TABLE {table} CONVERT TO CHARACTER SET utf8mb4 COLLATE {collation}")
    for table, column, nullable in JSON_COLUMNS:
        op.alter_column(
            table,
            column,
            existing_type=sa.Text,
            type_=mysql.MEDIUMTEXT,
            nullable=nullable,
        )


def _narrow_tables(connection: sa.Connection) -> list[tuple[str, str]]:
    """Tables that cannot store every character, and the collation that compares in the same way as
    theirs."""
    present = connection.execute(
        sa.text(
            "SELECT table_name, table_collation FROM information_schema.tables"
            " WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
            " AND table_collation NOT LIKE 'utf8mb4%'"
        )
    ).all()
    return [(table, _wide(collation)) for table, collation in present]


def _wide(collation: str) -> str:
    charset, _, comparison = collation.partition("_")
    return f"utf8mb4_{comparison}" if charset in ("utf8", "utf8mb3") else "utf8mb4_general_ci"


def _reshape_audits(connection: sa.Connection) -> None:
    unique = _names_are_unique(connection)
    with op.batch_alter_table("audits") as batch:
        batch.alter_column(
            "interval", existing_type=sa.Integer, type_=sa.String(36), existing_nullable=True
        )
        batch.alter_column("force", existing_type=sa.Boolean, nullable=True)
        if not unique:
            batch.create_unique_constraint("uniq_audits0name", ["name", "deleted"])


def _names_are_unique(connection: sa.Connection) -> bool:
    keys = sa.inspect(connection).get_unique_constraints("audits")
    return "uniq_audits0name" in {key["name"] for key in keys}


def _rename_duplicates(connection: sa.Connection) -> None:
    for audit in unique_names.doubled(connection):
        connection.execute(sa.update(audits).where(audits.c.id == audit.id).values(name=audit.new))
        LOG.warning(
            "Audit %s shares its name '%s' with another one, and is now '%s'",
            audit.uuid,
            audit.old,
            audit.new,
        )
