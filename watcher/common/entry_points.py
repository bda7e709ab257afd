# SPDX-License-Identifier: Apache-2.0
"""Loading plug-ins from entry points.

A plug-in is a plain class.  A plug-in that does not load or does not fit is logged by name and left
out, so that a broken package does not stop a service.
"""

import functools
import inspect
import json
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, Final, NamedTuple

from oslo_config import cfg
from oslo_log import log

LOG = log.getLogger(__name__)

FAILURES: Final = (Exception, SystemExit)
"""What the code of another package may raise, and a service survives."""


class Survey(NamedTuple):
    """The plug-ins of a namespace, by the names of their entry points, sorted by these."""

    fit: Mapping[str, Any]
    unfit: Mapping[str, str]
    """Why each of the others is left out."""


def load(namespace: str, kind: Any) -> Mapping[str, Any]:
    """The plug-ins of *namespace* that are of that *kind*, by name: see ``survey``."""
    found = survey(namespace, kind)
    for name, why in found.unfit.items():
        report(namespace, name, why)
    return found.fit


def survey(namespace: str, kind: Any) -> Survey:
    """The plug-ins of *namespace*, and the faults of those that cannot be used.

    *kind* is the base class of its plug-ins, or a protocol whose methods they have, or ``Callable``
    for functions.
    """
    fit: dict[str, Any] = {}
    unfit: dict[str, str] = {}
    for entry in installed(namespace):
        try:
            plugin = entry.load()
            why = misfit(entry.name, plugin, kind)
        except FAILURES as error:
            why = f"It does not load: {error!r}."
        if entry.name in fit:
            why = f"{entry.value} has the name of another one, which is used."
        if why:
            unfit[entry.name] = why
        else:
            fit[entry.name] = plugin
    return Survey(fit, unfit)


def installed(namespace: str) -> list[EntryPoint]:
    """Entry points by name; of one name that of Watcher first."""
    return sorted(
        _entry_points(namespace),
        key=lambda each: (each.name, not each.value.startswith("watcher."), each.value),
    )


@functools.cache
def _entry_points(namespace: str) -> EntryPoints:
    return entry_points(group=namespace)


def report(namespace: str, name: str, why: str) -> None:
    LOG.error("Plug-in %s of %s is left out: %s", name, namespace, why)


def names(namespace: str) -> frozenset[str]:
    """The names of installed plug-ins, whether these load or not."""
    return frozenset(each.name for each in installed(namespace))


def _text(most: int) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not isinstance(value, str) or len(value) > most:
            raise ValueError(f"a text of at most {most} characters is needed")

    return check


def _check_schema(value: Mapping[str, Any]) -> None:
    from jsonschema import Draft4Validator, SchemaError  # which takes megabytes

    try:
        Draft4Validator.check_schema(dict(value))
    except SchemaError as error:
        raise ValueError(error.message) from None


_FACTS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "name": _text(63),
    "display_name": _text(63),
    "description": _text(255),
    "goal": _text(63),
    "schema": lambda value: json.dumps(dict(value)),
    "efficacy": lambda value: json.dumps(value.stored()),
    "options": lambda value: cfg.ConfigOpts().register_opts(list(value)),
}
"""Attributes that a service reads when it starts; each function fails if the value is unusable."""


def misfit(name: str, plugin: Any, kind: Any) -> str | None:
    """Why *plugin* cannot be used under that name; None if it can be."""
    if kind is Callable or getattr(kind, "_is_protocol", False):
        return _misfit_by_methods(plugin, kind)
    if not (inspect.isclass(plugin) and issubclass(plugin, kind)):
        return f"It is no subclass of {kind.__module__}.{kind.__name__}."
    wanted = {each for base in kind.__mro__ for each in inspect.get_annotations(base)}
    missing = sorted(
        {each for each in wanted & _FACTS.keys() if not hasattr(plugin, each)}
        | getattr(plugin, "__abstractmethods__", frozenset())
    )
    if missing:
        return f"It has no {', '.join(missing)}."
    for fact in sorted(wanted & _FACTS.keys()):
        try:
            value = getattr(plugin, fact)
            _FACTS[fact](value)
            if fact == "schema" and not plugin.__module__.startswith("watcher."):
                _check_schema(value)
        except FAILURES as error:
            return f"Its {fact} does not fit: {error!r}."
    if getattr(plugin, "name", name) != name:
        return "Its name is not the one of its entry point."
    return None


def _misfit_by_methods(plugin: Any, kind: Any) -> str | None:
    methods = {each for each, _ in inspect.getmembers(kind, inspect.isfunction) if each[0] != "_"}
    missing = [each for each in methods if not callable(getattr(plugin, each, None))]
    if not callable(plugin):
        return "It cannot be called."
    return f"It has no {', '.join(sorted(missing))}." if missing else None
