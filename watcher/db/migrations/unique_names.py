# SPDX-License-Identifier: Apache-2.0
"""Names that audits share: the upgrade renames all but the eldest, and its dry run lists them."""

from typing import NamedTuple

import sqlalchemy as sa

LENGTH = 63

audits = sa.table(
    "audits",
    sa.column("id", sa.Integer),
    sa.column("uuid", sa.String),
    sa.column("name", sa.String),
    sa.column("deleted", sa.Integer),
)


class Renamed(NamedTuple):
    id: int
    uuid: str
    old: str
    new: str


def doubled(connection: sa.Connection) -> list[Renamed]:
    """The audits that lose their names to an older one, with their ids appended.

    The database decides which names are equal.  No two of the new names are equal, since each ends
    in the id of its audit.
    """
    groups = connection.execute(
        sa.select(sa.func.min(audits.c.name), audits.c.deleted)
        .where(audits.c.name.is_not(None), audits.c.deleted.is_not(None))
        .group_by(audits.c.name, audits.c.deleted)
        .having(sa.func.count() > 1)
    ).all()
    found = []
    for name, deleted in groups:
        _, *younger = connection.execute(
            sa.select(audits.c.id, audits.c.uuid, audits.c.name)
            .where(audits.c.name == name, audits.c.deleted == deleted)
            .order_by(audits.c.id)
        ).all()
        for audit in younger:
            new = _free(connection, audit.name, audit.id, deleted)
            found.append(Renamed(audit.id, audit.uuid, audit.name, new))
    return found


def _free(connection: sa.Connection, name: str, audit_id: int, deleted: int) -> str:
    suffix = f"-{audit_id}"
    while True:
        candidate = name[: LENGTH - len(suffix)] + suffix
        taken = sa.exists().where(audits.c.name == candidate, audits.c.deleted == deleted)
        if not connection.scalar(sa.select(taken)):
            return candidate
        suffix += "x"
