# SPDX-License-Identifier: Apache-2.0
"""The heartbeat of the services."""

import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from watcher.db.models import Service


def beat(session: Session, name: str, host: str, now: datetime.datetime) -> None:
    """Say that service *name* on *host* lives.  Call it through ``Database.write``."""
    seen = session.execute(
        update(Service)
        .where(Service.name == name, Service.host == host, Service.deleted == 0)
        .values(last_seen_up=now)
        .execution_options(synchronize_session=False)
    )
    if seen.rowcount == 0:  # type: ignore[attr-defined]
        session.add(Service(name=name, host=host, last_seen_up=now))
        session.flush()
