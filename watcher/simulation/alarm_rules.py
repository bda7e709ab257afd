# SPDX-License-Identifier: Apache-2.0
"""The alarm service of a simulated cloud: evaluates metrics, and posts to webhooks as aodh does."""

import logging
import operator
import threading
import urllib.parse
import uuid as uuidlib
from typing import Any

import requests
from oslo_log import log

from watcher.common.errors import Invalid
from watcher.simulation.cloud import SimulatedCloud
from watcher.simulation.scenario import AlarmRule

LOG = log.getLogger(__name__)

_COMPARISONS = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}
_TIMEOUT = 10.0
_NO_AUDIT = 404


class Alarm:
    """One rule, and the state it is in."""

    def __init__(self, rule: AlarmRule, cloud: SimulatedCloud) -> None:
        if rule.comparison not in _COMPARISONS:
            raise Invalid(
                f"alarms: comparison '{rule.comparison}' of {rule.name} unknown; allowed are "
                f"{', '.join(_COMPARISONS)}."
            )
        self.rule, self._cloud = rule, cloud
        self._id = str(uuidlib.uuid4())
        self._state = "insufficient data"

    def evaluate(self) -> dict[str, Any] | None:
        """Evaluate the metric.  Returns the message to post, if there is one."""
        hosts = self._cloud.hosts()
        values = self._cloud.loads.host_metric(self.rule.metric, hosts, 60, "mean", 60)
        names = {host.uuid: host.hostname for host in hosts}
        beyond = _COMPARISONS[self.rule.comparison]
        outside = {
            names[uuid]: value
            for uuid, value in values.items()
            if beyond(value, self.rule.threshold)
        }
        previous, self._state = self._state, "alarm" if outside else "ok"
        if not outside or (previous == "alarm" and not self.rule.repeat_actions):
            return None
        return self._message(previous, outside)

    def _message(self, previous: str, outside: dict[str, float]) -> dict[str, Any]:
        high = self.rule.comparison in ("gt", "ge")
        host = (max if high else min)(outside, key=lambda name: outside[name])
        value = round(outside[host], 2)
        return {
            "alarm_name": self.rule.name,
            "alarm_id": self._id,
            "severity": self.rule.severity,
            "previous": previous,
            "current": self._state,
            "reason": f"{self.rule.metric} of {host} is {value}, {self.rule.comparison} "
            f"{self.rule.threshold:g}",
            "reason_data": {
                "type": "threshold",
                "disposition": "outside",
                "count": len(outside),
                "most_recent": value,
            },
        }


class AlarmRules:
    """Evaluates the alarms of a scenario, each with its own period, between start and stop."""

    def __init__(self, cloud: SimulatedCloud) -> None:
        self._alarms = [Alarm(rule, cloud) for rule in cloud.scenario.alarms]
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self, endpoint: str) -> None:
        """Post to the webhooks below *endpoint*, the URL of the API."""
        for alarm in self._alarms:
            thread = threading.Thread(
                target=self._watch, args=(alarm, endpoint), name=alarm.rule.name, daemon=True
            )
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _watch(self, alarm: Alarm, endpoint: str) -> None:
        url = f"{endpoint}/v1/webhooks/{urllib.parse.quote(alarm.rule.audit)}"
        status = None
        while not self._stopped.wait(alarm.rule.evaluation_seconds):
            message = alarm.evaluate()
            if message is None:
                continue
            # While there is no audit, an alarm in each second should not log two lines in each
            # second.
            before, level = status, logging.DEBUG if status == _NO_AUDIT else logging.INFO
            LOG.log(level, "Alarm %s: %s", message["alarm_name"], message["reason"])
            status = post(url, message, level)
            if status == _NO_AUDIT and before != _NO_AUDIT:
                LOG.warning(
                    "Alarm %s finds no EVENT audit named %s; the next line about this alarm comes "
                    "when there is one",
                    alarm.rule.name,
                    alarm.rule.audit,
                )


def post(url: str, message: dict[str, Any], level: int = logging.INFO) -> int | None:
    """Post *message* as aodh does.  Returns the status of the answer, None if there was none.

    An answer that the audit does not exist is logged at *level*.
    """
    headers = {"x-openstack-request-id": f"req-{uuidlib.uuid4()}"}
    try:
        with requests.Session() as session:
            session.trust_env = False  # to the loopback interface, without a configured proxy
            answer = session.post(url, json=message, headers=headers, timeout=_TIMEOUT)
            status = answer.status_code
    except requests.RequestException as error:
        LOG.warning("Alarm %s could not be posted to %s: %s", message["alarm_name"], url, error)
        return None
    level = level if status == _NO_AUDIT else logging.INFO
    LOG.log(level, "Alarm %s posted to %s: answer %d", message["alarm_name"], url, status)
    return status
