# SPDX-License-Identifier: Apache-2.0
"""openstack optimize webhook secret create, delete."""

import argparse
from typing import Any

from osc_watcher import commands
from osc_watcher.commands import Field


class CreateSecret(commands.ShowOne):
    """Make a secret for a webhook, and show it this once only.

    The previous secret stays valid until "webhook secret delete". The webhook requires a secret
    only after "webhook set --auth secret".
    """

    FIELDS = (Field("Secret", "secret"),)

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        commands.add_audit(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.shown(self.api.post("webhooks", parsed_args.audit, "secret"))


class DeleteSecret(commands.Command):
    """End the rotation of a webhook's secret: delete the previous one."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        commands.add_audit(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        self.api.delete("webhooks", parsed_args.audit, "secret")
