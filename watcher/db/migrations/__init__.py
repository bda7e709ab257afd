# SPDX-License-Identifier: Apache-2.0
"""The history of the schema, as alembic revisions.

The revisions up to ``f56ba02662b4`` carry the ids of the schema that existing installations have,
so that their databases can be upgraded from wherever they stand. Later revisions are our own.
"""
