# SPDX-License-Identifier: Apache-2.0
"""Events come into an inbox, and lock nothing of their audit."""

import sqlalchemy as sa
from alembic import op

revision = "e2b7c50d9a14"
down_revision = "e7b2a90c4d15"

_NAMES = {"fk": "fk_%(table_name)s_%(column_0_name)s"}
"""For SQLite, whose foreign keys have none."""

_EVENTS = sa.table("audit_events", sa.column("audit_id", sa.Integer), sa.column("decision"))
_AUDITS = sa.table("audits", sa.column("id", sa.Integer))


def upgrade() -> None:
    # Events that are there already have their run, or none to expect.
    with op.batch_alter_table("audit_events", naming_convention=_NAMES) as batch:
        batch.add_column(sa.Column("inbox", sa.Integer))
        batch.drop_constraint(_foreign_key(), type_="foreignkey")
    op.create_index("idx_audit_events_inbox", "audit_events", ["inbox", "id"])


def downgrade() -> None:
    # What waits in the inbox is lost to the former version; its audits' states stay right.
    op.execute(
        sa.delete(_EVENTS).where(
            (_EVENTS.c.decision == "ACCEPTED")
            | ~sa.exists(sa.select(_AUDITS.c.id).where(_AUDITS.c.id == _EVENTS.c.audit_id))
        )
    )
    op.drop_index("idx_audit_events_inbox", "audit_events")
    with op.batch_alter_table("audit_events", naming_convention=_NAMES) as batch:
        batch.drop_column("inbox")
        batch.create_foreign_key("fk_audit_events_audit_id", "audits", ["audit_id"], ["id"])


def _foreign_key() -> str:
    """The name of the one on audits, which the database has chosen."""
    for key in sa.inspect(op.get_bind()).get_foreign_keys("audit_events"):
        if key["referred_table"] == "audits" and key["name"]:
            return str(key["name"])
    return "fk_audit_events_audit_id"
