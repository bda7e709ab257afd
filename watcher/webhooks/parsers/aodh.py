# SPDX-License-Identifier: Apache-2.0
"""aodh, whatever the type of the alarm.

    {"alarm_name": "host-runs-hot", "alarm_id": "7d1b...", "severity": "critical",
     "previous": "ok", "current": "alarm",
     "reason": "Transition to alarm due to 2 samples outside threshold, most recent: 93.4",
     "reason_data": {"type": "threshold", "disposition": "outside", "count": 2,
                     "most_recent": 93.4}}

Only ``reason_data`` differs from type to type; it is kept in the payload.  No state means resolved:
aodh has actions for each state, and the operator chose which of them post here.  Each notification
has a request id of its own, which only its repetitions share.
"""

from collections.abc import Mapping
from typing import Any


def read(body: Any, headers: Mapping[str, str]) -> dict[str, Any] | None:
    if not isinstance(body, Mapping):
        return None
    if not {"alarm_id", "alarm_name", "current", "previous"} <= body.keys():
        return None
    request_id = headers.get("x-openstack-request-id")
    return {
        "alarm_name": body["alarm_name"],
        "alarm_id": body["alarm_id"],
        "severity": body.get("severity"),
        "previous_state": body["previous"],
        "current_state": body["current"],
        "reason": body.get("reason"),
        "delivery": f"aodh:{request_id}" if request_id else None,
    }
