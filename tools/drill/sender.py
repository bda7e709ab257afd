# SPDX-License-Identifier: Apache-2.0
"""Alarm services that post: what they sent, and the answers."""

import dataclasses
import datetime
import http.client
import json
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Sequence

from oslo_utils import timeutils

SENDERS = 8
_TIMEOUT = 20.0
"""Seconds for one answer; an API that does not answer within this time is at fault."""


@dataclasses.dataclass
class Alarm:
    """One alarm, and the result of posting it."""

    at: float
    audit: str
    id: str
    headers: dict[str, str]
    sent: datetime.datetime | None = None
    location: str | None = None
    seconds: float = 0.0
    accepted: bool = False


def alarms(draw: random.Random, number: int, audits: Sequence[str], seconds: float) -> list[Alarm]:
    """Alarms, each with its own id: half of them spread over the time, half in bursts."""
    bursts = [draw.uniform(0, seconds) for _ in range(max(1, number // 100))]
    made = []
    for index in range(number):
        id_ = str(uuid.UUID(int=draw.getrandbits(128), version=4))
        at = draw.choice(bursts) if index % 2 else draw.uniform(0, seconds)
        headers = draw.choice(({}, {"Idempotency-Key": id_}, {"X-OpenStack-Request-ID": id_}))
        made.append(Alarm(at, draw.choice(audits), id_, dict(headers)))
    return sorted(made, key=lambda alarm: alarm.at)


class Senders:
    """Threads that post alarms at their times, again and again until they are accepted."""

    def __init__(self, all_alarms: Sequence[Alarm], ports: Sequence[int], seed: int) -> None:
        self.alarms = all_alarms
        self.outcomes: Counter[str] = Counter()
        self._ports, self._seed = ports, seed
        self._next = iter(all_alarms)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number,), daemon=True)
            for number in range(SENDERS)
        ]

    def start(self) -> None:
        self._began = time.monotonic()
        for thread in self._threads:
            thread.start()

    def join_until(self, deadline: float) -> None:
        """Wait for the last answer; after *deadline*, a monotonic time, give up."""
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stop.set()

    def _run(self, number: int) -> None:
        draw = random.Random(f"{self._seed}-{number}")
        while not self._stop.is_set():
            with self._lock:
                alarm = next(self._next, None)
            if alarm is None:
                return
            self._stop.wait(max(0.0, self._began + alarm.at - time.monotonic()))
            while not self._stop.is_set() and not self._post(alarm, draw.choice(self._ports)):
                self._stop.wait(0.2)

    def _post(self, alarm: Alarm, port: int) -> bool:
        """Post an alarm once.  Returns whether no further attempt is needed."""
        alarm.sent = timeutils.utcnow()
        began = time.monotonic()
        outcome, location = _answer(alarm, port)
        alarm.seconds = max(alarm.seconds, time.monotonic() - began)
        with self._lock:
            self.outcomes[outcome] += 1
        alarm.accepted, alarm.location = outcome == "202", location
        return alarm.accepted


def _answer(alarm: Alarm, port: int) -> tuple[str, str | None]:
    """A status, ``refused`` or ``unanswered``, and the place of the event."""
    body = {
        "alarm_name": "busy-host",
        "alarm_id": alarm.id,
        "severity": "low",
        "previous": "ok",
        "current": "alarm",
        "reason": "Transition to alarm due to 1 samples outside threshold",
    }
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    try:
        headers = {"Content-Type": "application/json", **alarm.headers}
        connection.request("POST", f"/v1/webhooks/{alarm.audit}", json.dumps(body), headers)
        answer = connection.getresponse()
        answer.read()
    except ConnectionRefusedError:
        return "refused", None
    except TimeoutError:
        return "late", None
    except (OSError, http.client.HTTPException):
        return "unanswered", None
    finally:
        connection.close()
    return str(answer.status), answer.headers.get("Location")
