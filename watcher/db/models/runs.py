# SPDX-License-Identifier: Apache-2.0
"""The runs of audits, which are the queue, and the events that cause them."""

import datetime
from typing import Any

from sqlalchemy import Computed, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from watcher.common import states
from watcher.db.models.action_plans import ActionPlan
from watcher.db.models.audits import Audit
from watcher.db.models.base import Base, Long, Precise, new_uuid


class AuditRun(Base):
    """One run of one audit, from the moment it is queued until its end, in one or more attempts.

    With ``slot`` the database guarantees that an audit has at most one QUEUED and one
    ONGOING run: it is null in all other states, and nulls are never equal.
    """

    __tablename__ = "audit_runs"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_audit_runs0uuid"),
        UniqueConstraint("audit_id", "slot", name="uniq_audit_runs0audit_id0slot"),
        Index("idx_audit_runs_slot_not_before", "slot", "not_before", "id"),
        Index("idx_audit_runs_slot_lease", "slot", "lease_expires_at"),
        Index("idx_audit_runs_finished_at", "finished_at"),
        Index("idx_audit_runs_audit_id_id", "audit_id", "id"),
        # To add up the events that joined runs, without the many runs that none joined.
        Index("idx_audit_runs_audit_id_coalesced_count", "audit_id", "coalesced_count"),
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
    """How often the run was begun.  An attempt that a suspension or a stop has interrupted does not
    count."""
    deaths: Mapped[int] = mapped_column(default=0, server_default="0")
    """How many engines in a row died while they executed it."""
    errors: Mapped[list[Any] | None]
    """One for each failed attempt: ``{"attempt": number, "at": time, "error": sentence}``."""
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
    """Whether its plan was started automatically."""
    cloud_digest: Mapped[str | None] = mapped_column(String(64))
    """A digest of the cloud in which it found nothing to do, if metrics do not change at any
    moment: see ``decision_engine/same_metrics.py``."""

    audit: Mapped[Audit] = relationship(lazy="raise")
    action_plan: Mapped[ActionPlan | None] = relationship(lazy="raise")


class AuditEvent(Base):
    """One message that reached the webhook of an audit, and what became of it."""

    __tablename__ = "audit_events"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_audit_events0uuid"),
        UniqueConstraint("audit_id", "delivery_key", name="uniq_audit_events0delivery"),
        Index("idx_audit_events_audit_id_received_at", "audit_id", "received_at"),
        Index("idx_audit_events_inbox", "inbox", "id"),
        # Covers all columns that counts of events need, because their rows are on too many pages.
        Index("idx_audit_events_audit_id_decision", "audit_id", "decision", "run_id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    uuid: Mapped[str] = mapped_column(String(36), default=new_uuid)
    audit_id: Mapped[int] = mapped_column(info={"of": "audits"})
    """No foreign key: each INSERT would lock the audit, and wait for transactions that write it."""
    inbox: Mapped[int | None]
    """``audit_id``, as long as the event waits for a run."""
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
    """A hash of the identifier that the sender repeats with the same message."""
    deliveries: Mapped[int] = mapped_column(default=1)
    replay_of: Mapped[str | None] = mapped_column(String(36))
    """UUID of the event whose message an operator sent once more; it may be gone."""

    run: Mapped[AuditRun | None] = relationship(lazy="raise")
