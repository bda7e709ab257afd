# SPDX-License-Identifier: Apache-2.0
"""The tables, and at the same time the objects that the services work with.

The first part is the schema that existing installations have.  ``audit_runs``,
``audit_events``, ``webhooks`` and the tables that say more of action plans are ours alone.

All times are naive UTC.  A row is soft-deleted by ``deleted = id`` and a
``deleted_at``, so that a name may be used again: names are unique together
with ``deleted``.
"""

import datetime
import uuid as uuidlib
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import (
    BigInteger,
    Boolean,
    Computed,
    Float,
    ForeignKey,
    Index,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    false,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from watcher.common import states
from watcher.db.columns import JsonDict, JsonList, Long, Precise


def new_uuid() -> str:
    return str(uuidlib.uuid4())


class Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JsonDict, list[Any]: JsonList}


class Row:
    """Key and timestamps, in every table."""

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime.datetime | None] = mapped_column(default=timeutils.utcnow)
    updated_at: Mapped[datetime.datetime | None] = mapped_column(onupdate=timeutils.utcnow)


class SoftDeleted(Row):
    deleted_at: Mapped[datetime.datetime | None]
    deleted: Mapped[int | None] = mapped_column(default=0)


class Goal(SoftDeleted, Base):
    __tablename__ = "goals"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_goals0uuid"),
        UniqueConstraint("name", "deleted", name="uniq_goals0name"),
    )

    uuid: Mapped[str | None] = mapped_column(String(36), default=new_uuid)
    name: Mapped[str] = mapped_column(String(63))
    display_name: Mapped[str] = mapped_column(String(63))
    efficacy_specification: Mapped[list[Any]]


class Strategy(SoftDeleted, Base):
    __tablename__ = "strategies"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_strategies0uuid"),
        UniqueConstraint("name", "deleted", name="uniq_strategies0name"),
    )

    uuid: Mapped[str | None] = mapped_column(String(36), default=new_uuid)
    name: Mapped[str] = mapped_column(String(63))
    display_name: Mapped[str] = mapped_column(String(63))
    goal_id: Mapped[int] = mapped_column(ForeignKey("goals.id"))
    parameters_spec: Mapped[dict[str, Any] | None]

    goal: Mapped[Goal] = relationship(lazy="raise")


class AuditTemplate(SoftDeleted, Base):
    __tablename__ = "audit_templates"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_audit_templates0uuid"),
        UniqueConstraint("name", "deleted", name="uniq_audit_templates0name"),
    )

    uuid: Mapped[str | None] = mapped_column(String(36), default=new_uuid)
    name: Mapped[str | None] = mapped_column(String(63))
    description: Mapped[str | None] = mapped_column(String(255))
    goal_id: Mapped[int] = mapped_column(ForeignKey("goals.id"))
    strategy_id: Mapped[int | None] = mapped_column(ForeignKey("strategies.id"))
    scope: Mapped[list[Any] | None]
    default_parameters: Mapped[dict[str, Any] | None]

    goal: Mapped[Goal] = relationship(lazy="raise")
    strategy: Mapped[Strategy | None] = relationship(lazy="raise")


class Audit(SoftDeleted, Base):
    __tablename__ = "audits"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_audits0uuid"),
        UniqueConstraint("name", "deleted", name="uniq_audits0name"),
        Index("idx_audits_audit_type_state", "audit_type", "state"),
        Index("idx_audits_created_at", "created_at"),
    )

    uuid: Mapped[str | None] = mapped_column(String(36), default=new_uuid)
    name: Mapped[str | None] = mapped_column(String(63))
    audit_type: Mapped[str | None] = mapped_column(String(20))
    state: Mapped[str | None] = mapped_column(String(20), default=states.AuditState.PENDING)
    parameters: Mapped[dict[str, Any] | None]
    interval: Mapped[str | None] = mapped_column(String(36))
    goal_id: Mapped[int] = mapped_column(ForeignKey("goals.id"), index=True)
    strategy_id: Mapped[int | None] = mapped_column(ForeignKey("strategies.id"), index=True)
    scope: Mapped[list[Any] | None]
    auto_trigger: Mapped[bool] = mapped_column(default=False)
    next_run_time: Mapped[datetime.datetime | None]
    hostname: Mapped[str | None] = mapped_column(String(255))
    start_time: Mapped[datetime.datetime | None]
    end_time: Mapped[datetime.datetime | None]
    force: Mapped[bool | None] = mapped_column(Boolean, default=False)
    status_message: Mapped[str | None] = mapped_column(String(255))

    goal: Mapped[Goal] = relationship(lazy="raise")
    strategy: Mapped[Strategy | None] = relationship(lazy="raise")


