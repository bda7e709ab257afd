# SPDX-License-Identifier: Apache-2.0
"""openstack optimize webhook list, show: the webhooks of EVENT audits, with their settings."""

import argparse
from collections.abc import Mapping
from typing import Any

from osc_watcher import commands
from osc_watcher.commands import Field, pairs


def _secret(value: Mapping[str, bool] | None) -> str:
    if not value or not value["set"]:
        return "none"
    return "rotating" if value["rotating"] else "set"


_SHORT = (
    Field("Audit", "audit_uuid"),
    Field("Name", "audit_name"),
    Field("Auth", "auth"),
    Field("Secret", "secret", _secret),
    Field("Paused", "paused"),
    Field("URL", "url"),
)
_SETTINGS = (
    Field("Audit", "audit_uuid"),
    Field("Name", "audit_name"),
    Field("URL", "url"),
    Field("Auth", "auth"),
    Field("Auth Is Default", "auth_is_default"),
    Field("Secret", "secret", _secret),
    Field("Debounce", "debounce"),
    Field("Cooldown", "cooldown"),
    Field("Limits", "limits", pairs),
    Field("Filter", "filter"),
    Field("Parameters", "parameters", pairs),
    Field("Paused", "paused"),
    Field("Note", "note"),
    Field("Created At", "created_at"),
    Field("Updated At", "updated_at"),
)
FULL = (
    *_SETTINGS,
    Field("Counts", "counts", pairs),
    Field("Next Run Not Before", "next_run_not_before"),
    Field("Wait Reason", "wait_reason"),
    Field("Last Run", "last_run", pairs),
)


class ListWebhook(commands.Lister):
    """List the webhooks of EVENT audits."""

    SHORT, FULL, ITEM = _SHORT, _SETTINGS, "audit"

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.listed(parsed_args, "webhooks")


class ShowWebhook(commands.ShowOne):
    """Show the settings of a webhook, the number of its events, and its next and last run."""

    FIELDS = FULL

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        commands.add_audit(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.shown(self.api.get("webhooks", parsed_args.audit))
