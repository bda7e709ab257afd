# SPDX-License-Identifier: Apache-2.0
"""webhook event, run, trigger, preview."""

import os
import tempfile
from typing import Any

from tests.base import AUDIT, ENDPOINT, EVENT, RUN, CommandTestCase

LOCATION = {"Location": f"http://elsewhere/v1/webhooks/{AUDIT}/events/{EVENT}"}


def event(**values: Any) -> dict[str, Any]:
    return {"uuid": EVENT, "decision": "QUEUED", "alarm_name": "hot", "parameters": {}, **values}


class EventTest(CommandTestCase):
    def test_list(self) -> None:
        self.serve("GET", "/v1/webhooks/hot/events", {"events": [event()]})
        filters = ("--decision", "QUEUED", "--source", "aodh", "--since", "2026-01-01T00:00+02:00")
        [listed] = self.shown("webhook", "event", "list", "hot", *filters)
        self.assertEqual((EVENT, "hot"), (listed["UUID"], listed["Alarm Name"]))
        self.assertNotIn("Run", listed)
        self.assertEqual(
            "GET /v1/webhooks/hot/events?decision=QUEUED&source=aodh"
            "&since=2026-01-01T00%3A00%2B02%3A00",
            self.sent()[0],
        )
        [detailed] = self.shown("webhook", "event", "list", "hot", "--detail")
        self.assertIn("Run", detailed)
        self.assertNotIn("Payload", detailed)

    def test_show(self) -> None:
        payload = {"alerts": [{"labels": {"host": "ß"}}]}
        self.serve("GET", f"/v1/webhooks/hot/events/{EVENT}", event(payload=payload))
        shown = self.shown("webhook", "event", "show", "hot", EVENT)
        self.assertEqual(payload, shown["Payload"])
        self.assertIn('"host": "ß"', self.printed("webhook", "event", "show", "hot", EVENT))

    def test_replay(self) -> None:
        path = f"/v1/webhooks/hot/events/{EVENT}/replay"
        replay = self.serve("POST", path, status_code=202, headers=LOCATION)
        self.serve("GET", f"/v1/webhooks/{AUDIT}/events/{EVENT}", event(replay_of="1"))
        for _ in range(2):
            shown = self.shown("webhook", "event", "replay", "hot", EVENT)
            self.assertEqual("1", shown["Replay Of"])
        keys = [request.headers["Idempotency-Key"] for request in replay.request_history]
        self.assertEqual(2, len({*keys}))

    def test_replay_of_one_too_many(self) -> None:
        self.serve("POST", f"/v1/webhooks/hot/events/{EVENT}/replay", status_code=202)
        self.assertIn("too many", self.refused("webhook", "event", "replay", "hot", EVENT))


class RunTest(CommandTestCase):
    def test_list_and_show(self) -> None:
        failed = {"attempt": 1, "at": "2026-01-01T10:00:00+00:00", "error": "No metrics."}
        run = {"uuid": RUN, "state": "FAILED", "errors": [failed]}
        self.serve("GET", "/v1/webhooks/hot/runs", {"runs": [run]})
        self.serve("GET", f"/v1/webhooks/hot/runs/{RUN}", run)
        [listed] = self.shown("webhook", "run", "list", "hot")
        self.assertEqual((RUN, "FAILED"), (listed["UUID"], listed["State"]))
        self.assertEqual([failed], self.shown("webhook", "run", "show", "hot", RUN)["Errors"])
        self.assertIn(
            "attempt 1, 2026-01-01T10:00:00+00:00: No metrics.",
            self.printed("webhook", "run", "show", "hot", RUN),
        )


class MessageTest(CommandTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.trigger = self.serve("POST", "/v1/webhooks/hot", status_code=202, headers=LOCATION)
        self.serve("GET", f"/v1/webhooks/{AUDIT}/events/{EVENT}", event())

    def body(self, *options: str) -> bytes | None:
        self.assertEqual("QUEUED", self.shown("webhook", "trigger", "hot", *options)["Decision"])
        sent: bytes | None = self.trigger.last_request.body
        return sent

    def test_bodies(self) -> None:
        self.assertEqual(b'{"a": 1}', self.body("--data", '{"a": 1}'))
        self.assertFalse(self.body())
        with tempfile.TemporaryDirectory() as directory:
            path = os.path.join(directory, "alarm.json")
            with open(path, "wb") as file:
                file.write(b"[1]")
            self.assertEqual(b"[1]", self.body("--file", path))
            missing = self.refused("webhook", "trigger", "hot", "--file", f"{path}.bak")
        self.assertIn("alarm.json.bak", missing)

    def test_headers(self) -> None:
        self.body("--secret", "s3", "--header", "ce-id: 17:a", "--header", "content-type: a/b")
        headers = self.trigger.last_request.headers
        self.assertEqual(
            ("Bearer s3", "17:a", "a/b"),
            (headers["Authorization"], headers["ce-id"], headers["Content-Type"]),
        )
        self.assertIn("<name: value>", self.refused("webhook", "trigger", "hot", "--header", "x"))

    def test_who_may_trigger_and_not_look(self) -> None:
        self.refuse("GET", f"/v1/webhooks/{AUDIT}/events/{EVENT}", 403, "webhook:get")
        shown = self.shown("webhook", "trigger", "hot")
        self.assertEqual((EVENT, None), (shown["UUID"], shown["Decision"]))

    def test_refused(self) -> None:
        self.refuse("POST", "/v1/webhooks/hot", 401, "The credential is missing or not valid.")
        self.assertIn("credential", self.refused("webhook", "trigger", "hot"))

    def test_preview(self) -> None:
        answer = {
            "decision": "IGNORED",
            "reason": "paused",
            "sentence": "The webhook is paused.",
            "event": {"source": "aodh"},
            "parameters": {"threshold": 65},
            "repeated": False,
            "would_join": False,
            "not_before": None,
        }
        preview = self.api.post(
            f"{ENDPOINT}/v1/webhooks/hot/preview",
            json=answer,
            headers={"Content-Type": "application/json"},
        )
        shown = self.shown("webhook", "preview", "hot", "--data", "{}")
        self.assertEqual(
            [*answer.values()],
            [
                shown[each]
                for each in (
                    "Decision",
                    "Reason",
                    "Sentence",
                    "Event",
                    "Parameters",
                    "Repeated",
                    "Would Join",
                    "Not Before",
                )
            ],
        )
        self.assertEqual(b"{}", preview.last_request.body)
        self.assertNotIn("Idempotency-Key", preview.last_request.headers)
        self.assertIn("threshold: 65", self.printed("webhook", "preview", "hot"))
