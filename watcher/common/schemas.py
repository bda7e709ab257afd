# SPDX-License-Identifier: Apache-2.0
"""Validation of JSON from users: strategy parameters and audit scopes.

Schemas are JSON schema, draft 4, read strictly: an object whose schema names
properties may have no others, and a property that is left out gets its default.
"""

import copy
import functools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from watcher.common.errors import Invalid, shortened

Schema = Mapping[str, Any]

MAX_DEPTH = 32
"""Levels of nesting; far more than any schema of Watcher has."""
LARGEST = 1e18
"""The largest number in parameters; strategies compute with floats."""
_LONGEST = 300
"""Characters of a sentence about a value, which may quote a list of allowed values."""


def parameters(schema: Schema, values: Any, field: str = "parameters") -> dict[str, Any]:
    """*values* with all defaults filled in.  Invalid names what does not fit *schema*.

    The values themselves stay as they are; the result is another dict.
    """
    if not isinstance(values, dict):
        raise Invalid(f"{field}: must be an object.")
    bound(values, field, largest=LARGEST)
    if not schema:
        if values:
            raise Invalid(f"{field}: must be empty; there is no strategy that takes any.")
        return {}
    complete: dict[str, Any] = _completed(schema, values, field)
    _validate(schema, complete, field)
    return complete


def default_parameters(schema: Schema, values: Any) -> None:
    """Check the parameters of a template.  None is required, because an audit may add others.
    Invalid."""
    optional = {key: value for key, value in schema.items() if key != "required"}
    parameters(optional, values, "default_parameters")


def scope(value: Any) -> list[Any]:
    """An audit scope in the present style.  Invalid names what is wrong with it.

    A list of compute rules alone, the old style, comes back as the ``compute`` part of a scope.
    """
    if not isinstance(value, list):
        raise Invalid("scope: must be a list.")
    bound(value, "scope")
    parts: list[Any] = [{"compute": value}] if _is_old_style(value) else value
    parts = _completed(_SCOPE, parts, "scope")
    _validate(_SCOPE, parts, "scope")
    _check_wildcards(parts)
    _check_aggregates(parts)
    return parts


def bound(value: Any, field: str, depth: int = MAX_DEPTH, largest: float = math.inf) -> None:
    """Invalid if *value* is nested too deeply, cannot be written as JSON again, or has a number
    beyond *largest*."""
    level = [value]
    for _ in range(depth):
        for child in level:
            if isinstance(child, float) and not math.isfinite(child):
                raise Invalid(f"{field}: has a number that is infinite or none; JSON has no such.")
            if isinstance(child, (int, float)) and abs(child) > largest:
                raise Invalid(f"{field}: has a number beyond {largest:g}.")
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise Invalid(f"{field}: is nested more than {depth} levels deep.")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _completed(schema: Any, value: Any, field: str) -> Any:
    """A copy of *value* with defaults, as deep as the schema describes it."""
    if isinstance(value, dict) and schema.get("properties"):
        return _completed_object(schema["properties"], value, field)
    items = schema.get("items")
    if isinstance(value, list) and isinstance(items, Mapping):
        return [_completed(items, item, f"{field}[{i}]") for i, item in enumerate(value)]
    return value


def _completed_object(properties: Schema, value: dict[str, Any], field: str) -> dict[str, Any]:
    for key in value:
        if key not in properties:
            allowed = ", ".join(sorted(properties))
            raise Invalid(
                f"{field}.{shortened(key)}: there is no such field; allowed are {allowed}."
            )
    defaults = {
        key: copy.deepcopy(schema["default"])
        for key, schema in properties.items()
        if key not in value and "default" in schema
    }
    # The given order is kept, because in some objects the first key counts most.
    return {
        key: _completed(properties[key], child, f"{field}.{key}")
        for key, child in (value | defaults).items()
    }


