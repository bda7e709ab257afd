# SPDX-License-Identifier: Apache-2.0
"""Audits that act on the cloud whenever somebody, anybody, posts to their webhook."""

from sqlalchemy import func, inspect, select
from sqlalchemy.orm import Session

from watcher.common.states import AuditState, AuditType
from watcher.db.models import Audit, Webhook


def audits(session: Session, default_auth: str) -> list[str]:
    """Names of live EVENT audits with auto_trigger and an open webhook, in the order of age.

    *default_auth* is what webhooks ask for that say nothing themselves.  The schema may be
    an older one, of those who are about to upgrade: it has no settings of webhooks, and the
    audits are known by their UUIDs.
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
