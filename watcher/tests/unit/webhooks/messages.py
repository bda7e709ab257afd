# SPDX-License-Identifier: Apache-2.0
"""One message of each alarm service, in the form that its documentation gives it."""

from typing import Any

AODH: dict[str, Any] = {
    "alarm_name": "host-runs-hot",
    "alarm_id": "0ca2845e-c142-4d4b-a346-e495553628ce",
    "severity": "critical",
    "previous": "ok",
    "current": "alarm",
    "reason": "Transition to alarm due to 2 samples outside threshold, most recent: 93.4",
    "reason_data": {
        "type": "threshold",
        "disposition": "outside",
        "count": 2,
        "most_recent": 93.4,
    },
}

AODH_REASON_DATA: list[dict[str, Any]] = [
    {"type": "threshold", "disposition": "inside", "count": 3, "most_recent": 12},
    {
        "type": "event",
        "event": {
            "message_id": "fa3a651f-e168-4d85-9147-e36de828177b",
            "event_type": "compute.instance.create.end",
            "generated": "2026-01-02T03:04:05.678901",
            "traits": [["host", 1, "compute-1"], ["memory_mb", 2, 2048]],
        },
    },
    {
        "type": "composite",
        "composition_form": "(rule1 and rule2)",
        "causative_rules": {
            "rule1": {
                "type": "prometheus",
                "query": "host_cpu_percent",
                "threshold": 80.0,
                "comparison_operator": "gt",
            },
        },
    },
    {
        "type": "loadbalancer_member_health",
        "count": 1,
        "most_recent": 1,
        "unhealthy_members": [{"id": "a1", "name": "member-1", "operating_status": "ERROR"}],
        "pool_id": "1d2c",
        "stack_id": "3e4f",
        "asg_id": "5a6b",
    },
]

ALERTMANAGER: dict[str, Any] = {
    "version": "4",
    "groupKey": '{}:{alertname="HostHot"}',
    "truncatedAlerts": 0,
    "status": "firing",
    "receiver": "watcher",
    "groupLabels": {"alertname": "HostHot"},
    "commonLabels": {"alertname": "HostHot", "severity": "critical", "zone": "zone-1"},
    "commonAnnotations": {"summary": "Hosts of zone-1 run hot"},
    "externalURL": "http://alertmanager:9093",
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "HostHot", "severity": "critical", "host": "compute-1"},
            "annotations": {"summary": "Hosts of zone-1 run hot", "description": "at 93 %"},
            "startsAt": "2026-01-02T03:04:05.678Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=host_cpu_percent",
            "fingerprint": "c6eadffa33fcdf37",
        },
        {
            "status": "resolved",
            "labels": {"alertname": "HostHot", "severity": "critical", "host": "compute-2"},
            "annotations": {"summary": "Hosts of zone-1 run hot", "description": "at 20 %"},
            "startsAt": "2026-01-02T03:00:05.678Z",
            "endsAt": "2026-01-02T03:04:05.678Z",
            "generatorURL": "http://prometheus:9090/graph?g0.expr=host_cpu_percent",
            "fingerprint": "bc97ff14869b13e3",
        },
    ],
}

GRAFANA: dict[str, Any] = {
    "receiver": "watcher",
    "status": "firing",
    "orgId": 1,
    "alerts": [
        {
            "status": "firing",
            "labels": {"alertname": "Host CPU", "host": "compute-1", "severity": "warning"},
            "annotations": {"summary": "CPU of compute-1 above 80 %"},
            "startsAt": "2026-01-02T03:04:05.678+01:00",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://grafana:3000/alerting/grafana/abc/view",
            "fingerprint": "57c6d9296de2ad39",
            "silenceURL": "http://grafana:3000/alerting/silence/new",
            "dashboardURL": "",
            "panelURL": "",
            "imageURL": "",
            "values": {"B": 84.2, "C": 1},
            "valueString": "[ var='B' labels={host=compute-1} value=84.2 ]",
        }
    ],
    "groupLabels": {"alertname": "Host CPU"},
    "commonLabels": {"alertname": "Host CPU", "severity": "warning", "host": "compute-1"},
    "commonAnnotations": {"summary": "CPU of compute-1 above 80 %"},
    "externalURL": "http://grafana:3000/",
    "version": "1",
    "groupKey": '{}/{team="cloud"}:{alertname="Host CPU"}',
    "truncatedAlerts": 0,
    "title": "[FIRING:1] Host CPU (compute-1)",
    "state": "alerting",
    "message": "**Firing**\n\nValue: B=84.2, C=1\nLabels:\n - alertname = Host CPU\n",
}

OLDER_GRAFANA: dict[str, Any] = {
    "dashboardId": 1,
    "evalMatches": [{"value": 84.2, "metric": "cpu", "tags": {"host": "compute-1"}}],
    "message": "CPU above 80 %",
    "orgId": 1,
    "panelId": 2,
    "ruleId": 7,
    "ruleName": "Host runs hot",
    "ruleUrl": "http://grafana:3000/d/abc?panelId=2",
    "state": "alerting",
    "tags": {"host": "compute-1"},
    "title": "[Alerting] Host runs hot",
}

CLOUDEVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "A234",
    "source": "/monitoring/zone-1",
    "type": "org.example.host.hot",
    "subject": "compute-1",
    "data": {"host": "compute-1", "cpu": 93.4},
}

CLOUDEVENT_HEADERS = {
    "Ce-Specversion": "1.0",
    "Ce-Id": "A234",
    "Ce-Source": "/monitoring/zone-1",
    "Ce-Type": "org.example.host.hot",
    "Ce-Subject": "compute-1",
    "Content-Type": "application/json",
}
"""The same event in its binary form, with ``data`` as the body."""

ALL = [AODH, ALERTMANAGER, GRAFANA, OLDER_GRAFANA, CLOUDEVENT]
