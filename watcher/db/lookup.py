# SPDX-License-Identifier: Apache-2.0
"""How rows are identified from outside: by UUID, or by name."""

import uuid
from typing import Any

from oslo_utils import uuidutils
from sqlalchemy import ColumnElement, and_


def is_uuid(ident: str) -> bool:
    return bool(uuidutils.is_uuid_like(ident))


def identified(row: Any, ident: str) -> ColumnElement[bool]:
    """Whether a live row has the UUID or name *ident*; what looks like a UUID is no name."""
    if is_uuid(ident):
        condition: ColumnElement[bool] = row.uuid == str(uuid.UUID(ident))
    else:
        condition = row.name == ident
    return and_(row.deleted == 0, condition)