class ActionPlan(SoftDeleted, Base):
    __tablename__ = "action_plans"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_action_plans0uuid"),
        Index("idx_action_plans_state", "state"),
        Index("idx_action_plans_audit_id_state", "audit_id", "state"),
        Index("idx_action_plans_updated_at", "updated_at"),
        Index(
            "idx_action_plans_unstarted",
            "hostname",
            "state",
            "created_at",
            mysql_length={"hostname": 4},
            mariadb_length={"hostname": 4},
        ),
    )

    uuid: Mapped[str | None] = mapped_column(String(36), default=new_uuid)
    audit_id: Mapped[int] = mapped_column(ForeignKey("audits.id"))
    strategy_id: Mapped[int] = mapped_column(ForeignKey("strategies.id"), index=True)
    state: Mapped[str | None] = mapped_column(String(20), default=states.PlanState.RECOMMENDED)
    global_efficacy: Mapped[list[Any] | None]
    hostname: Mapped[str | None] = mapped_column(String(255))
    status_message: Mapped[str | None] = mapped_column(String(255))

    audit: Mapped[Audit] = relationship(lazy="raise")
    strategy: Mapped[Strategy] = relationship(lazy="raise")
    indicators: Mapped[list["EfficacyIndicator"]] = relationship(
        lazy="raise", order_by="EfficacyIndicator.id"
    )


class Action(SoftDeleted, Base):
    __tablename__ = "actions"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_actions0uuid"),
        Index("idx_actions_action_plan_id_state", "action_plan_id", "state"),
    )

    uuid: Mapped[str] = mapped_column(String(36), default=new_uuid)
    action_plan_id: Mapped[int] = mapped_column(ForeignKey("action_plans.id"))
    action_type: Mapped[str] = mapped_column(String(255))
    input_parameters: Mapped[dict[str, Any] | None]
    state: Mapped[str | None] = mapped_column(String(20), default=states.ActionState.PENDING)
    parents: Mapped[list[Any] | None]
    status_message: Mapped[str | None] = mapped_column(String(255))

    action_plan: Mapped[ActionPlan] = relationship(lazy="raise")


class EfficacyIndicator(SoftDeleted, Base):
    __tablename__ = "efficacy_indicators"
    __table_args__ = (UniqueConstraint("uuid", name="uniq_efficacy_indicators0uuid"),)

    uuid: Mapped[str | None] = mapped_column(String(36), default=new_uuid)
    name: Mapped[str | None] = mapped_column(String(63))
    description: Mapped[str | None] = mapped_column(String(255))
    unit: Mapped[str | None] = mapped_column(String(63))
    value: Mapped[Any | None] = mapped_column(Numeric())
    data: Mapped[float | None] = mapped_column(Float())
    action_plan_id: Mapped[int] = mapped_column(ForeignKey("action_plans.id"), index=True)

    @property
    def number(self) -> float | None:
        """The value; old rows have it in ``value`` alone."""
        if self.data is not None:
            return self.data
        return float(self.value) if self.value is not None else None


class ScoringEngine(SoftDeleted, Base):
    __tablename__ = "scoring_engines"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_scoring_engines0uuid"),
        UniqueConstraint("name", "deleted", name="uniq_scoring_engines0name"),
    )

    uuid: Mapped[str] = mapped_column(String(36), default=new_uuid)
    name: Mapped[str] = mapped_column(String(63))
    description: Mapped[str | None] = mapped_column(String(255))
    metainfo: Mapped[str | None] = mapped_column(Long)


class Service(SoftDeleted, Base):
    __tablename__ = "services"
    __table_args__ = (
        UniqueConstraint("host", "name", "deleted", name="uniq_services0host0name0deleted"),
    )

    name: Mapped[str] = mapped_column(String(255))
    host: Mapped[str] = mapped_column(String(255))
    last_seen_up: Mapped[datetime.datetime | None]


class ActionDescription(SoftDeleted, Base):
    __tablename__ = "action_descriptions"
    __table_args__ = (UniqueConstraint("action_type", name="uniq_action_description0action_type"),)

    action_type: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(String(255))