def _validate(schema: Schema, value: Any, field: str) -> None:
    error = next(_validator()(schema).iter_errors(value), None)
    if error is not None:
        for step in error.absolute_path:
            field += f"[{step}]" if isinstance(step, int) else f".{shortened(step)}"
        # If none of several schemas fits, the sentence says what each of them misses.
        message = ", or ".join(each.message for each in error.context or [error])
        quoted = repr(error.instance)
        message = message.replace(quoted, shortened(quoted))
        raise Invalid(f"{field}: {shortened(message, _LONGEST)}.")


@functools.cache
def _validator() -> Any:
    # Imported here: it takes megabytes, and most processes never need it.
    from jsonschema import Draft4Validator, validators

    extend: Any = validators.extend
    return extend(Draft4Validator, {"uniqueItems": _unique})


def _unique(validator: Any, unique: bool, value: Any, schema: Schema) -> Iterator[Any]:
    """Replaces the check of the library, which takes quadratic time for objects."""
    from jsonschema import ValidationError

    if unique and isinstance(value, list):
        different = {json.dumps(item, sort_keys=True) for item in value}
        if len(different) < len(value):
            yield ValidationError("has equal items")


def _is_old_style(value: list[Any]) -> bool:
    first = value[0] if value else None
    return isinstance(first, dict) and bool(first) and next(iter(first)) not in _PARTS


def _check_wildcards(value: list[Any]) -> None:
    for where, rule in _rules(value):
        for name, entries in rule.items():
            if name in _WITH_WILDCARD and len(entries) > 1 and "*" in _values(entries):
                raise Invalid(f"{where}.{name}: '*' stands for all, and must be the only entry.")


def _check_aggregates(value: list[Any]) -> None:
    included = excluded = False
    for where, rule in _rules([{"compute": part.get("compute", [])} for part in value]):
        if "host_aggregates" in rule:
            excluded |= ".exclude[" in where
            included |= ".exclude[" not in where
    if included and excluded:
        raise Invalid("scope: host_aggregates may be included or excluded, not both.")


def _rules(value: list[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rules of a scope and those in their ``exclude``, each with its path."""
    for i, part in enumerate(value):
        for name, rules in part.items():
            for j, rule in enumerate(rules):
                where = f"scope[{i}].{name}[{j}]"
                yield where, rule
                for k, excluded in enumerate(rule.get("exclude", [])):
                    yield f"{where}.exclude[{k}]", excluded


def _values(entries: list[dict[str, Any]]) -> set[Any]:
    return {value for entry in entries for value in entry.values()}


def _object(**properties: Schema) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _list(items: Schema) -> dict[str, Any]:
    return {"type": "array", "items": items}


_STRING = {"type": "string", "minLength": 1}
_NAMES = _list(_object(name=_STRING) | {"required": ["name"]})
_UUIDS = _list(_object(uuid=_STRING) | {"required": ["uuid"]})
_ID = {"type": ["integer", "string"], "pattern": r"^\*$"}
_AGGREGATES = _list(_object(id=_ID, name=_STRING) | {"minProperties": 1, "maxProperties": 1})
_COMPUTE = _object(
    host_aggregates=_AGGREGATES,
    availability_zones=_NAMES,
    exclude=_list(
        _object(
            instances=_UUIDS,
            compute_nodes=_NAMES,
            host_aggregates=_AGGREGATES,
            instance_metadata=_list({"type": "object"}),
            projects=_UUIDS,
        )
    ),
)
_STORAGE = _object(
    availability_zones=_NAMES,
    volume_types=_NAMES,
    exclude=_list(_object(storage_pools=_NAMES, volumes=_UUIDS, projects=_UUIDS)),
)
_SCOPE = _list(_object(compute=_list(_COMPUTE), storage=_list(_STORAGE)) | {"minProperties": 1})
_PARTS = ("compute", "storage")
_WITH_WILDCARD = ("host_aggregates", "availability_zones", "volume_types")
