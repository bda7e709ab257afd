# SPDX-License-Identifier: Apache-2.0
"""What scopes of any kind are read with."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from watcher.model.types import Bools

Entries = Iterable[Mapping[str, Any]]

EVERYTHING = "*"


def names_of(entries: Entries) -> set[str]:
    return {entry["name"] for entry in entries}


def all_of(rules: Entries, field: str) -> list[Any]:
    """What all *rules* together have below *field*."""
    return [entry for rule in rules for entry in rule.get(field, ())]


def mask_of(values: Sequence[bool]) -> Bools:
    return np.array(values, dtype=np.bool_)