class AuditRun(Base):
    """One execution of one audit, from the moment it is due until its end.

    ``slot`` is the database's own guarantee that an audit has at most one QUEUED
    and one ONGOING run: it is null in all other states, and nulls never collide.
    """

    __tablename__ = "audit_runs"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_audit_runs0uuid"),
        UniqueConstraint("audit_id", "slot", name="uniq_audit_runs0audit_id0slot"),
        Index("idx_audit_runs_slot_not_before", "slot", "not_before", "id"),
        Index("idx_audit_runs_slot_lease", "slot", "lease_expires_at"),
        Index("idx_audit_runs_finished_at", "finished_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), default=new_uuid)
    audit_id: Mapped[int] = mapped_column(ForeignKey("audits.id"))
    state: Mapped[str] = mapped_column(String(20), default=states.RunState.QUEUED)
    slot: Mapped[str | None] = mapped_column(
        String(20),
        Computed("CASE WHEN state IN ('QUEUED', 'ONGOING') THEN state END", persisted=True),
    )
    not_before: Mapped[datetime.datetime] = mapped_column(Precise)
    queued_at: Mapped[datetime.datetime | None] = mapped_column(Precise)
    """When ``not_before`` was decided."""
    wait_reason: Mapped[str | None] = mapped_column(String(36))
    coalesced_count: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    """How often it was begun, apart from what was undone because of a suspension or a stop."""
    deaths: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many engines died with it in hand, in a row."""
    errors: Mapped[list[Any] | None]
    """What each attempt came to: ``{"attempt": number, "at": time, "error": sentence}``."""
    engine: Mapped[str | None] = mapped_column(String(255))
    lease_expires_at: Mapped[datetime.datetime | None] = mapped_column(Precise)
    created_at: Mapped[datetime.datetime] = mapped_column(Precise)
    started_at: Mapped[datetime.datetime | None] = mapped_column(Precise)
    finished_at: Mapped[datetime.datetime | None] = mapped_column(Precise)
    action_plan_id: Mapped[int | None] = mapped_column(ForeignKey("action_plans.id"), index=True)
    status_message: Mapped[str | None] = mapped_column(String(255))
    parameters: Mapped[dict[str, Any] | None]
    """Strategy parameters that the run's events gave it, over those of the audit."""
    auto_started: Mapped[bool] = mapped_column(default=False)
    """Whether its plan went to the applier without anybody's doing."""

    audit: Mapped[Audit] = relationship(lazy="raise")
    action_plan: Mapped[ActionPlan | None] = relationship(lazy="raise")


class AuditEvent(Base):
    """One message that reached the webhook of an EVENT audit, and what became of it."""

    __tablename__ = "audit_events"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_audit_events0uuid"),
        UniqueConstraint("audit_id", "delivery_key", name="uniq_audit_events0delivery"),
        Index("idx_audit_events_audit_id_received_at", "audit_id", "received_at"),
        Index("idx_audit_events_inbox", "inbox", "id"),
        Index("idx_audit_events_decision", "source", "decision", "decision_reason"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), default=new_uuid)
    audit_id: Mapped[int] = mapped_column(info={"of": "audits"})
    """No foreign key: it would lock the audit, and whoever writes that would make alarms wait."""
    inbox: Mapped[int | None]
    """The audit again, as long as the event waits for a run."""
    run_id: Mapped[int | None] = mapped_column(ForeignKey("audit_runs.id"), index=True)
    received_at: Mapped[datetime.datetime] = mapped_column(Precise)
    source: Mapped[str] = mapped_column(String(36))
    alarm_name: Mapped[str | None] = mapped_column(String(255))
    alarm_id: Mapped[str | None] = mapped_column(String(255))
    severity: Mapped[str | None] = mapped_column(String(63))
    previous_state: Mapped[str | None] = mapped_column(String(63))
    current_state: Mapped[str | None] = mapped_column(String(63))
    reason: Mapped[str | None] = mapped_column(Text)
    request_id: Mapped[str | None] = mapped_column(String(255))
    decision: Mapped[str] = mapped_column(String(20))
    decision_reason: Mapped[str | None] = mapped_column(String(36))
    payload: Mapped[str | None] = mapped_column(Long)
    parameters: Mapped[dict[str, Any] | None]
    """Strategy parameters that the webhook's mapping took from the payload."""
    delivery_key: Mapped[str | None] = mapped_column(String(64))
    """What the sender repeats when it sends the same message again, hashed."""
    deliveries: Mapped[int] = mapped_column(default=1)
    replay_of: Mapped[str | None] = mapped_column(String(36))
    """UUID of the event whose message an operator sent once more; it may be gone."""

    run: Mapped[AuditRun | None] = relationship(lazy="raise")


