# SPDX-License-Identifier: Apache-2.0
"""watcher-status: whether an upgrade can go ahead, and what the cloud looks like."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

from oslo_config import cfg
from oslo_upgradecheck import common_checks, upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from watcher import conf as watcher_conf
from watcher import plugins
from watcher.cloud.openstack.versions import nova_version
from watcher.cmd import configuration, model_dump, open_webhooks, overview
from watcher.common.entry_points import survey
from watcher.common.errors import Invalid
from watcher.db import migration
from watcher.db.session import Database
from watcher.decision_engine.catalog import STRATEGIES, scoring_engines, why_unusable


class Checks(upgradecheck.UpgradeCommands):
    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._upgrade_checks = (
            ("Minimum Nova API Version", Checks.check_nova_version),
            (
                "Policy File JSON to YAML Migration",
                (common_checks.check_policy_json, {"conf": conf}),
            ),
            ("Database Schema", Checks.check_schema),
            ("Open Webhooks", Checks.check_open_webhooks),
            ("Plug-ins", Checks.check_plug_ins),
            ("Configuration Options", Checks.check_options),
            ("Policies", Checks.check_policies),
        )

    def check_nova_version(self) -> Result:
        try:
            nova_version(self._conf)
        except Invalid as error:
            return Result(Code.FAILURE, str(error))
        return Result(Code.SUCCESS)

    def check_schema(self) -> Result:
        database = Database(self._conf)
        try:
            present, wanted = migration.version(database), migration.head()
        finally:
            database.dispose()
        if present == wanted:
            return Result(Code.SUCCESS)
        return Result(
            Code.FAILURE,
            f"The database is at revision {present or 'none'} and has to be at {wanted}; "
            "run watcher-db-manage upgrade.",
        )

    def check_open_webhooks(self) -> Result:
        sentence = open_webhooks.warning(self._conf)
        return Result(Code.WARNING, sentence) if sentence else Result(Code.SUCCESS)

    def check_plug_ins(self) -> Result:
        unfit: dict[tuple[str, str], str] = {}

        def note(namespace: str, name: str, why: str) -> None:
            unfit[namespace, name] = f"Plug-in {name} of {namespace} is left out: {why}"

        found = {each: survey(each, kind) for each, kind in plugins.KINDS.items()}
        for namespace, (_, problems) in found.items():
            for name, why in problems.items():
                note(namespace, name, why)
        goals, planners = found["watcher_goals"].fit, found["watcher_planners"].fit
        for name, strategy in found[STRATEGIES].fit.items():
            if fault := why_unusable(strategy, goals, planners):
                note(STRATEGIES, name, fault)
        scoring_engines(note)
        return _warning([*unfit.values()])

    def check_options(self) -> Result:
        names = configuration.unknown(self._conf)
        if not names:
            return Result(Code.SUCCESS)
        # The files are of the former service, so its defaults may be relied on, too.
        found = configuration.sentence(names)
        unread = f"Nothing reads these {len(names)} options: {found}."
        return _warning([unread, *configuration.changed(self._conf)])

    def check_policies(self) -> Result:
        return _warning(configuration.policies_that_fail(self._conf))


def _warning(sentences: Sequence[str]) -> Result:
    return Result(Code.WARNING, " ".join(sentences)) if sentences else Result(Code.SUCCESS)


def main() -> int:
    conf = cfg.ConfigOpts()
    watcher_conf.register(conf)
    conf.register_cli_opt(cfg.SubCommandOpt("command", handler=_parsers(conf)))
    conf(sys.argv[1:], project="watcher")
    upgradecheck.CONF = conf  # where the check finds its --json
    return upgradecheck.run(conf)


def _parsers(conf: cfg.ConfigOpts) -> Callable[[Any], None]:
    def add(commands: Any) -> None:
        upgrade = commands.add_parser("upgrade", help="whether an upgrade can go ahead")
        upgrade.add_argument("check", choices=["check"])
        upgrade.add_argument("--json", action="store_true", help="the results as JSON")
        upgrade.set_defaults(action_fn=Checks(conf).check)
        model = commands.add_parser("model", help="save the cloud for a simulation")
        model.add_argument("dump", choices=["dump"])
        model.add_argument("--output", metavar="FILE", help="by default the standard output")
        model.add_argument(
            "--period",
            type=int,
            default=model_dump.PERIOD,
            metavar="SECONDS",
            help="over which metrics are aggregated, %(default)s by default",
        )
        model.set_defaults(action_fn=lambda: model_dump.run(conf))
        show = commands.add_parser("show", help="services, queue and plans, from the database")
        show.add_argument("--json", action="store_true", help="the same as JSON")
        show.set_defaults(action_fn=lambda: overview.run(conf))

    return add
