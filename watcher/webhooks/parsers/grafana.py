# SPDX-License-Identifier: Apache-2.0
"""Grafana: its present alerting, and the dashboard alerts that it had before version 11.

The present message is that of Alertmanager, with ``"version": "1"`` and more fields:

    {"orgId": 1, "title": "[FIRING:1] HostHot (compute-1)", "state": "alerting",
     "message": "**Firing** ...", "status": "firing", "groupKey": "...", "alerts": [...]}

The older one is about one rule:

    {"ruleId": 7, "ruleName": "Host runs hot", "state": "alerting", "orgId": 1,
     "title": "[Alerting] Host runs hot", "message": "...", "evalMatches": [...]}
"""

from collections.abc import Mapping
from typing import Any

from watcher.webhooks.parsers import alertmanager

_SHAPE = {"orgId", "title", "state", "status", "groupKey", "alerts"}
_OLDER_SHAPE = {"ruleId", "ruleName", "state"}


def read(body: Any, headers: Mapping[str, str]) -> dict[str, Any] | None:
    if not isinstance(body, Mapping):
        return None
    if body.keys() >= _SHAPE:
        fields = alertmanager.group(body)
        return fields | {"reason": fields["reason"] or body["title"]}
    if body.keys() >= _OLDER_SHAPE:
        return {
            "alarm_name": body["ruleName"],
            "alarm_id": body["ruleId"],
            "current_state": body["state"],
            "reason": body.get("message") or body.get("title"),
            "resolved": body["state"] == "ok",
        }
    return None
