# SPDX-License-Identifier: Apache-2.0
"""Plug-ins of other packages that do not fit are named, and keep nothing from its start."""

import functools
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Protocol
from unittest import mock

import fixtures
from oslo_config import cfg

from watcher.common import entry_points
from watcher.tests.base import TestCase


class Base(ABC):
    name: ClassVar[str]
    description: ClassVar[str]
    schema: ClassVar[Mapping[str, Any]] = {}
    options: ClassVar[tuple[cfg.Opt, ...]] = ()

    @abstractmethod
    def act(self) -> None: ...


class Shape(Protocol):
    def read(self) -> None: ...


def fitting(**facts: Any) -> type:
    values = {"name": "one", "description": "Acts.", "act": lambda self: None}
    return type("One", (Base,), {k: v for k, v in (values | facts).items() if v is not None})


class Installed(fixtures.Fixture):
    """Entry points by namespace, in place of what is installed: plug-ins, or errors of loading."""

    def __init__(self, installed: Mapping[str, Mapping[str, Any]], beside: bool = False) -> None:
        """*beside*: what is installed really is there, too."""
        self._installed, self._beside = installed, beside

    def _setUp(self) -> None:
        real = entry_points.installed

        def installed(namespace: str) -> list[Any]:
            found: list[Any] = [*real(namespace)] if self._beside else []
            for name, plugin in self._installed.get(namespace, {}).items():
                load = functools.partial(_load, plugin)
                found.append(types.SimpleNamespace(name=name, value=f"other:{name}", load=load))
            return found

        self.useFixture(fixtures.MockPatchObject(entry_points, "installed", installed))


def _load(plugin: Any) -> Any:
    if isinstance(plugin, BaseException):
        raise plugin
    return plugin


class PluginsTest(TestCase):
    def test_one_that_fits(self) -> None:
        self.assertIsNone(entry_points.misfit("one", fitting(), Base))

    def test_what_does_not_fit(self) -> None:
        for plugin, why in (
            (fitting(description=None), "It has no description."),
            (fitting(description=None, act=None), "It has no act, description."),
            (fitting(description=7), "Its description does not fit"),
            (fitting(description="x" * 256), "at most 255 characters"),
            (fitting(schema={"a": {1}}), "Its schema does not fit"),
            (fitting(schema=7), "Its schema does not fit"),
            (
                fitting(schema={"type": "nonsense"}, __module__="other"),
                "Its schema does not fit: ValueError(\"'nonsense' is not valid",
            ),
            (fitting(options=("a",)), "Its options does not fit"),
            (fitting(options=(cfg.IntOpt("a"), cfg.StrOpt("a"))), "Its options does not fit"),
            (fitting(name="other"), "Its name is not the one of its entry point"),
            (type("Other", (), {}), "It is no subclass of"),
            (fitting, "It is no subclass of"),
        ):
            with self.subTest(why):
                self.assertIn(why, entry_points.misfit("one", plugin, Base) or "")

    def test_methods_of_a_protocol(self) -> None:
        reader = type("Reader", (), {"read": lambda self: None})
        self.assertIsNone(entry_points.misfit("one", reader, Shape))
        self.assertEqual("It has no read.", entry_points.misfit("one", fitting(), Shape))

    def test_a_function(self) -> None:
        self.assertIsNone(entry_points.misfit("one", fitting, Callable))
        self.assertEqual("It cannot be called.", entry_points.misfit("one", 7, Callable))

    def test_each_that_is_left_out_is_named_and_the_others_work(self) -> None:
        errors = {
            "three": ImportError("no such module"),
            "four": SystemExit(3),
            "five": AssertionError(),
        }
        self.useFixture(Installed({"n": {"two": 7, "one": fitting(), **errors}}))
        fit, unfit = entry_points.survey("n", Base)
        self.assertEqual(["one"], list(fit))
        self.assertEqual({"two", "three", "four", "five"}, unfit.keys())
        with mock.patch.object(entry_points.LOG, "error") as error:
            self.assertEqual(fit, entry_points.load("n", Base))
        said = [call.args[0] % call.args[1:] for call in error.call_args_list]
        self.assertIn(
            "Plug-in three of n is left out: It does not load: ImportError('no such module').", said
        )

    def test_of_two_with_one_name_the_first_is_used(self) -> None:
        own = next(each for each in entry_points.installed("watcher_actions") if each.name == "nop")
        other = fitting(name="nop", description="Another one.")
        self.useFixture(Installed({"watcher_actions": {"nop": other}}, beside=True))
        fit, unfit = entry_points.survey("watcher_actions", object)
        self.assertIs(own.load(), fit["nop"])
        self.assertEqual({"nop": "other:nop has the name of another one, which is used."}, unfit)
