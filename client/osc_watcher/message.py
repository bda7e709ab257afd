# SPDX-License-Identifier: Apache-2.0
"""openstack optimize webhook preview, trigger: messages that a person sends."""

import argparse
import os
import sys
from typing import Any

from watcherclient import exceptions

from osc_watcher import commands, event
from osc_watcher.commands import Field, pairs, structure

_SECRET = "OS_WATCHER_WEBHOOK_SECRET"


def _add_message(parser: argparse.ArgumentParser) -> None:
    commands.add_audit(parser)
    message = parser.add_mutually_exclusive_group()
    message.add_argument("--data", metavar="<json>", help="The message. Default is an empty one.")
    message.add_argument(
        "--file", metavar="<file>", help="File with the message; - is the standard input."
    )
    parser.add_argument(
        "--header",
        metavar="<name: value>",
        dest="headers",
        action="append",
        default=[],
        help="Header that the alarm service would send (repeat option for several headers).",
    )


def _body(parsed_args: argparse.Namespace) -> bytes:
    if parsed_args.file == "-":
        return sys.stdin.buffer.read()
    if parsed_args.file:
        try:
            with open(os.path.expanduser(parsed_args.file), "rb") as file:
                return file.read()
        except OSError as error:
            raise exceptions.CommandError(f"--file: {error}") from None
    return (parsed_args.data or "").encode()


def _headers(parsed_args: argparse.Namespace) -> dict[str, str]:
    """Headers by names in one spelling, so that each replaces the header of the client."""
    given = (commands.pair(text, "<name: value>", ":") for text in parsed_args.headers)
    return {name.title(): value for name, value in given}


class PreviewMessage(commands.ShowOne):
    """Show what a message would do, without doing it."""

    FIELDS = (
        Field("Decision", "decision"),
        Field("Reason", "reason"),
        Field("Sentence", "sentence"),
        Field("Repeated", "repeated"),
        Field("Would Join", "would_join"),
        Field("Not Before", "not_before"),
        Field("Parameters", "parameters", pairs),
        Field("Event", "event", structure),
    )

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        _add_message(parser)
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        _, preview = self.api.send(
            "POST",
            "webhooks",
            parsed_args.audit,
            "preview",
            data=_body(parsed_args),
            headers=_headers(parsed_args),
        )
        return self.shown(preview)


class TriggerWebhook(commands.ShowOne):
    """Trigger an EVENT audit as an alarm service does, and show the event that this makes."""

    FIELDS = event.FULL

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        _add_message(parser)
        parser.add_argument(
            "--secret",
            metavar="<secret>",
            default=os.environ.get(_SECRET),
            help=f"Secret of the webhook, if it asks for one (Env: {_SECRET}).",
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        headers = _headers(parsed_args)
        if parsed_args.secret:
            headers["Authorization"] = f"Bearer {parsed_args.secret}"
        answer, _ = self.api.send(
            "POST", "webhooks", parsed_args.audit, data=_body(parsed_args), headers=headers
        )
        return self.shown(event.made(self.api, answer))
