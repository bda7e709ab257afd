# SPDX-License-Identifier: Apache-2.0
"""Where a uuid is wanted, or what stands for one."""

import functools
import uuid as uuidlib
from collections.abc import Callable, Mapping

from sqlalchemy.orm import Session

from watcher.common.errors import Invalid, NotFound
from watcher.db import audits
from watcher.db.lookup import is_uuid


def require(text: str, field: str) -> str:
    """*text* as the database spells it.  Invalid if it is no uuid."""
    if not is_uuid(text):
        raise Invalid(f"{field}: '{text[:60]}' is not a uuid.")
    return str(uuidlib.UUID(text))


def parameter(name: str) -> Callable[[str], str]:
    """What reads a query parameter that is a uuid."""
    return functools.partial(require, field=name)


def of_audit(session: Session, filters: Mapping[str, str]) -> dict[str, str]:
    """*filters* with the uuid of the audit that ``audit_uuid`` means, by its uuid or its name.

    An audit with that uuid need not be there: plans outlive theirs.  Invalid for a name that no
    audit has.
    """
    ident = filters.get("audit_uuid")
    if ident is None:
        return {**filters}
    if is_uuid(ident):
        return {**filters, "audit_uuid": require(ident, "audit_uuid")}
    try:
        return {**filters, "audit_uuid": audits.get(session, ident).uuid or ""}
    except NotFound:
        raise Invalid(f"audit_uuid: there is no audit '{ident[:63]}'.") from None
