# SPDX-License-Identifier: Apache-2.0
"""The settings of webhooks, as operators read and change them."""

from sqlalchemy import select
from sqlalchemy.orm import Session, contains_eager

from watcher.common.errors import NotFound
from watcher.common.states import AuditType
from watcher.db.lookup import identified
from watcher.db.models import Audit, Webhook


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
    return audit, webhook or Webhook(audit_id=audit.id, debounce=0, cooldown=0, paused=False)


def get_locked(session: Session, ident: str) -> tuple[Audit, Webhook]:
    """The same to be changed: until the end of the transaction nobody else changes it.

    DBDuplicateEntry (at flush) if somebody else writes its first row at the same time.
    """
    audit, webhook = get(session, ident)
    if webhook.id is None:
        session.add(webhook)
        session.flush()
    else:
        # Its settings depend on each other, so that columns alone are not enough to compare.
        session.refresh(webhook, with_for_update=True)
    return audit, webhook
