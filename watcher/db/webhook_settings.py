# SPDX-License-Identifier: Apache-2.0
"""The settings of webhooks, as operators read and change them."""

from typing import Final

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session, contains_eager

from watcher.common.errors import NotFound
from watcher.common.states import AuditState, AuditType
from watcher.db import paging
from watcher.db.lookup import identified
from watcher.db.models import Audit, Webhook
from watcher.db.paging import Page

_KEYS: Final[paging.Keys] = {"id": Audit.id, "audit_uuid": Audit.uuid, "audit_name": Audit.name}


def get(session: Session, ident: str) -> tuple[Audit, Webhook]:
    """The EVENT audit with that uuid or name, its strategy, and its webhook.  NotFound.

    An audit that has no row for its webhook gets the defaults, not in the session.
    """
    found = session.execute(
        select(Audit, Webhook)
        .outerjoin(Audit.strategy)
        .outerjoin(Webhook, Webhook.audit_id == Audit.id)
        .where(identified(Audit, ident))
        .options(contains_eager(Audit.strategy))
    ).first()
    if found is None:
        raise NotFound(f"There is no audit {ident}.")
    audit, webhook = found
    if audit.audit_type != AuditType.EVENT:
        raise NotFound(f"The audit {ident} has no webhook, because it is {audit.audit_type}.")
    return audit, webhook or _defaults(audit)


def list_page(session: Session, page: Page) -> list[tuple[Audit, Webhook]]:
    """Living EVENT audits with their webhooks, in two statements."""
    wanted = select(Audit).where(Audit.deleted == 0, Audit.audit_type == AuditType.EVENT)
    audits = paging.fetch(session, wanted, page, _KEYS, marker="audit_uuid")
    found = select(Webhook).where(Webhook.audit_id.in_([audit.id for audit in audits]))
    webhooks = {webhook.audit_id: webhook for webhook in session.scalars(found)}
    return [(audit, webhooks.get(audit.id) or _defaults(audit)) for audit in audits]


def open_and_acting(session: Session, default_auth: str) -> list[str]:
    """Names of live EVENT audits with auto_trigger and a webhook that asks for no credential,
    oldest first: anybody can make them act on the cloud.

    *default_auth* is what webhooks without an own ``auth`` ask for.  The schema may be that of the
    former service, before an upgrade: then all webhooks have the default, and the names are UUIDs.
    """
    inspector = inspect(session.connection())
    wanted = select(Audit.uuid).where(
        Audit.deleted == 0,
        Audit.audit_type == AuditType.EVENT,
        Audit.auto_trigger.is_(True),
        Audit.state.not_in(AuditState.OVER[AuditType.EVENT]),
    )
    if inspector.has_table(Webhook.__tablename__):
        wanted = (
            wanted.with_only_columns(func.coalesce(Audit.name, Audit.uuid))
            .outerjoin(Webhook, Webhook.audit_id == Audit.id)
            .where(func.coalesce(Webhook.auth, default_auth) == "none")
        )
    elif default_auth != "none" or not inspector.has_table(Audit.__tablename__):
        return []
    return [str(name) for name in session.scalars(wanted.order_by(Audit.id))]


def _defaults(audit: Audit) -> Webhook:
    return Webhook(audit_id=audit.id, debounce=0, cooldown=0, paused=False)


def get_locked(session: Session, ident: str) -> tuple[Audit, Webhook]:
    """As ``get``, and lock the settings: until the end of the transaction no other can change them.

    DBDuplicateEntry (at flush) if somebody else writes its first row at the same time.
    """
    audit, webhook = get(session, ident)
    if webhook.id is None:
        session.add(webhook)
        session.flush()
    else:
        # Locked, because the settings depend on each other: a compare-and-swap is not enough.
        session.refresh(webhook, with_for_update=True)
    return audit, webhook
