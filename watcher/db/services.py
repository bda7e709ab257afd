# SPDX-License-Identifier: Apache-2.0
"""The heartbeat of the services."""

import datetime
from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from watcher.common.states import ServiceState
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


def named(session: Session, name: str) -> Sequence[Service]:
    """The services *name*, one a host."""
    return session.scalars(
        select(Service).where(Service.name == name, Service.deleted == 0).order_by(Service.host)
    ).all()


def state(service: Service, now: datetime.datetime, down_time: int) -> str:
    """ACTIVE while the last sign of life is at most *down_time* seconds old, else FAILED."""
    seen = service.last_seen_up or service.updated_at or service.created_at
    alive = seen is not None and abs(now - seen) <= datetime.timedelta(seconds=down_time)
    return ServiceState.ACTIVE if alive else ServiceState.FAILED
