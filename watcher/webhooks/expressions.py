# SPDX-License-Identifier: Apache-2.0
"""JMESPath over payloads: checked when an operator sets it, with limited work when it runs.

Neither length nor depth bounds the work by itself: a few pipes double a list a hundred times.
"""

import functools
from collections.abc import Iterator, Mapping
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions
from jmespath.visitor import TreeInterpreter

from watcher.common.errors import Invalid

MAX_LENGTH: Final = 1000
"""Characters of an expression."""

_MAX_DEPTH: Final = 100
_WORK: Final = 1_000_000
"""Limit of the number of steps plus the number of values that they make."""

_CHARACTERS: Final = 16
"""Each so many characters of a text count as one more value."""

_TOO_DEEP: Final = f"a JMESPath expression must not be nested more than {_MAX_DEPTH} levels deep."

Node = Mapping[str, Any]


def check(expression: str, field: str) -> None:
    """Invalid, with the message of the parser, unless *expression* is a JMESPath expression."""
    if len(expression) > MAX_LENGTH:
        raise Invalid(f"{field}: must not be longer than {MAX_LENGTH} characters.")
    try:
        level = [_compiled(expression)]
    except RecursionError:
        raise Invalid(f"{field}: {_TOO_DEEP}") from None
    except JMESPathError as error:
        raise Invalid(f"{field}: {_sentence(error)}") from None
    for _ in range(_MAX_DEPTH):
        for node in level:
            _check_function(node, field)
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise Invalid(f"{field}: {_TOO_DEEP}")


def value(expression: str, payload: Any, field: str) -> Any:
    """The value of *expression* for *payload*.  Invalid if it fails, or takes too much work."""
    try:
        return _Bounded().visit(_compiled(expression), payload)
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        # The interpreter of JMESPath passes on Python's errors for values of the wrong type.
        raise Invalid(f"{field}: {_sentence(error)}") from None


def holds(expression: str, payload: Any, field: str) -> bool:
    """Whether *expression* is true for *payload*.  As in JMESPath, 0 is true; null and empty values
    are not."""
    found = value(expression, payload, field)
    return bool(found) or (found == 0 and not isinstance(found, bool))


class _Bounded(TreeInterpreter):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self._left = _WORK

    def visit(self, node: Node, *args: Any, **kwargs: Any) -> Any:
        result = super().visit(node, *args, **kwargs)
        # A new list or object may contain the same value many times.  That takes little memory
        # until it is written as JSON, so it counts with the size that it has then.
        made = node["type"] in ("multi_select_list", "multi_select_dict")
        self._spend(1 + (self._weight(result) if made else _length(result)))
        return result

    def visit_function_expression(self, node: Node, value: Any) -> Any:
        arguments = [self.visit(child, value) for child in node["children"]]
        if node["value"] == "join":  # only its result may be longer than its arguments
            self._spend(_joined(*arguments))
        return self._functions.call_function(node["value"], arguments)

    def _spend(self, work: int) -> None:
        self._left -= work
        if self._left < 0:
            raise ValueError("it would make too much of this payload")

    def _weight(self, made: Any) -> int:
        weight, pending = 0, [made]
        while pending and weight <= self._left:
            item = pending.pop()
            weight += 1 + _length(item)
            if isinstance(item, dict):
                pending.extend(item.values())
            elif isinstance(item, list):
                pending.extend(item)
        return weight


@functools.lru_cache(maxsize=1024)
def _compiled(expression: str) -> Any:
    parsed = jmespath.compile(expression).parsed
    _check_references({"type": "whole", "children": [parsed]})
    return parsed


def _check_references(node: Node) -> None:
    """JMESPathError unless each ``&`` is where a function wants one: elsewhere it would come into
    the result, which could not be written as JSON."""
    calls = node["type"] == "function_expression"
    function = Functions.FUNCTION_TABLE.get(node["value"], {}) if calls else {}
    signature = function.get("signature", ())
    for number, child in enumerate(node["children"]):
        if not isinstance(child, dict):  # a number of a slice
            continue
        wanted = signature[number]["types"] if number < len(signature) else ()
        if child["type"] == "expref" and "expref" not in wanted:
            raise JMESPathError("& is only for the expressions that functions like map() take")
        _check_references(child)


def _check_function(node: Node, field: str) -> None:
    if node["type"] != "function_expression":
        return
    function = Functions.FUNCTION_TABLE.get(node["value"])
    if function is None:
        raise Invalid(f"{field}: JMESPath has no function {node['value'][:63]}.")
    wanted, given = len(function["signature"]), len(node["children"])
    variadic = function["signature"][-1].get("variadic")
    if given < wanted or (given > wanted and not variadic):
        least = "at least " if variadic else ""
        raise Invalid(
            f"{field}: {node['value']}() takes {least}{wanted} arguments, and here it has {given}."
        )


def _children(node: Node) -> Iterator[Node]:
    # The children of a slice are numbers.
    yield from (child for child in node["children"] if isinstance(child, dict))


def _length(item: Any) -> int:
    if isinstance(item, str):
        return -(-len(item) // _CHARACTERS)
    return len(item) if isinstance(item, list | dict) else 0


def _joined(separator: Any, parts: Any) -> int:
    """The weight of the result of join(); 0 for arguments that it refuses."""
    if not (isinstance(separator, str) and isinstance(parts, list)):
        return 0
    characters = sum(len(part) for part in parts if isinstance(part, str))
    return (characters + len(separator) * len(parts)) // _CHARACTERS


def _sentence(error: Exception) -> str:
    """The message of an error on one line; that of a parser may have several."""
    words = " ".join(str(error).split()).rstrip(".")
    return f"{words[:200]}."
