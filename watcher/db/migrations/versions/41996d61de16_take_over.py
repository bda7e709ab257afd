# SPDX-License-Identifier: Apache-2.0
"""Take over the database of the former service.

Brings installations that differ by age, backend and way of creation to one shape:
intervals are text everywhere, names of audits are unique, indicators have their value
in ``data``, and the pickled jobs of the former scheduler are gone.
"""

import logging

import sqlalchemy as sa
from alembic import op

revision = "41996d61de16"
down_revision = "f56ba02662b4"

LOG = logging.getLogger(__name__)

NAME_LENGTH = 63

audits = sa.table(
    "audits",
    sa.column("id", sa.Integer),
    sa.column("uuid", sa.String),
    sa.column("name", sa.String),
    sa.column("deleted", sa.Integer),
    sa.column("force", sa.Boolean),
)
indicators = sa.table(
    "efficacy_indicators", sa.column("value", sa.Numeric), sa.column("data", sa.Float)
)


def upgrade() -> None:
    connection = op.get_bind()
    connection.execute(sa.update(audits).where(audits.c.force.is_(None)).values(force=False))
    connection.execute(
        sa.update(indicators)
        .where(indicators.c.data.is_(None))
        .values(data=sa.cast(indicators.c.value, sa.Float))
    )
    if sa.inspect(connection).has_table("apscheduler_jobs"):
        op.execute("DELETE FROM apscheduler_jobs")
    _rename_duplicates(connection)
    _reshape_audits(connection)


def downgrade() -> None:
    """Intervals stay text, which the former service declares as well."""
    with op.batch_alter_table("audits") as batch:
        batch.drop_constraint("uniq_audits0name", type_="unique")


def _reshape_audits(connection: sa.Connection) -> None:
    present = {key["name"] for key in sa.inspect(connection).get_unique_constraints("audits")}
    with op.batch_alter_table("audits") as batch:
        batch.alter_column(
            "interval", existing_type=sa.Integer, type_=sa.String(36), existing_nullable=True
        )
        batch.alter_column("force", existing_type=sa.Boolean, nullable=True)
        if "uniq_audits0name" not in present:
            batch.create_unique_constraint("uniq_audits0name", ["name", "deleted"])


def _rename_duplicates(connection: sa.Connection) -> None:
    """Leave a name to the eldest audit that bears it, and append their ids to the others."""
    doubled = connection.execute(
        sa.select(sa.func.min(audits.c.name), audits.c.deleted)
        .where(audits.c.name.is_not(None), audits.c.deleted.is_not(None))
        .group_by(audits.c.name, audits.c.deleted)
        .having(sa.func.count() > 1)
    ).all()
    for name, deleted in doubled:
        _, *younger = connection.execute(
            sa.select(audits.c.id, audits.c.uuid, audits.c.name)
            .where(audits.c.name == name, audits.c.deleted == deleted)
            .order_by(audits.c.id)
        ).all()
        for audit in younger:
            new_name = _free_name(connection, audit.name, audit.id, deleted)
            connection.execute(
                sa.update(audits).where(audits.c.id == audit.id).values(name=new_name)
            )
            LOG.warning(
                "Audit %s shares its name '%s' with another one, and is now '%s'",
                audit.uuid,
                audit.name,
                new_name,
            )


def _free_name(connection: sa.Connection, name: str, audit_id: int, deleted: int) -> str:
    suffix = f"-{audit_id}"
    while True:
        candidate = name[: NAME_LENGTH - len(suffix)] + suffix
        taken = sa.exists().where(audits.c.name == candidate, audits.c.deleted == deleted)
        if not connection.scalar(sa.select(taken)):
            return candidate
        suffix += "x"
