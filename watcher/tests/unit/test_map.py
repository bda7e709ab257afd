# SPDX-License-Identifier: Apache-2.0
"""The architecture page names what exists, log lines have ids, functions and files are short."""

import ast
import functools
import pathlib
import re
from collections.abc import Iterator

import watcher
from watcher.tests import base

SOURCES = pathlib.Path(watcher.__file__).parent
PAGE = SOURCES.parent / "doc" / "source" / "contributor" / "architecture.rst"
OUTSIDE = {
    "alembic",
    "lint-imports",
    "pecan",
    "tox -e lint",
}
"""Words that are not in the code of Watcher."""

PLUG_INS = {"Action", "Goal", "ScoringEngine", "Strategy"}
"""Plug-ins whose rows have the same name; the glossary says so."""

MAX_FUNCTION, MAX_FILE = 40, 400
"""Lines."""

KNOWN = {"audit", "audit_id", "run", "run_id", "plan", "plan_id", "action", "row"}
"""Names of parameters that are an audit, a run, a plan or an action, or the id of one."""
NAMING = {*KNOWN, "context", "lost"}
"""What a log line names them by; ``context`` and ``lost`` are texts with their ids."""


def _modules() -> Iterator[pathlib.Path]:
    for path in sorted(SOURCES.rglob("*.py")):
        if "tests" not in path.relative_to(SOURCES).parts:
            yield path


@functools.cache
def _words() -> frozenset[str]:
    """All words of the code, the names of modules, and the options and tables."""
    words = {path.stem for path in _modules()}
    for path in _modules():
        words.update(re.findall(r"\w+", path.read_text()))
    return frozenset(words)


@functools.cache
def _paths() -> frozenset[str]:
    """Every file and folder of the code, and every end of its path."""
    ends = set()
    for path in [*SOURCES.rglob("*/"), *SOURCES.rglob("*.py")]:
        parts = path.relative_to(SOURCES).parts
        ends |= {"/".join(parts[first:]) for first in range(len(parts))}
    return frozenset(ends)


def _exists(name: str) -> bool:
    if name in OUTSIDE or (SOURCES.parent / name).exists():
        return True
    if name.endswith((".py", "/")):
        return name.strip("/") in _paths()
    return all(word in _words() for word in re.findall(r"\w+", name))


def _rows() -> list[str]:
    """Each row of "To change X, do Y" on one line."""
    table = PAGE.read_text().partition("To change X, do Y")[2].partition("Wiring\n")[0]
    body = re.split(r"^=+  =+\n", table, flags=re.MULTILINE)[2]
    rows: list[str] = []
    for line in body.splitlines():
        if line.startswith(" "):
            rows[-1] += f" {line.strip()}"
        else:
            rows.append(line)
    return rows


class ArchitectureTest(base.TestCase):
    def test_what_the_page_names_exists(self) -> None:
        names = re.findall(r"``([^`]+)``", PAGE.read_text())
        names = [name for name in names if not re.search(r"[ {]|^GET|^POST", name)]
        self.assertGreater(len(names), 100)
        self.assertEqual([], [name for name in names if not _exists(name)])

    def test_what_the_glossary_names_exists(self) -> None:
        rules = (SOURCES.parent / "HACKING.rst").read_text()
        terms = rules.partition("\nTerms\n")[2].partition("\nNames and shape\n")[0]
        names = re.findall(r"``([^`]+)``", terms)
        self.assertGreater(len(names), 20)
        self.assertEqual([], [name for name in names if not _exists(name)])

    def test_every_package_has_its_floor(self) -> None:
        floors = PAGE.read_text().partition("The floors\n")[2].partition("From an alarm")[0]
        packages = {path.parent.name for path in SOURCES.glob("*/__init__.py")} - {"tests"}
        self.assertEqual(packages, packages & set(re.findall(r"``(\w+)``", floors)))

    def test_every_row_of_what_to_change_names_a_place(self) -> None:
        rows = _rows()
        self.assertGreater(len(rows), 15)
        for row in rows:
            places = re.findall(r"``([\w/]+(?:\.py|/)|setup\.cfg)``", row)
            self.assertTrue(places and all(map(_exists, places)), row)


class LogTest(base.TestCase):
    """A function that knows an audit, a run or a plan names it in what it logs."""

    def test_lines_carry_ids(self) -> None:
        checked, anonymous = 0, []
        for path in _modules():
            for function in ast.walk(ast.parse(path.read_text())):
                if isinstance(function, ast.FunctionDef) and _parameters(function) & KNOWN:
                    calls = list(_log_calls(function))
                    checked += len(calls)
                    anonymous += [
                        f"{path.relative_to(SOURCES)}:{call.lineno}"
                        for call in calls
                        if not _names(call) & NAMING
                    ]
        self.assertGreater(checked, 20)
        self.assertEqual([], anonymous)


def _parameters(function: ast.FunctionDef) -> set[str]:
    return {argument.arg for argument in function.args.args}


def _log_calls(function: ast.FunctionDef) -> Iterator[ast.Call]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("LOG."):
            yield node


def _names(call: ast.Call) -> set[str]:
    arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
    nodes = (node for argument in arguments for node in ast.walk(argument))
    return {node.id for node in nodes if isinstance(node, ast.Name)}


class NameTest(base.TestCase):
    """One name, one thing."""

    def test_no_two_classes_share_a_name(self) -> None:
        places: dict[str, list[str]] = {}
        for path in _modules():
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places.setdefault(node.name, []).append(str(path.relative_to(SOURCES)))
        shared = {name: found for name, found in places.items() if len(found) > 1}
        self.assertEqual([], [item for item in shared.items() if item[0] not in PLUG_INS])


class LengthTest(base.TestCase):
    """A function fits on a screen, and a file is one concept."""

    def test_functions_and_files_are_short(self) -> None:
        long: list[str] = []
        root = SOURCES.parent
        for path in [*_modules(), *root.glob("tools/**/*.py"), *root.glob("client/**/*.py")]:
            if path.parent.name == "versions":  # revisions never change
                continue
            text, name = path.read_text(), str(path.relative_to(root))
            long += [name] if text.count("\n") > MAX_FILE else []
            long += [
                f"{name}: {node.name}"
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef)
                and (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION
            ]
        self.assertEqual([], long)
