# SPDX-License-Identifier: Apache-2.0
"""Tripwires: what stands in two places of the repository stays the same in both."""

import ast
import configparser
import pathlib
import re
import runpy
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version

from oslo_config import cfg, generator
from oslo_policy.policy import DocumentedRuleDefault

import watcher
from watcher import conf as watcher_conf
from watcher import policies
from watcher.common import entry_points
from watcher.decision_engine.strategies.base import Strategy
from watcher.tests import base

ROOT = pathlib.Path(watcher.__file__).parents[1]

BUILD_ONLY = {"pbr"}
"""Required, and never imported by the code."""


def _name(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]).lower()


def _names(*paths: str) -> set[str]:
    """The distributions that requirements files name."""
    return {
        _name(line)
        for path in paths
        for line in (ROOT / path).read_text().splitlines()
        if line and not line.startswith("#")
    }


def _anonymous(text: str) -> str:
    """*text* with all placeholders in paths alike."""
    return re.sub(r"\{\w+\}", "{}", text)


def _sources() -> list[pathlib.Path]:
    sources = sorted((ROOT / "watcher").rglob("*.py"))
    return [path for path in sources if "tests" not in path.relative_to(ROOT).parts]


def _imported(path: pathlib.Path) -> set[str]:
    """The top-level modules that a file imports, in functions too."""
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules.add(node.module)
    return {module.partition(".")[0] for module in modules}


DRIVERS = {"psycopg2-binary", "pymysql"}
"""Extras of this distribution: whoever has such a database installs one."""


class TestRequirements(base.TestCase):
    def test_what_is_imported_is_what_is_required(self) -> None:
        modules = set().union(*map(_imported, _sources()))
        modules -= {*sys.stdlib_module_names, "watcher"}
        distributions = packages_distributions()
        # Python 3.10 misses distributions that declare no top level; theirs is their name.
        imported = {_name(distributions.get(module, [module])[0]) for module in modules}
        # Drivers are asked for their own settings by the code that is for them.
        self.assertEqual(_names("requirements.txt") - BUILD_ONLY, imported - DRIVERS)

    def test_what_is_required_is_pinned(self) -> None:
        required = _names("requirements.txt", "test-requirements.txt", "doc/requirements.txt")
        self.assertEqual(set(), required - _names("constraints.txt"))


def _rows_that_end_early(page: pathlib.Path) -> Iterator[str]:
    """Rows of simple tables without a last cell; one that is empty on purpose has a dash."""
    ruler = r" *=+(?: +=+)+\n"
    tables = re.findall(rf"(?m)^{ruler}(?:.+\n)*?(?=^{ruler})", page.read_text())
    for ruler, *rows in (table.splitlines() for table in tables):
        first, last = ruler.index("="), ruler.rindex(" =") + 1
        for row in rows:
            if row[first : first + 1].strip() and not row[last:].strip():
                yield row


class TestDocumentation(base.TestCase):
    def test_it_is_of_the_version_that_is_installed(self) -> None:
        settings = runpy.run_path(str(ROOT / "doc/source/conf.py"))
        self.assertEqual(version("python-watcher"), settings["version"])
        self.assertIs(False, settings["openstackdocs_auto_version"])

    def test_no_row_of_a_table_goes_on_in_the_next(self) -> None:
        """A second line in the first column is a row of its own, whose other cells are empty."""
        pages = [*ROOT.glob("*.rst"), *ROOT.glob("*/source/**/*.rst")]
        broken = [(page.name, row) for page in pages for row in _rows_that_end_early(page)]
        self.assertEqual([], broken)

    def test_every_command_has_its_paragraph(self) -> None:
        setup = configparser.ConfigParser()
        setup.read(ROOT / "setup.cfg")
        scripts = setup["entry_points"]["console_scripts"].split("\n")
        commands = {line.partition(" ")[0] for line in scripts if line}
        page = (ROOT / "doc/source/cli/index.rst").read_text()
        self.assertEqual(set(), {name for name in commands if f"``{name}" not in page})

    def test_every_command_of_the_client_has_its_paragraph(self) -> None:
        points = re.findall(
            r"^optimize_(\w+) =", (ROOT / "client/pyproject.toml").read_text(), re.M
        )
        page = (ROOT / "doc/source/cli/client.rst").read_text()
        missing = {name for name in points if f"``{name.replace('_', ' ')}" not in page}
        self.assertEqual((15, set()), (len(points), missing))

    def test_every_operation_is_in_the_reference(self) -> None:
        pages = (path.read_text() for path in (ROOT / "api-ref/source").glob("*.rst"))
        reference = _anonymous("".join(pages))
        operations = [
            (operation["method"] + " " if operation["method"] != "GET" else "") + operation["path"]
            for rule in policies.list_rules()
            if isinstance(rule, DocumentedRuleDefault)
            for operation in rule.operations
        ]
        missing = {name for name in operations if f"{_anonymous(name)}``" not in reference}
        self.assertEqual(set(), missing)

    def test_every_strategy_has_its_page_with_all_parameters(self) -> None:
        missing = []
        for name, strategy in entry_points.load("watcher_strategies", Strategy).items():
            page = ROOT / f"doc/source/user/strategies/{name}.rst"
            text = page.read_text() if page.exists() else ""
            wanted = [name, *strategy.schema.get("properties", {})]
            missing += [f"{name}: {word}" for word in wanted if word not in text]
        self.assertEqual([], missing)

    def test_the_choice_of_strategies_has_each_with_its_goal(self) -> None:
        table = (ROOT / "doc/source/user/strategies/index.rst").read_text()
        rows = re.findall(r"- :doc:`(\w+)`\n +- ``(\w+)``", table)
        loaded = entry_points.load("watcher_strategies", Strategy)
        self.assertEqual({name: loaded[name].goal for name, _ in rows}, dict(rows))
        self.assertEqual(set(), {name for name in loaded if f":doc:`{name}`" not in table})

    def test_every_option_has_its_help(self) -> None:
        silent = [
            option.name
            for _group, options in watcher_conf.list_opts()
            for option in options
            if not option.help
        ]
        self.assertEqual([], silent)

    def test_the_configuration_sample_can_be_made(self) -> None:
        sample = pathlib.Path(self.directory, "watcher.conf.sample")
        conf = cfg.ConfigOpts()
        generator.register_cli_opts(conf)
        config_file = ROOT / "etc/watcher/oslo-config-generator.conf"
        conf(["--config-file", str(config_file), "--output-file", str(sample)])
        generator.generate(conf)
        self.assertIn("#lease_duration = 30", sample.read_text())


class TestLicence(base.TestCase):
    def test_every_file_names_it(self) -> None:
        line = "# SPDX-License-Identifier: Apache-2.0"
        silent = [
            str(path.relative_to(ROOT))
            for path in (ROOT / "watcher").rglob("*.py")
            if not path.read_text().startswith(line)
        ]
        self.assertEqual([], silent)
