# SPDX-License-Identifier: Apache-2.0
"""watcher-applier: executes action plans."""

from watcher.cmd import process


class ApplierProcess(process.ServiceProcess):
    name = "watcher-applier"

    def build(self) -> process.Startable:
        from watcher.applier.service import Applier
        from watcher.rpc import doorbell

        engine = doorbell.decision_engine(self.conf, self.transport)
        return Applier(
            self.conf, self.database, self.cloud, engine, self.notifications, self.transport
        )


def main() -> None:
    process.main(ApplierProcess)
