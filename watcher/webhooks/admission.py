# SPDX-License-Identifier: Apache-2.0
"""Whether an audit accepts an event: a pure function, with a named reason."""

import dataclasses
import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from watcher.common import schemas
from watcher.common.alarms import AUDIT_CANCELLED, AlarmMessage, WebhookFacts
from watcher.common.errors import Invalid
from watcher.common.states import AuditState, AuditType, Decision
from watcher.webhooks import credentials, expressions

WRONG_TYPE: Final = "wrong_type"
AUDIT_SUSPENDED: Final = "audit_suspended"
BAD_PARAMETERS: Final = "bad_parameters"
PAUSED: Final = "paused"
OUTSIDE_WINDOW: Final = "outside_window"
RESOLVED: Final = "resolved"
FILTERED: Final = "filtered"

REASONS_AGAINST: Final = {
    Decision.REJECTED: (WRONG_TYPE, AUDIT_CANCELLED, AUDIT_SUSPENDED, BAD_PARAMETERS),
    Decision.IGNORED: (PAUSED, OUTSIDE_WINDOW, RESOLVED, FILTERED),
}

MAX_PARAMETERS: Final = 64 * 1024
"""Characters of the parameters that one event may give, as JSON."""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """ACCEPTED, IGNORED or REJECTED."""

    decision: str
    reason: str | None = None
    sentence: str = ""
    parameters: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Strategy parameters that the event gives its run."""


def decide(facts: WebhookFacts, message: AlarmMessage, now: datetime.datetime) -> Verdict:
    """Whether an audit accepts an event *now*, and if not, the first reason against it."""
    try:
        reason, sentence = next(_objections(facts, message, now), ("", ""))
        if not reason:
            return Verdict(Decision.ACCEPTED, parameters=_parameters(facts, message))
        ignored = reason in REASONS_AGAINST[Decision.IGNORED]
        return Verdict(Decision.IGNORED if ignored else Decision.REJECTED, reason, sentence)
    except Invalid as error:
        return Verdict(Decision.REJECTED, BAD_PARAMETERS, str(error))


def _objections(
    facts: WebhookFacts, message: AlarmMessage, now: datetime.datetime
) -> Iterator[tuple[str, str]]:
    """Reason and sentence of each rule against the event, in the order of the rules."""
    if facts.audit_type != AuditType.EVENT:
        only = "Only audits of the type EVENT can be triggered"
        yield WRONG_TYPE, f"{only}; this one is {facts.audit_type}."
    if facts.state not in AuditState.TRIGGERABLE:
        suspended = facts.state == AuditState.SUSPENDED
        reason = AUDIT_SUSPENDED if suspended else AUDIT_CANCELLED
        yield reason, f"An audit that is {facts.state} cannot be triggered."
    if facts.paused:
        yield PAUSED, "The webhook is paused."
    if facts.start_time and now < facts.start_time:
        yield OUTSIDE_WINDOW, f"The audit begins at {facts.start_time} UTC."
    if facts.end_time and now >= facts.end_time:
        yield OUTSIDE_WINDOW, f"The audit has ended at {facts.end_time} UTC."
    if message.resolved:
        yield RESOLVED, "The message only says that alarms are over."
    if facts.filter and not expressions.holds(facts.filter, message.payload, "filter"):
        yield FILTERED, "The filter of the webhook does not hold for this payload."


def _parameters(facts: WebhookFacts, message: AlarmMessage) -> dict[str, Any]:
    """The parameters that the mapping finds in the payload."""
    if not facts.mapping:
        return {}
    if facts.auth == credentials.NONE:
        # The configured default may have changed since the mapping was set.
        raise Invalid("parameters: a webhook with auth none does not let its events set any.")
    taken = {
        name: expressions.value(expression, message.payload, f"parameters.{name}")
        for name, expression in sorted(facts.mapping.items())
    }
    mapped = {name: value for name, value in taken.items() if value is not None}
    if len(_json(mapped)) > MAX_PARAMETERS:
        raise Invalid(f"parameters: together they exceed {MAX_PARAMETERS} characters of JSON.")
    schemas.parameters(facts.schema, {**facts.own_parameters, **mapped})
    return mapped


def _json(mapped: Any) -> str:
    try:
        return json.dumps(mapped)
    except ValueError:  # such as a sum with more digits than Python writes
        raise Invalid("parameters: the value of an expression is not JSON.") from None
