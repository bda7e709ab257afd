# SPDX-License-Identifier: Apache-2.0
"""The parts that requests to nova have in common."""

import datetime
from typing import Final
from urllib.parse import quote

MINIMUM: Final = "2.56"
CHANGED_MIGRATIONS: Final = "2.59"
"""From this microversion on, nova filters migrations by time, and lists them in pages."""


def changed_since(moment: datetime.datetime) -> dict[str, str]:
    """The filter of what changed at *moment* or later, to the second, which is all nova keeps."""
    return {"changes-since": moment.replace(tzinfo=None, microsecond=0).isoformat() + "Z"}


def path_of(collection: str, ident: str) -> str:
    return f"/{collection}/{quote(ident, safe='')}"
