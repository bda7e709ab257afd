# SPDX-License-Identifier: Apache-2.0
"""The base of all tables, and types of columns that differ between databases.

All times are naive UTC.  A row is soft-deleted by ``deleted = id`` and a ``deleted_at``, so
that a name may be used again: names are unique together with ``deleted``.
"""

import datetime
import json
import uuid as uuidlib
from typing import Any, Final

from oslo_utils import timeutils
from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

MESSAGE_LENGTH: Final = 255
"""The length of the columns ``status_message``, which have sentences for users."""

Precise = DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
"""A time with microseconds everywhere; MySQL's plain DATETIME stops at seconds."""

Long = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
"""Text of megabytes; MySQL's plain TEXT stops at 64 KiB."""


class _Json(TypeDecorator[Any]):
    """JSON in a text column.  Null is written as an empty value of the type."""

    impl = Long
    cache_ok = True
    python_type: type = object

    def process_bind_param(self, value: Any, dialect: Dialect) -> str:
        if value is None:
            value = self.python_type()
        if not isinstance(value, self.python_type):
            raise TypeError(f"{value!r} is not a {self.python_type.__name__}")
        return json.dumps(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return json.loads(value) if value is not None else None


class JsonDict(_Json):
    cache_ok = True
    python_type = dict


class JsonList(_Json):
    cache_ok = True
    python_type = list


def shortened(message: str) -> str:
    """*message* in the length of its column; "..." marks that it is longer."""
    message = message.replace("\x00", "")
    if len(message) <= MESSAGE_LENGTH:
        return message
    return message[: MESSAGE_LENGTH - 3] + "..."


def new_uuid() -> str:
    return str(uuidlib.uuid4())


class Base(DeclarativeBase):
    type_annotation_map = {dict[str, Any]: JsonDict, list[Any]: JsonList}


class SoftDeleted:
    """Key and times of the tables of existing installations."""

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime.datetime | None] = mapped_column(default=timeutils.utcnow)
    updated_at: Mapped[datetime.datetime | None] = mapped_column(onupdate=timeutils.utcnow)

    deleted_at: Mapped[datetime.datetime | None]
    deleted: Mapped[int | None] = mapped_column(default=0)
