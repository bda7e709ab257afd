# SPDX-License-Identifier: Apache-2.0
"""Lets a real aodh post to the webhooks of a real Watcher, with each kind of credential.

Makes an EVENT audit and an event alarm for each way, lets an event happen, and looks at what
Watcher recorded; then the event happens again, because the alarms repeat their actions.  Everything
that it makes is removed at the end.

    eval "$(lab env)"
    python tools/check_aodh.py --emit 'emit-event {}'

The OS_* variables name the cloud and a user with the role admin.  The command after --emit sends
aodh an event of the type that replaces {}.
"""

import argparse
import contextlib
import dataclasses
import secrets
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from keystoneauth1 import loading
from keystoneauth1.session import Session

_TIMEOUT = 60.0


@dataclasses.dataclass(frozen=True)
class AodhAuth:
    """How aodh authenticates, and the number of events that are recorded of two messages."""

    auth: str
    action: Callable[[str, str], str]
    """The URL of the webhook and its secret -> the alarm's action."""
    events: int = 2


def _with_password(url: str, secret: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"aodh:{secret}@{parts.netloc}").geturl()


AUTHS: Mapping[str, AodhAuth] = {
    "http": AodhAuth("none", lambda url, secret: url),
    "password": AodhAuth("secret", _with_password),
    "token": AodhAuth("secret", lambda url, secret: f"{url}?token={secret}"),
    "wrong-token": AodhAuth("secret", lambda url, secret: f"{url}?token=x{secret}", events=0),
    "no-token": AodhAuth("secret", lambda url, secret: url, events=0),
    "trust": AodhAuth("keystone", lambda url, secret: f"trust+{url}"),
    "no-trust": AodhAuth("keystone", lambda url, secret: url, events=0),
}


class Cloud:
    """aodh and Watcher, with the credentials of one user."""

    def __init__(self, session: Session, watcher: str | None) -> None:
        self._session = session
        self.watcher = (watcher or session.get_endpoint(service_type="infra-optim")).rstrip("/")
        self._aodh = session.get_endpoint(service_type="alarming").rstrip("/")

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer of Watcher to a request."""
        answer = self._session.request(f"{self.watcher}/v1/{path}", method, json=body)
        return answer.json() if answer.content else None

    @contextlib.contextmanager
    def audit(self, name: str, auth: AodhAuth) -> Iterator[tuple[str, str]]:
        """An EVENT audit whose webhook requires a secret: its UUID and the secret."""
        values = {"name": name, "audit_type": "EVENT", "goal": "dummy", "strategy": "dummy"}
        uuid = self.ask("POST", "audits", values)["uuid"]
        try:
            secret = self.ask("POST", f"webhooks/{uuid}/secret")["secret"]
            change = [{"op": "replace", "path": "/auth", "value": auth.auth}]
            self.ask("PATCH", f"webhooks/{uuid}", change)
            yield uuid, secret
        finally:
            if self.ask("GET", f"audits/{uuid}")["state"] in ("PENDING", "ONGOING"):
                change = [{"op": "replace", "path": "/state", "value": "CANCELLED"}]
                self.ask("PATCH", f"audits/{uuid}", change)
            self.ask("DELETE", f"audits/{uuid}")

    @contextlib.contextmanager
    def alarm(self, name: str, event_type: str, action: str) -> Iterator[None]:
        values = {
            "name": name,
            "type": "event",
            "event_rule": {"event_type": event_type},
            "alarm_actions": [action],
            "repeat_actions": True,
        }
        alarm_id = self._session.post(f"{self._aodh}/v2/alarms", json=values).json()["alarm_id"]
        try:
            yield
        finally:
            self._session.delete(f"{self._aodh}/v2/alarms/{alarm_id}")

    def events(self, uuid: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"webhooks/{uuid}/events")["events"]
        return found


def check(cloud: Cloud, emit: str) -> bool:
    """Whether each kind of auth gave the expected result."""
    number = secrets.token_hex(4)
    event_type = f"watcher.check.{number}"
    with contextlib.ExitStack() as made:
        uuids = {}
        for name, auth in AUTHS.items():
            called = f"check-{name}-{number}"
            uuid, secret = made.enter_context(cloud.audit(called, auth))
            action = auth.action(f"{cloud.watcher}/v1/webhooks/{uuid}", secret)
            made.enter_context(cloud.alarm(called, event_type, action))
            uuids[name] = uuid
        for messages in (1, 2):
            subprocess.run(shlex.split(emit.format(event_type)), check=True, capture_output=True)
            _wait_for_events(cloud, uuids, messages)
        # Messages that must not arrive would have arrived by now, because aodh posts one after the
        # other.
        return all([_judge(cloud, name, uuids[name]) for name in AUTHS])


def _wait_for_events(cloud: Cloud, uuids: Mapping[str, str], messages: int) -> None:
    end = time.monotonic() + _TIMEOUT
    while time.monotonic() < end and any(
        len(cloud.events(uuids[name])) < min(messages, auth.events) for name, auth in AUTHS.items()
    ):
        time.sleep(0.5)


def _judge(cloud: Cloud, name: str, uuid: str) -> bool:
    way, events = AUTHS[name], cloud.events(uuid)
    right = len(events) == way.events and all(
        event["source"] == "aodh"
        and event["current_state"] == "alarm"
        and event["request_id"].startswith("req-")
        and event["run_uuid"]
        for event in events
    )
    decisions = ", ".join(event["decision"] for event in reversed(events)) or "nothing recorded"
    print(f"{'as it should' if right else 'WRONG':13}{name:13}auth {way.auth:10}{decisions}")
    return right


def main() -> int:
    description, _, epilog = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=epilog, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--emit", required=True, metavar="COMMAND")
    parser.add_argument("--watcher", metavar="URL", help="instead of the one of the catalog")
    loading.register_auth_argparse_arguments(parser, sys.argv[1:], default="password")
    loading.register_session_argparse_arguments(parser)
    arguments = parser.parse_args()
    session = loading.load_session_from_argparse_arguments(
        arguments, auth=loading.load_auth_from_argparse_arguments(arguments)
    )
    return 0 if check(Cloud(session, arguments.watcher), arguments.emit) else 1


if __name__ == "__main__":
    sys.exit(main())
