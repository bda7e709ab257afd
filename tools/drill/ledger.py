# SPDX-License-Identifier: Apache-2.0
"""The changes of runs, plans and actions, in the order of the database.

Triggers write each change of state, in the transaction that makes it.  Their order is
that of the locks, so it needs no clock: when the database lets a second run of an audit
begin, the end of the first one stands in the ledger already.
"""

from typing import NamedTuple

from sqlalchemy import Connection, text

_TABLE = """
CREATE TABLE drill_ledger (
    id BIGINT AUTO_INCREMENT PRIMARY KEY,
    at DATETIME(6) NOT NULL DEFAULT UTC_TIMESTAMP(6),
    kind VARCHAR(20) NOT NULL,
    row_id INT NOT NULL,
    parent_id INT NOT NULL,
    old VARCHAR(20),
    new VARCHAR(20),
    old_holder VARCHAR(255),
    new_holder VARCHAR(255)
)
"""

_CHANGES = (
    ("run", "audit_runs", "id", "audit_id", "state", "engine"),
    ("plan", "action_plans", "id", "audit_id", "state", "hostname"),
    ("lease", "action_plan_leases", "action_plan_id", "action_plan_id", "engine", "engine"),
    ("action", "actions", "id", "action_plan_id", "state", "uuid"),
)
"""Kind of entry: the table, and its columns for key, parent's key, state and holder."""


def open_ledger(connection: Connection) -> None:
    connection.execute(text(_TABLE))
    for kind, table, row, parent, state, holder in _CHANGES:
        connection.execute(
            text(
                f"CREATE TRIGGER drill_{kind} AFTER UPDATE ON {table} FOR EACH ROW "
                f"IF NOT (OLD.{state} <=> NEW.{state} AND OLD.{holder} <=> NEW.{holder}) THEN "
                "INSERT INTO drill_ledger "
                "(kind, row_id, parent_id, old, new, old_holder, new_holder) VALUES "
                f"('{kind}', NEW.{row}, NEW.{parent}, LEFT(OLD.{state}, 20), "
                f"LEFT(NEW.{state}, 20), OLD.{holder}, NEW.{holder}); "
                "END IF"
            )
        )


class Entry(NamedTuple):
    """A row, its audit or plan, and its old and new state."""

    row_id: int
    parent_id: int
    old: str | None
    new: str | None


def entries(connection: Connection, kind: str) -> list[Entry]:
    """The changes of a *kind*, in their order."""
    rows = connection.execute(
        text("SELECT row_id, parent_id, old, new FROM drill_ledger WHERE kind = :kind ORDER BY id"),
        {"kind": kind},
    )
    return [Entry(*row) for row in rows]
