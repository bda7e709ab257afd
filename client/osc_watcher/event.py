# SPDX-License-Identifier: Apache-2.0
"""openstack optimize webhook event list, show, replay: the events of a webhook."""

import argparse
import uuid
from typing import Any
from urllib.parse import unquote, urlsplit

from watcherclient import exceptions
from watcherclient.common.apiclient.exceptions import Forbidden

from osc_watcher import commands
from osc_watcher.api import Api
from osc_watcher.commands import Field, pairs, structure

_SHORT = (
    Field("UUID", "uuid"),
    Field("Received At", "received_at"),
    Field("Source", "source"),
    Field("Alarm Name", "alarm_name"),
    Field("Decision", "decision"),
    Field("Decision Reason", "decision_reason"),
)
_LISTED = (
    Field("UUID", "uuid"),
    Field("Received At", "received_at"),
    Field("Source", "source"),
    Field("Alarm Name", "alarm_name"),
    Field("Alarm ID", "alarm_id"),
    Field("Severity", "severity"),
    Field("Previous State", "previous_state"),
    Field("Current State", "current_state"),
    Field("Reason", "reason"),
    Field("Request ID", "request_id"),
    Field("Decision", "decision"),
    Field("Decision Reason", "decision_reason"),
    Field("Deliveries", "deliveries"),
    Field("Replay Of", "replay_of"),
    Field("Parameters", "parameters", pairs),
    Field("Run", "run_uuid"),
    Field("Action Plan", "action_plan_uuid"),
)
FULL = (*_LISTED, Field("Payload", "payload", structure))


class ListEvent(commands.Lister):
    """List what came to a webhook, newest first, and what became of it."""

    SHORT, FULL, ITEM = _SHORT, _LISTED, "event"

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser = super().get_parser(prog_name)
        commands.add_audit(parser)
        parser.add_argument(
            "--decision",
            metavar="<decision>",
            help="Only events with this decision: ACCEPTED, QUEUED, COALESCED, IGNORED, REJECTED.",
        )
        parser.add_argument(
            "--source",
            metavar="<source>",
            help="Only events of this kind: aodh, alertmanager, grafana, cloudevents, generic.",
        )
        parser.add_argument(
            "--since", metavar="<time>", help="Only events from this time on, ISO 8601, UTC."
        )
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.listed(
            parsed_args,
            "webhooks",
            parsed_args.audit,
            "events",
            decision=parsed_args.decision,
            source=parsed_args.source,
            since=parsed_args.since,
        )


class ShowEvent(commands.ShowOne):
    """Show an event with its message."""

    FIELDS = FULL

    def get_parser(self, prog_name: str) -> argparse.ArgumentParser:
        parser: argparse.ArgumentParser = super().get_parser(prog_name)
        commands.add_audit(parser)
        parser.add_argument("event", metavar="<event>", help="UUID of the event.")
        return parser

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        return self.shown(self.api.get("webhooks", parsed_args.audit, "events", parsed_args.event))


class ReplayEvent(ShowEvent):
    """Send the message of an event once more, and show the event that this makes.

    It is decided by the settings of now.
    """

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        answer, _ = self.api.send(
            "POST",
            "webhooks",
            parsed_args.audit,
            "events",
            parsed_args.event,
            "replay",
            # The client repeats a request without an answer; that must not make a second event.
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
        return self.shown(made(self.api, answer))


def made(api: Api, answer: Any) -> Any:
    """The event that a message became, or its UUID alone.  CommandError if it has none."""
    location = answer.headers.get("Location")
    if not location:
        raise exceptions.CommandError(
            "The message was accepted, and counted without an event of its own: too many came "
            "within a minute. See the counts of webhook show."
        )
    audit, _, event = map(unquote, urlsplit(location).path.split("/")[-3:])
    try:
        return api.get("webhooks", audit, "events", event)
    except Forbidden:  # the right to trigger does not include the right to read events
        return {"uuid": event}
