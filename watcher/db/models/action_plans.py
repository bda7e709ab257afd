# SPDX-License-Identifier: Apache-2.0
"""Action plans, and the tables that belong to them."""

import datetime
from typing import Any

from sqlalchemy import Float, ForeignKey, Index, Numeric, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from watcher.common import states
from watcher.db.models.audits import Audit
from watcher.db.models.base import Base, Precise, SoftDeleted, new_uuid
from watcher.db.models.installed import Strategy


class ActionPlan(SoftDeleted, Base):
    __tablename__ = "action_plans"
    __table_args__ = (
        UniqueConstraint("uuid", name="uniq_action_plans0uuid"),
        Index("idx_action_plans_state", "state"),
        Index("idx_action_plans_audit_id_state", "audit_id", "state"),
        Index("idx_action_plans_updated_at", "updated_at"),
        Index("idx_action_plans_deleted_at", "deleted_at"),
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
        Index("idx_actions_deleted_at", "deleted_at"),
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


class ActionPlanLease(Base):
    """Which applier process executes a plan, and when its lease ends."""

    __tablename__ = "action_plan_leases"

    action_plan_id: Mapped[int] = mapped_column(ForeignKey("action_plans.id"), primary_key=True)
    engine: Mapped[str] = mapped_column(String(255))
    lease_expires_at: Mapped[datetime.datetime] = mapped_column(Precise, index=True)
    attempt: Mapped[int] = mapped_column(default=1)
    """1, plus the number of holders that have died since the last end of an action of the plan."""


class ActionOrigin(Base):
    """The data with which an action is reverted, from its begin until its plan ends.

    Written only with ``rollback_when_actionplan_failed``, removed when the action is reverted.
    """

    __tablename__ = "action_origins"

    action_id: Mapped[int] = mapped_column(ForeignKey("actions.id"), primary_key=True)
    origin: Mapped[dict[str, Any]]


class PlanReasons(Base):
    """The summary of a plan, and the reasons of its actions.  Written once, with the plan."""

    __tablename__ = "action_plan_reasons"

    action_plan_id: Mapped[int] = mapped_column(ForeignKey("action_plans.id"), primary_key=True)
    summary: Mapped[dict[str, Any]]
    """The figures of the plan, ``{name: {"before": number, "after": number}}``; and what
    ``runner._summary`` adds: ``gain``, ``undone``, ``unproven``, ``failed_moves``."""
    reasons: Mapped[dict[str, Any]]
    """Action uuid to a sentence."""


class Review(Base):
    """The promise of a plan, and its kept share, measured one window after the end of the plan.

    Written with the plan.  ``due_at`` is set when the plan ends, and null again after the review.
    """

    __tablename__ = "action_plan_reviews"

    action_plan_id: Mapped[int] = mapped_column(ForeignKey("action_plans.id"), primary_key=True)
    promise: Mapped[dict[str, Any]]
    window_seconds: Mapped[int]
    """Seconds from the end of the plan until measured values show its effect."""
    ended_at: Mapped[datetime.datetime | None] = mapped_column(Precise)
    due_at: Mapped[datetime.datetime | None] = mapped_column(Precise, index=True)
    """When the review is due; a claim postpones it, so that it is also the end of the claim."""
    attempt: Mapped[int] = mapped_column(default=0)
    reviewed_at: Mapped[datetime.datetime | None] = mapped_column(Precise)
    realised: Mapped[dict[str, Any]]
    """Figure of the summary to its value afterwards."""
    kept: Mapped[float | None] = mapped_column(Float())
    """The share of the promise that came true, 1 for all of it; None if that is unknown."""
    message: Mapped[str | None] = mapped_column(String(255))
    counts: Mapped[bool] = mapped_column(default=True)
    """Whether it counts for switching auto_trigger off; false after a user has set auto_trigger
    again."""
    distrusts: Mapped[bool] = mapped_column(default=False)
    """Whether this review has switched off auto_trigger of its audit."""

    action_plan: Mapped[ActionPlan] = relationship(lazy="raise")

    @property
    def percent_kept(self) -> float | None:
        """The kept share in percent, as the API shows it."""
        return None if self.kept is None else round(100 * self.kept, 1)
