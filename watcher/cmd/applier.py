# SPDX-License-Identifier: Apache-2.0
"""watcher-applier: carries action plans out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watcher.cmd import process

if TYPE_CHECKING:
    from watcher.cloud import Cloud
    from watcher.db.session import Database
    from watcher.notifications import Notifications


class ApplierProcess(process.ServiceProcess):
    name = "watcher-applier"

    def build(
        self, database: Database, cloud: Cloud, notifications: Notifications, transport: Any
    ) -> process.Startable:
        from watcher.applier.service import Applier
        from watcher.rpc import doorbell

        engine = doorbell.decision_engine(self.conf, transport)
        return Applier(self.conf, database, cloud, engine, notifications, transport)


def main() -> None:
    process.main(ApplierProcess)
