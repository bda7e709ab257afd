# SPDX-License-Identifier: Apache-2.0
"""watcher-status: whether an upgrade can go ahead."""

import sys

from oslo_config import cfg
from oslo_upgradecheck import common_checks, upgradecheck
from oslo_upgradecheck.upgradecheck import Code, Result

from watcher import conf as watcher_conf
from watcher.cmd import exposure
from watcher.db import migration
from watcher.db.session import Database


class Checks(upgradecheck.UpgradeCommands):
    """What ``watcher-status upgrade check`` looks at."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf
        self._upgrade_checks = (
            (
                "Policy File JSON to YAML Migration",
                (common_checks.check_policy_json, {"conf": conf}),
            ),
            ("Database Schema", Checks._schema),
            ("Open Webhooks", Checks._open_webhooks),
        )

    def _schema(self) -> Result:
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

    def _open_webhooks(self) -> Result:
        sentence = exposure.warning(self._conf)
        return Result(Code.WARNING, sentence) if sentence else Result(Code.SUCCESS)


def main() -> int:
    conf = cfg.ConfigOpts()
    watcher_conf.register(conf)
    return upgradecheck.main(conf, "watcher", Checks(conf), argv=sys.argv[1:])
