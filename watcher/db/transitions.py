# SPDX-License-Identifier: Apache-2.0
"""The one way a state column changes."""

from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from watcher.common import states
from watcher.db import models

Stateful = models.Audit | models.AuditRun | models.ActionPlan | models.Action


def move(
    session: Session,
    row: type[Stateful],
    row_id: int,
    table: states.Transitions,
    target: str,
    *conditions: Any,
    **values: Any,
) -> bool:
    """Give a row the state *target* if *table* allows that from its present state.

    *conditions* narrow the compare further, *values* are written along with the
    state.  False when the row was not in a state that may become *target* (or no
    longer met a condition): somebody else was faster, and nothing was written.
    """
    statement = (
        update(row)
        .where(row.id == row_id, row.state.in_(states.sources(table, target)), *conditions)
        .values(state=target, **values)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount == 1  # type: ignore[attr-defined, no-any-return]
