# SPDX-License-Identifier: Apache-2.0
"""Reading the rules of a scope."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from watcher.model.types import Bools

Entries = Iterable[Mapping[str, Any]]

EVERYTHING = "*"


def names_of(entries: Entries) -> set[str]:
    return {entry["name"] for entry in entries}


def all_of(rules: Entries, field: str) -> list[Any]:
    """The entries of *field* in all *rules*."""
    return [entry for rule in rules for entry in rule.get(field, ())]


def mask_of(values: Sequence[bool]) -> Bools:
    return np.array(values, dtype=np.bool_)
