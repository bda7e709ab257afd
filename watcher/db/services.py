# SPDX-License-Identifier: Apache-2.0
"""The heartbeat of the services, and the list of them."""

import dataclasses
import datetime
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from watcher.common.states import ServiceState
from watcher.db import lookup
from watcher.db.lookup import exactly
from watcher.db.models import Service
from watcher.db.paging import Page
from watcher.db.rows import Rows
from watcher.db.transitions import update_rows

_LISTED = select(Service).where(Service.deleted == 0)
_ROWS = Rows[Service](Service, "service")
_GREATEST_ID: Final = 2**31 - 1


def beat(
    session: Session,
    name: str,
    host: str,
    now: datetime.datetime,
    models_read_at: Mapping[str, datetime.datetime] | None = None,
) -> None:
    """Record a heartbeat of service *name* on *host*, and when it last read each model, by name.
    Call it through ``Database.write``."""
    known = (Service.name == name, Service.host == host, Service.deleted == 0)
    read_at = {model: time.isoformat() for model, time in (models_read_at or {}).items()}
    values = {"last_seen_up": now, "models_read_at": read_at}
    if not update_rows(session, Service, *known, **values):
        session.add(Service(name=name, host=host, **values))
        session.flush()


def get(session: Session, ident: str) -> Service:
    """The service with an id, or the one of a name that was seen last.  NotFound."""
    service_id = _id(ident)
    condition = exactly(Service.name, ident) if service_id is None else Service.id == service_id
    latest = _LISTED.where(condition).order_by(Service.last_seen_up.desc(), Service.id).limit(1)
    return lookup.first(session, latest, f"service {ident}")


def list_page(session: Session, page: Page) -> list[Service]:
    """A page of services, whose marker is an id."""
    if page.marker is not None:
        page = dataclasses.replace(page, marker=_id(str(page.marker)))
    return _ROWS.list_page(session, page, marker="id")


def live(session: Session, *conditions: ColumnElement[bool]) -> Sequence[Service]:
    """All services that are not deleted, by name and host."""
    listed = _LISTED.where(*conditions).order_by(Service.name, Service.host)
    return session.scalars(listed).all()


def is_active(service: Service, down_time: datetime.timedelta, now: datetime.datetime) -> bool:
    """Whether the last heartbeat of a service is at most *down_time* old."""
    last_beat = service.last_seen_up or service.updated_at or service.created_at
    return last_beat is not None and abs(now - last_beat) <= down_time


def state(service: Service, down_time: datetime.timedelta, now: datetime.datetime) -> str:
    """ACTIVE or, without a recent heartbeat, FAILED."""
    return ServiceState.ACTIVE if is_active(service, down_time, now) else ServiceState.FAILED


def model_ages(service: Service, now: datetime.datetime) -> dict[str, float]:
    """How many seconds ago a service last read each model, by name."""
    times = sorted((service.models_read_at or {}).items())
    return {
        model: (now - datetime.datetime.fromisoformat(time)).total_seconds()
        for model, time in times
    }


def _id(ident: str) -> int | None:
    """*ident* as an id, None if it is no number; 0, an id of no row, if it is too large."""
    if not (ident.isascii() and ident.isdigit()):
        return None
    return int(ident) if len(ident) < 11 and int(ident) <= _GREATEST_ID else 0
