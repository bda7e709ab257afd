# SPDX-License-Identifier: Apache-2.0
"""The installed plug-ins, the services, and the counts."""

import datetime
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, String, UniqueConstraint
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


class Service(SoftDeleted, Base):
    __tablename__ = "services"
    __table_args__ = (
        UniqueConstraint("host", "name", "deleted", name="uniq_services0host0name0deleted"),
    )

    name: Mapped[str] = mapped_column(String(255))
    host: Mapped[str] = mapped_column(String(255))
    last_seen_up: Mapped[datetime.datetime | None]
    models_read_at: Mapped[dict[str, Any] | None]
    """When a decision engine last read each model of the cloud, in ISO format, by their names."""


class Tally(Base):
    """A count of things that are not in rows any more, or never were; see ``db.counters``."""

    __tablename__ = "tallies"
    __table_args__ = (UniqueConstraint("name", name="uniq_tallies0name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(400))
    """The kind of the count and its labels, a JSON list."""
    value: Mapped[int] = mapped_column(BigInteger)
