# SPDX-License-Identifier: Apache-2.0
"""Validation of a webhook's settings: from the operations of a patch to columns."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from oslo_config import cfg
from wsme import types as wtypes

from watcher.api import bodies, patch
from watcher.api.fields import columns
from watcher.api.patch import Operation
from watcher.api.types import Boolean, Number, Object, Text
from watcher.common.errors import Invalid
from watcher.conf.webhooks import AUTH
from watcher.db.models import Strategy, Webhook
from watcher.webhooks import credentials, expressions

_DAY: Final = 24 * 60 * 60


class WebhookLimits(wtypes.Base):
    """A plan beyond these is not started on its own; null is no limit."""

    max_actions = Number(1, 1_000_000)
    max_plans_per_hour = Number(1, 1_000_000)
    min_efficacy = Number(0, 100, whole=False)


class Settings(wtypes.Base):
    """The settings after a PATCH; null stands for the default."""

    auth = Text(20)
    debounce = Number(0, _DAY)
    cooldown = Number(0, _DAY)
    limits = Object
    filter = Text(expressions.MAX_LENGTH)
    parameters = Object
    paused = Boolean
    note = Text(255)


CHANGEABLE: Final = tuple(attribute.name for attribute in wtypes.list_attributes(Settings))
LIMITS: Final = tuple(attribute.name for attribute in wtypes.list_attributes(WebhookLimits))
_DEFAULTS: Final[Mapping[str, Any]] = {
    "debounce": 0,
    "cooldown": 0,
    "limits": {},
    "parameters": {},
    "paused": False,
}


def document(webhook: Webhook) -> dict[str, Any]:
    """The settings as the JSON document that a patch applies to."""
    return {
        **columns(webhook, "auth debounce cooldown filter paused note"),
        "limits": {name: getattr(webhook, name) for name in LIMITS},
        "parameters": webhook.parameters or {},
    }


def redefine(
    webhook: Webhook,
    strategy: Strategy | None,
    operations: Sequence[Operation],
    conf: cfg.ConfigOpts,
) -> dict[str, Any]:
    """The columns that a patch changes, checked.  Invalid names the field.

    *strategy* is the audit's, which says what parameters there are.
    """
    touched = patch.touched(operations)
    patched = patch.apply(document(webhook), operations)
    after = {name: patched.get(name) for name in touched}
    after = {name: _DEFAULTS.get(name) if value is None else value for name, value in after.items()}
    settings = bodies.typed(Settings, after)
    values: dict[str, Any] = {name: getattr(settings, name) for name in touched}
    if "limits" in values:
        values.update(_limits(values.pop("limits")))
    if values.get("auth") is not None and values["auth"] not in AUTH:
        raise Invalid(f"auth: must be one of {', '.join(AUTH)}, or null for the configured one.")
    if values.get("filter") is not None:
        expressions.check(values["filter"], "filter")
    if values.get("parameters"):
        _check_mapping(values["parameters"], strategy)
    _check_auth(webhook, values, conf)
    return values


def _limits(given: Mapping[str, Any]) -> dict[str, Any]:
    limits = bodies.typed(WebhookLimits, {name: given.get(name) for name in (*LIMITS, *given)})
    return {**{name: getattr(limits, name) for name in LIMITS}, "fit_actions": True}


def _check_mapping(mapping: Mapping[str, Any], strategy: Strategy | None) -> None:
    """Invalid unless each is an expression for a parameter that the strategy has."""
    if strategy is None:
        raise Invalid("parameters: the audit has no strategy of its own that could take any.")
    known = (strategy.parameters_spec or {}).get("properties", {})
    for name, expression in sorted(mapping.items()):
        field = f"parameters.{name[:63]}"
        if name not in known:
            allowed = ", ".join(sorted(known)) or "none"
            raise Invalid(
                f"{field}: the strategy {strategy.name} has no such parameter; allowed: {allowed}."
            )
        if not isinstance(expression, str):
            raise Invalid(f"{field}: must be a JMESPath expression, as a string.")
        expressions.check(expression, field)


def _check_auth(webhook: Webhook, values: Mapping[str, Any], conf: cfg.ConfigOpts) -> None:
    """Invalid for an open webhook with a filter or parameters, or for a missing secret.

    Otherwise anyone who guesses a name could choose the parameters of a strategy.
    """
    auth = credentials.effective_auth(values.get("auth", webhook.auth), conf)
    for name in ("filter", "parameters"):
        if auth != credentials.NONE or not values.get(name, getattr(webhook, name)):
            continue
        if name in values:
            raise Invalid(
                f"{name}: is only for a webhook that is locked; set auth to secret or keystone."
            )
        if "auth" in values:
            raise Invalid(f"auth: cannot be none as long as {name} is set; remove that first.")
    if values.get("auth") == credentials.SECRET and webhook.secret_hash is None:
        raise Invalid("auth: there is no secret yet; make one first, by a POST to secret.")
