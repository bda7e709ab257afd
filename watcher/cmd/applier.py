# SPDX-License-Identifier: Apache-2.0
"""watcher-applier: executes action plans."""

from watcher.cmd import process


class ApplierProcess(process.ServiceProcess):
    name = "watcher-applier"

    def build(self, parts: process.Parts) -> process.Startable:
        from watcher.applier.service import Applier
        from watcher.rpc import doorbell

        engine = doorbell.decision_engine(self.conf, parts.transport)
        return Applier(
            self.conf, parts.database, parts.cloud, engine, parts.notifications, parts.transport
        )


def main() -> None:
    process.main(ApplierProcess)
