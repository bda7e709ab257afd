# SPDX-License-Identifier: Apache-2.0
"""Where a uuid is wanted and nothing else."""

import functools
import uuid as uuidlib
from collections.abc import Callable

from watcher.common.errors import Invalid
from watcher.db.lookup import is_uuid


def require(text: str, field: str) -> str:
    """*text* as the database spells it.  Invalid if it is no uuid."""
    if not is_uuid(text):
        raise Invalid(f"{field}: '{text[:60]}' is not a uuid.")
    return str(uuidlib.UUID(text))


def parameter(name: str) -> Callable[[str], str]:
    """What reads a query parameter that is a uuid."""
    return functools.partial(require, field=name)
