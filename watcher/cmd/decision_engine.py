# SPDX-License-Identifier: Apache-2.0
"""watcher-decision-engine: runs audits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from watcher.cmd import process

if TYPE_CHECKING:
    from watcher.cloud import Cloud
    from watcher.db.session import Database
    from watcher.notifications import Notifications


class EngineProcess(process.ServiceProcess):
    name = "watcher-decision-engine"

    def build(
        self, database: Database, cloud: Cloud, notifications: Notifications, transport: Any
    ) -> process.Startable:
        from watcher.decision_engine.service import DecisionEngine
        from watcher.rpc import doorbell

        applier = doorbell.applier(self.conf, transport)
        return DecisionEngine(
            self.conf, database, cloud, applier, notifications, transport, self.restart
        )

    def run(self) -> None:
        from watcher.cmd import open_webhooks

        super().run()
        if not self.stopping.is_set():
            open_webhooks.warn(self.conf)


def main() -> None:
    process.main(EngineProcess)
