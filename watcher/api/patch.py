# SPDX-License-Identifier: Apache-2.0
"""JSON patch with the operations that the API accepts: add, replace and remove."""

import copy
import dataclasses
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from watcher.common.errors import Invalid, shortened

_OPERATIONS = ("add", "replace", "remove")
_PATH = re.compile(r"(/[A-Za-z0-9_-]+)+")


@dataclasses.dataclass(frozen=True)
class Operation:
    """One step of a patch.  ``value`` is None for a removal."""

    op: str
    path: str
    value: Any = None

    @property
    def field(self) -> str:
        """The top-level field that it changes."""
        return self.path.split("/", 2)[1]


def parse(body: Any, writable: Collection[str]) -> list[Operation]:
    """The operations of a request body.  Invalid unless all change *writable* fields."""
    if not isinstance(body, list):
        raise Invalid("The body of a PATCH must be a list of operations.")
    operations = [_operation(item, f"[{number}]") for number, item in enumerate(body)]
    for operation in operations:
        if operation.field not in writable:
            raise Invalid(
                f"{shortened(operation.path, 80)}: cannot be changed; "
                f"what can is {', '.join('/' + name for name in sorted(writable))}."
            )
    return operations


def apply(document: Mapping[str, Any], operations: Sequence[Operation]) -> dict[str, Any]:
    """A copy of *document* after all operations, in their order.

    A removed field is absent from it.  Invalid names the path that is not there.
    """
    # Imported here: only the API needs it, and only for this.
    from jsonpatch import JsonPatch, JsonPatchException, JsonPointerException

    result: dict[str, Any] = copy.deepcopy(dict(document))
    for operation in operations:
        step = JsonPatch([dataclasses.asdict(operation)])
        try:
            step.apply(result, in_place=True)
        except (JsonPatchException, JsonPointerException, TypeError) as error:
            raise Invalid(
                f"{shortened(operation.path, 80)}: there is no such place to {operation.op}."
            ) from error
    return result


def touched(operations: Sequence[Operation]) -> frozenset[str]:
    """The top-level fields that the operations change."""
    return frozenset(operation.field for operation in operations)


def _operation(item: Any, where: str) -> Operation:
    if not isinstance(item, dict):
        raise Invalid(f"{where}: an operation must be an object with op, path and value.")
    op, path = item.get("op"), item.get("path")
    if op not in _OPERATIONS:
        raise Invalid(f"{where}.op: must be one of {', '.join(_OPERATIONS)}.")
    if not isinstance(path, str) or not _PATH.fullmatch(path):
        raise Invalid(
            f"{where}.path: must be such as /state: slashes before letters, digits, _ and -."
        )
    if op != "remove" and "value" not in item:
        raise Invalid(f"{where}.value: is required to {op} {shortened(path, 80)}.")
    return Operation(op, path, item.get("value") if op != "remove" else None)
