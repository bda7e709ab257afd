# SPDX-License-Identifier: Apache-2.0
"""How rows are identified from outside: by UUID, or by name."""

import uuid as uuidlib
from typing import Any, TypeVar

from oslo_utils import uuidutils
from sqlalchemy import Boolean, ColumnElement, Select, String, and_, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.functions import FunctionElement

from watcher.common.errors import Conflict, NotFound
from watcher.db.models import Strategy

R = TypeVar("R")


class _SameBytes(FunctionElement[bool]):
    """Whether two texts that a database compares as equal have the same bytes."""

    type = Boolean()
    inherit_cache = True


@compiles(_SameBytes)  # type: ignore[no-untyped-call, untyped-decorator]
def _always(element: _SameBytes, compiler: Any, **options: Any) -> str:
    return "1 = 1"


@compiles(_SameBytes, "mysql", "mariadb")  # type: ignore[no-untyped-call, untyped-decorator]
def _by_bytes(element: _SameBytes, compiler: Any, **options: Any) -> str:
    left, right = (
        f"CAST(CONVERT({compiler.process(clause, **options)} USING utf8mb4) AS BINARY)"
        for clause in element.clauses
    )
    return f"{left} = {right}"


def strategy_id(session: Session, name: str) -> int:
    """The id of the strategy of a name.  NotFound if it was never made known to the database."""
    found = session.scalar(select(Strategy.id).where(Strategy.name == name, Strategy.deleted == 0))
    if found is None:
        raise NotFound(f"Strategy {name} is not in the database; run watcher-sync.")
    return found


def exactly(column: Any, value: Any) -> ColumnElement[bool]:
    """Whether a column of texts has exactly a value.

    In collations of MySQL, texts are equal that differ in case, in spaces at the end or in an
    emoji.  The plain comparison is added because it can use an index.
    """
    given = literal(value, String) if isinstance(value, str) else value
    return and_(column == value, _SameBytes(column, given))


def require_free_name(session: Session, row: Any, what: str) -> None:
    """Conflict if the name of a new or changed row is taken.

    The unique constraint of the database decides that.  Its collation may treat different names as
    equal, so the sentence shows the name that exists.
    """
    table = type(row)
    with session.no_autoflush:
        taken = session.scalar(
            select(table.name).where(
                table.name == row.name, table.deleted == 0, table.id != (row.id or 0)
            )
        )
    if taken is None:
        return
    if taken == row.name:
        raise Conflict(f"name: there is {what} {taken} already; choose another name.")
    raise Conflict(
        f"name: there is {what} '{taken}' already, and the database takes '{row.name}' for the "
        "same name; choose another one."
    )


def is_uuid(ident: str) -> bool:
    return bool(uuidutils.is_uuid_like(ident))


def canonical_uuid(ident: str) -> str | None:
    """The UUID as it is stored; None for any other text, which is a name."""
    return str(uuidlib.UUID(ident)) if is_uuid(ident) else None


def called(row: Any, ident: str) -> ColumnElement[bool]:
    """Whether a row has the UUID *ident*, or that name if it has one.

    A text like a UUID is never a name.
    """
    canonical = canonical_uuid(ident)
    if canonical is None and hasattr(row, "name"):
        return exactly(row.name, ident)
    same: ColumnElement[bool] = row.uuid == (canonical or ident)
    return same


def identified(row: Any, ident: str) -> ColumnElement[bool]:
    """Whether a live row is ``called`` *ident*."""
    return and_(row.deleted == 0, called(row, ident))


def first(session: Session, wanted: Select[R], what: str) -> R:
    """The first row of *wanted*.  NotFound names *what* it is."""
    row = session.scalars(wanted).first()
    if row is None:
        raise NotFound(f"There is no {what}.")
    return row


def lock(session: Session, row: Any, ident: str) -> None:
    """Make other changes of a live row wait until this transaction has ended.

    For changes that depend on the present values; read them after this.  SQLite needs no such
    lock, because it has one writer at a time.
    """
    wanted = select(row.id).where(identified(row, ident))
    session.execute(wanted.with_for_update(key_share=True))
