# SPDX-License-Identifier: Apache-2.0
"""Messages of alarm storms, which are large."""

import json
import threading
from typing import Any

from sqlalchemy import select

from watcher.api import bodies
from watcher.api.unrecorded import UnrecordedEvents
from watcher.common.errors import Unavailable
from watcher.common.states import AuditType
from watcher.db import counters
from watcher.db.models import AuditEvent, Webhook
from watcher.tests import factories
from watcher.tests.base import TIMEOUT, TestCase
from watcher.tests.unit.api.fakes import ApiTestCase

ALERT = {
    "status": "firing",
    "labels": {"alertname": "hot", "host": "compute-1", "severity": "critical"},
    "annotations": {"description": "x" * 350},
    "startsAt": "2026-01-01T10:00:00Z",
    "fingerprint": "c9ae21f1c8e0d1c2",
}
GROUP = {
    "version": "4",
    "groupKey": "{}:{alertname='hot'}",
    "status": "firing",
    "receiver": "watcher",
    "groupLabels": {"alertname": "hot"},
    "commonLabels": {},
    "alerts": [{**ALERT, "labels": {**ALERT["labels"], "number": str(n)}} for n in range(600)],
}


class StormTest(ApiTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.conf.set_override("enable_authentication", False)
        with self.database.writer() as session:
            audit = factories.audit(session, name="hot", audit_type=AuditType.EVENT)
            session.add(
                Webhook(
                    audit_id=audit.id,
                    auth="none",
                    filter="alerts[-1].labels.number == '599'",
                )
            )

    def test_a_group_of_many_alerts_is_taken_and_its_beginning_kept(self) -> None:
        self.assertGreater(len(json.dumps(GROUP)), 300_000)
        self.assertEqual(202, self.request("/v1/webhooks/hot", "POST", json=GROUP).status_int)
        with self.database.reader() as session:
            event = session.scalars(select(AuditEvent)).one()
        self.assertEqual(("alertmanager", "hot"), (event.source, event.alarm_name))
        self.assertLessEqual(len(event.payload), 65536)
        path = f"/v1/webhooks/hot/events/{event.uuid}"
        shown = self.request(path).json["payload"]
        self.assertTrue(json.dumps(GROUP).startswith(shown["payload"]))
        self.assertIn("is kept", shown["watcher_cut"])
        refused = self.request(f"{path}/replay", "POST")
        self.assertEqual(400, refused.status_int)
        self.assertIn("max_stored_payload", refused.text)

    def test_a_body_that_is_refused_is_counted(self) -> None:
        written = threading.Event()
        flush = UnrecordedEvents.flush

        def spy(unrecorded: UnrecordedEvents) -> bool:
            done = flush(unrecorded)
            written.set()
            return done

        self.patch(UnrecordedEvents, "flush", spy)
        for body in (b" " * (2 * 2**20 + 1), b"{"):
            self.assertEqual(400, self.request("/v1/webhooks/hot", "POST", body=body).status_int)
        self.assertTrue(written.wait(TIMEOUT))
        with self.database.reader() as session:
            counts = counters.totals(session)
        key = (counters.EVENTS, "generic", "REJECTED", "unreadable_body")
        self.assertEqual(2, counts[key])


class LargeBodyLimitTest(TestCase):
    def test_some_work_some_wait_and_the_others_come_again(self) -> None:
        working, go_on = threading.Semaphore(0), threading.Event()

        def application(environ: Any, start_response: Any) -> list[bytes]:
            working.release()
            go_on.wait(TIMEOUT)
            return []

        few = bodies.LargeBodyLimit(application, threads=4)
        large = {"CONTENT_LENGTH": str(bodies.LARGE + 1)}
        threads = [threading.Thread(target=few, args=(large, None)) for _ in range(2)]
        self.addCleanup(lambda: [thread.join() for thread in threads])
        self.addCleanup(go_on.set)
        for thread in threads:
            thread.start()
        working.acquire(timeout=TIMEOUT)
        while few.admitted.acquire(blocking=False):  # until the second one waits
            few.admitted.release()
        self.assertRaises(Unavailable, few, large, None)
        self.assertRaises(Unavailable, few, {"HTTP_TRANSFER_ENCODING": "chunked"}, None)
        go_on.set()
        self.assertEqual([], few({"CONTENT_LENGTH": "10"}, None))
