# SPDX-License-Identifier: Apache-2.0
"""openstack optimize webhook set, unset: the settings of a webhook, each an option."""

import argparse
from collections.abc import Iterable
from typing import Any

from watcherclient import exceptions

from osc_watcher import commands
from osc_watcher.webhook import FULL

_PATHS = {
    "auth": "/auth",
    "debounce": "/debounce",
    "cooldown": "/cooldown",
    "max_actions": "/limits/max_actions",
    "max_plans_per_hour": "/limits/max_plans_per_hour",
    "min_efficacy": "/limits/min_efficacy",
    "filter": "/filter",
    "paused": "/paused",
    "note": "/note",
}


class _Change(commands.ShowOne):
    FIELDS = FULL

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        commands.add_audit(parser)
        return parser

    def changed(self, audit: str, operations: Iterable[dict[str, Any]]) -> Any:
        patch = list(operations)
        if not patch:
            raise exceptions.CommandError("Nothing to change: name a setting; see --help.")
        return self.shown(self.api.patch("webhooks", audit, body=patch))


_NUMBERS = (
    ("--debounce", "<seconds>", int, "Seconds from the first event to its run."),
    (
        "--cooldown",
        "<seconds>",
        int,
        "Seconds from the end of a run and its action plan to the next run.",
    ),
    (
        "--max-actions",
        "<number>",
        int,
        "Actions that a plan has at most, the best ones, if it starts by itself.",
    ),
    ("--max-plans-per-hour", "<number>", int, "Plans that start by themselves within an hour."),
    (
        "--min-efficacy",
        "<percent>",
        float,
        "Gain below which a plan does not start by itself.",
    ),
)
"""Option, unit, type and help of the settings that are numbers."""


class SetWebhook(_Change):
    """Change settings of a webhook.

    Runs that are waiting already do not change.
    """

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        parser.add_argument(
            "--auth",
            choices=["none", "secret", "keystone"],
            help="What alarm services need to post. secret needs one, see webhook secret create.",
        )
        for name, unit, kind, sentence in _NUMBERS:
            parser.add_argument(name, metavar=unit, type=kind, help=sentence)
        parser.add_argument(
            "--filter",
            metavar="<expression>",
            help="JMESPath; events for whose message it is not true are ignored.",
        )
        parser.add_argument(
            "--parameter",
            metavar="<name=expression>",
            dest="parameters",
            action="append",
            default=[],
            help="Take a parameter of the strategy from the message, by JMESPath (repeat "
            "option for several parameters).",
        )
        pausing = parser.add_mutually_exclusive_group()
        pausing.add_argument(
            "--pause",
            dest="paused",
            action="store_true",
            default=None,
            help="Store events and ignore them.",
        )
        pausing.add_argument(
            "--resume", dest="paused", action="store_false", help="Act on events again."
        )
        parser.add_argument("--note", metavar="<text>", help="A sentence for other operators.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        operations = [
            {"op": "replace", "path": path, "value": getattr(parsed_args, name)}
            for name, path in _PATHS.items()
            if getattr(parsed_args, name) is not None
        ]
        for text in parsed_args.parameters:
            name, expression = commands.pair(text, "<name=expression>")
            operations.append({"op": "add", "path": _parameter(name), "value": expression})
        return self.changed(parsed_args.audit, operations)


class UnsetWebhook(_Change):
    """Reset settings of a webhook to their defaults."""

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        for name in _PATHS:
            if name != "paused":
                parser.add_argument(
                    f"--{name.replace('_', '-')}",
                    action="store_true",
                    help=f"The default of {name.replace('_', ' ')}.",
                )
        parser.add_argument(
            "--parameter",
            metavar="<name>",
            dest="parameters",
            action="append",
            default=[],
            help="Do not take this parameter from messages (repeat option for several).",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        paths = [path for name, path in _PATHS.items() if getattr(parsed_args, name, False)]
        paths += map(_parameter, parsed_args.parameters)
        return self.changed(parsed_args.audit, ({"op": "remove", "path": path} for path in paths))


def _parameter(name: str) -> str:
    return "/parameters/" + name.replace("~", "~0").replace("/", "~1")
