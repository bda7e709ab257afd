# SPDX-License-Identifier: Apache-2.0
"""The services, by their heartbeats."""

import datetime
from typing import Any

from sqlalchemy import String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from watcher.db.models.base import Base, SoftDeleted


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
