# SPDX-License-Identifier: Apache-2.0
"""The counts."""

from sqlalchemy import BigInteger, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from watcher.db.models.base import Base


class Tally(Base):
    """A count of things that are not in rows any more, or never were; see ``db.counters``."""

    __tablename__ = "tallies"
    __table_args__ = (UniqueConstraint("name", name="uniq_tallies0name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(400))
    """The kind of the count and its labels, a JSON list."""
    value: Mapped[int] = mapped_column(BigInteger)
