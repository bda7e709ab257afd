# SPDX-License-Identifier: Apache-2.0
"""watcher-decision-engine: runs audits."""

from watcher.cmd import process


class EngineProcess(process.ServiceProcess):
    name = "watcher-decision-engine"

    def build(self) -> process.Startable:
        from watcher.decision_engine.service import DecisionEngine
        from watcher.rpc import doorbell

        applier = doorbell.applier(self.conf, self.transport)
        return DecisionEngine(
            self.conf,
            self.database,
            self.cloud,
            applier,
            self.notifications,
            self.transport,
            self.restart,
        )

    def run(self) -> None:
        from watcher.cmd import open_webhooks

        super().run()
        if not self.stopping.is_set():
            open_webhooks.warn(self.conf)


def main() -> None:
    process.main(EngineProcess)
