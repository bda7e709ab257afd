# SPDX-License-Identifier: Apache-2.0
"""The history of the schema, as alembic revisions.

The first one, ``f56ba02662b4``, is the last one of the former service.  Later ones are our own.
"""

from typing import Final

FORMER: Final = (
    "001",
    "0f6042416884",
    "d098df6021e2",
    "d09a5945e4a0",
    "3cfc94cecf4e",
    "a86240e89a29",
    "52804f2498c4",
    "4b16194c56bc",
    "609bec748f2a",
    "15f7375ca737",
    "7150a7d8f228",
)
"""Earlier revisions of the former service.  ``f56ba02662b4`` adds what their databases lack."""
