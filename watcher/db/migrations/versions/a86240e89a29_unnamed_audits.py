# SPDX-License-Identifier: Apache-2.0
"""Unnamed audits stay unnamed; the id is kept because databases stand at it."""

revision = "a86240e89a29"
down_revision = "3cfc94cecf4e"


def upgrade() -> None:
    pass


def downgrade() -> None:
    pass