class Webhook(Base):
    """How the door of one EVENT audit is kept.  A null means: as configured."""

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("audit_id", name="uniq_webhooks0audit_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    audit_id: Mapped[int] = mapped_column(ForeignKey("audits.id"))
    auth: Mapped[str | None] = mapped_column(String(20))
    """``none``, ``secret`` or ``keystone``."""
    secret_hash: Mapped[str | None] = mapped_column(String(64))
    previous_secret_hash: Mapped[str | None] = mapped_column(String(64))
    """Valid too, until the rotation is ended."""
    debounce: Mapped[int] = mapped_column(default=0)
    """Seconds from the first event until its run."""
    cooldown: Mapped[int] = mapped_column(default=0)
    """Seconds from the end of a run and its plan until the next run."""
    max_actions: Mapped[int | None]
    fit_actions: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether plans are made to fit ``max_actions``; limits set before that hold them back."""
    max_plans_per_hour: Mapped[int | None]
    min_efficacy: Mapped[float | None] = mapped_column(Float())
    filter: Mapped[str | None] = mapped_column(Text)
    """JMESPath over the payload; an event for which it is false is ignored."""
    parameters: Mapped[dict[str, Any] | None]
    """Strategy parameter to the JMESPath that takes it from the payload."""
    paused: Mapped[bool] = mapped_column(default=False)
    note: Mapped[str | None] = mapped_column(String(255))
    created_at: Mapped[datetime.datetime] = mapped_column(Precise, default=timeutils.utcnow)
    updated_at: Mapped[datetime.datetime | None] = mapped_column(Precise, onupdate=timeutils.utcnow)


class ActionPlanLease(Base):
    """Which applier process carries a plan out, and until when that holds."""

    __tablename__ = "action_plan_leases"

    action_plan_id: Mapped[int] = mapped_column(ForeignKey("action_plans.id"), primary_key=True)
    engine: Mapped[str] = mapped_column(String(255))
    expires_at: Mapped[datetime.datetime] = mapped_column(Precise, index=True)
    attempt: Mapped[int] = mapped_column(default=1)
    """Which holder this is since an action of the plan ended; more than one means deaths."""


class ActionOrigin(Base):
    """What its action must know to be reverted, from before it began until its plan ends.

    Written if plans that fail are rolled back, removed when the action is reverted.
    """

    __tablename__ = "action_origins"

    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"), primary_key=True)
    origin: Mapped[dict[str, Any]]


class PlanReasons(Base):
    """Why a plan is as it is, in its strategy's words.  Written once, with the plan."""

    __tablename__ = "action_plan_reasons"

    action_plan_id: Mapped[int] = mapped_column(ForeignKey("action_plans.id"), primary_key=True)
    summary: Mapped[dict[str, Any]]
    """What the plan changes: ``{name: {"before": number, "after": number}}``."""
    reasons: Mapped[dict[str, Any]]
    """Action uuid to a sentence."""


class Review(Base):
    """What a plan has promised, and what it did: measured when its window has passed.

    Written with the plan.  It is due once the plan has ended, and no more once it is made.
    """

    __tablename__ = "action_plan_reviews"

    action_plan_id: Mapped[int] = mapped_column(ForeignKey("action_plans.id"), primary_key=True)
    promise: Mapped[dict[str, Any]]
    window_seconds: Mapped[int]
    """Seconds from the end of the plan until measured values tell of what it did."""
    ended_at: Mapped[datetime.datetime | None] = mapped_column(Precise)
    due_at: Mapped[datetime.datetime | None] = mapped_column(Precise, index=True)
    """When an engine is to look next; who claims the review moves it on, which is a lease."""
    attempt: Mapped[int] = mapped_column(default=0)
    reviewed_at: Mapped[datetime.datetime | None] = mapped_column(Precise)
    realised: Mapped[dict[str, Any]]
    """Figure of the summary to its value afterwards."""
    kept: Mapped[float | None] = mapped_column(Float())
    """The share of the promise that came true, 1 for all of it; None if it cannot be told."""
    message: Mapped[str | None] = mapped_column(String(255))
    counts: Mapped[bool] = mapped_column(default=True)
    """Whether it tells for or against its audit; not what somebody has looked at."""
    distrusts: Mapped[bool] = mapped_column(default=False)
    """Whether it is the one that took auto_trigger from its audit."""

    action_plan: Mapped[ActionPlan] = relationship(lazy="raise")

    @property
    def percent_kept(self) -> float | None:
        """As users are told it."""
        return None if self.kept is None else round(100 * self.kept, 1)


class Tally(Base):
    """A count of what no row tells any more, or never did; see ``db.counters``."""

    __tablename__ = "tallies"
    __table_args__ = (UniqueConstraint("name", name="uniq_tallies0name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(400))
    """What is counted and its labels, a JSON list."""
    value: Mapped[int] = mapped_column(BigInteger)
