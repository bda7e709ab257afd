# SPDX-License-Identifier: Apache-2.0
"""The installed plug-ins."""

from typing import Any

from sqlalchemy import ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from watcher.db.models.base import Base, Long, SoftDeleted, new_uuid


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


class ActionDescription(SoftDeleted, Base):
    __tablename__ = "action_descriptions"
    __table_args__ = (UniqueConstraint("action_type", name="uniq_action_description0action_type"),)

    action_type: Mapped[str] = mapped_column(String(255))
    description: Mapped[str] = mapped_column(String(255))
