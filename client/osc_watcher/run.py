# SPDX-License-Identifier: Apache-2.0
"""openstack optimize webhook run list, show: the runs that events caused."""

import argparse
from collections.abc import Sequence
from typing import Any

from osc_watcher import commands
from osc_watcher.commands import Field, pairs


def _errors(value: Sequence[dict[str, Any]] | None) -> str:
    return "\n".join(
        f"attempt {each['attempt']}, {each['at']}: {each['error']}" for each in value or ()
    )


_SHORT = (
    Field("UUID", "uuid"),
    Field("State", "state"),
    Field("Wait Reason", "wait_reason"),
    Field("Started At", "started_at"),
    Field("Finished At", "finished_at"),
    Field("Action Plan", "action_plan_uuid"),
)
_FULL = (
    Field("UUID", "uuid"),
    Field("State", "state"),
    Field("Not Before", "not_before"),
    Field("Wait Reason", "wait_reason"),
    Field("Attempt", "attempt"),
    Field("Coalesced Count", "coalesced_count"),
    Field("Parameters", "parameters", pairs),
    Field("Engine", "engine"),
    Field("Created At", "created_at"),
    Field("Started At", "started_at"),
    Field("Finished At", "finished_at"),
    Field("Action Plan", "action_plan_uuid"),
    Field("Status Message", "status_message"),
    Field("Errors", "errors", _errors),
)


class ListRun(commands.Lister):
    """List the runs that events caused, newest first."""

    SHORT, FULL, ITEM = _SHORT, _FULL, "run"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        commands.add_audit(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.listed(parsed_args, "webhooks", parsed_args.audit, "runs")


class ShowRun(commands.ShowOne):
    """Show a run."""

    FIELDS = _FULL

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        commands.add_audit(parser)
        parser.add_argument("run", metavar="<run>", help="UUID of the run.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.shown(self.api.get("webhooks", parsed_args.audit, "runs", parsed_args.run))
