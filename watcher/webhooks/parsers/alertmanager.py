# SPDX-License-Identifier: Apache-2.0
"""Alertmanager, version 4 of its webhook: a group of alerts in one message.

    {"version": "4", "groupKey": "{}:{alertname=\"HostHot\"}", "truncatedAlerts": 0,
     "status": "firing", "receiver": "watcher", "externalURL": "http://alertmanager:9093",
     "groupLabels": {"alertname": "HostHot"},
     "commonLabels": {"alertname": "HostHot", "severity": "critical"},
     "commonAnnotations": {"summary": "A host runs hot"},
     "alerts": [{"status": "firing", "labels": {...}, "annotations": {...},
                 "startsAt": "...", "endsAt": "...", "generatorURL": "...",
                 "fingerprint": "..."}]}

Fields that differ between the alerts are taken from each of them.  The group is resolved when all
of its alerts are.  No field distinguishes a repetition from a new message.
"""

from collections.abc import Mapping
from typing import Any

_SHAPE = {"groupKey", "status", "alerts"}


def read(body: Any, headers: Mapping[str, str]) -> dict[str, Any] | None:
    if not isinstance(body, Mapping) or body.get("version") != "4" or not body.keys() >= _SHAPE:
        return None
    return group(body)


def group(body: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a group of alerts, also within a message of Grafana."""
    given = body["alerts"]
    alerts = [_mapping(alert) for alert in given] if isinstance(given, list) else []

    def value(common: str, each: str, name: str) -> Any:
        values = [_mapping(alert.get(each)).get(name) for alert in alerts]
        texts = dict.fromkeys(text for text in values if isinstance(text, str) and text)
        return _mapping(body.get(common)).get(name) or ", ".join(texts) or None

    status = body["status"]
    return {
        "alarm_name": value("commonLabels", "labels", "alertname")
        or _mapping(body.get("groupLabels")).get("alertname"),
        "alarm_id": body["groupKey"],
        "severity": value("commonLabels", "labels", "severity"),
        # A group that fires is sent again and again, whatever its previous state was.
        "previous_state": "firing" if status == "resolved" else None,
        "current_state": status,
        "reason": value("commonAnnotations", "annotations", "summary")
        or value("commonAnnotations", "annotations", "description"),
        "resolved": status == "resolved" and all(alert.get("status") == status for alert in alerts),
    }


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
