# SPDX-License-Identifier: Apache-2.0
"""The limits of plans that a webhook starts; a plan that exceeds them waits for a person."""

import dataclasses
import datetime
from collections.abc import Iterator
from typing import Final

from oslo_config import cfg
from sqlalchemy import select
from sqlalchemy.orm import Session

from watcher.db import runs
from watcher.db.models import Webhook
from watcher.webhooks import credentials

HOUR: Final = datetime.timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class PlanFacts:
    """The facts about a plan that the limits of its webhook are compared with."""

    actions: int
    gain: float | None
    """The improvement of the goal in percent; None if it is not known."""
    started: int
    """Plans of the audit that started on their own within the last hour."""
    open_webhook: bool
    """Whether the webhook needs no credential although the configuration requires one."""


def why_not(
    session: Session,
    audit_id: int,
    actions: int,
    gain: float | None,
    conf: cfg.ConfigOpts,
    now: datetime.datetime,
) -> str | None:
    """Why the plan of an EVENT audit does not start on its own; None if it does."""
    found = session.scalar(select(Webhook).where(Webhook.audit_id == audit_id))
    webhook = found or Webhook()  # an audit without a row has the configured defaults and no limits
    limited = webhook.max_plans_per_hour is not None
    facts = PlanFacts(
        actions=actions,
        gain=gain,
        started=runs.plans_started(session, audit_id, now - HOUR) if limited else 0,
        open_webhook=conf.webhooks.require_auth_for_auto_trigger
        and credentials.effective_auth(webhook.auth, conf) == credentials.NONE,
    )
    return exceeded(webhook, facts)


def exceeded(webhook: Webhook, facts: PlanFacts) -> str | None:
    """A sentence on why a plan is not started on its own; None if it may be."""
    reasons = "; ".join(_reasons(webhook, facts))
    return f"Not started automatically: {reasons}." if reasons else None


def _reasons(webhook: Webhook, facts: PlanFacts) -> Iterator[str]:
    if facts.open_webhook:
        yield "the webhook is open, and require_auth_for_auto_trigger is set"
    if webhook.max_actions is not None and facts.actions > webhook.max_actions:
        yield f"the plan has {facts.actions} actions, and max_actions is {webhook.max_actions}"
    if webhook.max_plans_per_hour is not None and facts.started >= webhook.max_plans_per_hour:
        yield (
            f"{facts.started} plans of the audit were started in the last hour, "
            f"and max_plans_per_hour is {webhook.max_plans_per_hour}"
        )
    least, gain = webhook.min_efficacy, facts.gain
    if least is not None and gain is not None and gain < least:
        yield f"the plan gains {gain:g} %, and min_efficacy is {least:g} %"


def max_actions(session: Session, audit_id: int) -> int | None:
    """How many actions the strategy may put into a plan of the audit; None: any number."""
    return session.scalar(
        select(Webhook.max_actions).where(Webhook.audit_id == audit_id, Webhook.fit_actions)
    )
