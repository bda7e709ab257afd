# SPDX-License-Identifier: Apache-2.0
"""Audits, their templates, and the settings of their webhooks."""

import datetime
from typing import Any

from oslo_utils import timeutils
from sqlalchemy import Boolean, Float, ForeignKey, Index, String, Text, UniqueConstraint, false
from sqlalchemy.orm import Mapped, mapped_column, relationship

from watcher.common import states
from watcher.db.models.base import Base, Precise, SoftDeleted, new_uuid
from watcher.db.models.installed import Goal, Strategy


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


class Webhook(Base):
    """The settings of the webhook of one EVENT audit.  A null means: as configured."""

    __tablename__ = "webhooks"
    __table_args__ = (UniqueConstraint("audit_id", name="uniq_webhooks0audit_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    audit_id: Mapped[int] = mapped_column(ForeignKey("audits.id"))
    auth: Mapped[str | None] = mapped_column(String(20))
    """``none``, ``secret`` or ``keystone``."""
    secret_hash: Mapped[str | None] = mapped_column(String(64))
    previous_secret_hash: Mapped[str | None] = mapped_column(String(64))
    """The previous secret is valid, too, until the rotation is ended."""
    debounce: Mapped[int] = mapped_column(default=0)
    """Seconds from the first event until its run."""
    cooldown: Mapped[int] = mapped_column(default=0)
    """Seconds from the end of a run and its plan until the next run."""
    max_actions: Mapped[int | None]
    fit_actions: Mapped[bool] = mapped_column(default=False, server_default=false())
    """Whether plans are limited to ``max_actions``; false in old rows, whose larger plans are not
    started."""
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
