# SPDX-License-Identifier: Apache-2.0
"""Types of columns that every database has in its own way."""

import json
from typing import Any

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeDecorator

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
