# SPDX-License-Identifier: Apache-2.0
import dataclasses

import hypothesis
from hypothesis import strategies as st

from watcher.common.event import Event
from watcher.tests import base
from watcher.webhooks import parsers

AODH = {
    "alarm_name": "cpu_hi",
    "alarm_id": "0ca2845e-c142-4d4b-a346-e495553628ce",
    "severity": "critical",
    "previous": "ok",
    "current": "alarm",
    "reason": "Transition to alarm",
    "reason_data": {"most_recent": 99.4},
}
LONGEST = {
    "source": 36,
    "alarm_name": 255,
    "alarm_id": 255,
    "severity": 63,
    "previous_state": 63,
    "current_state": 63,
    "reason": 4096,
    "request_id": 255,
}
TEXT = st.text("a\x00\ud800é☃", max_size=4) | st.sampled_from(sorted(AODH))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=6),
    max_leaves=12,
)


class TestParse(base.TestCase):
    def test_aodh(self):
        self.assertEqual(
            Event(
                source="aodh",
                payload=AODH,
                alarm_name="cpu_hi",
                alarm_id="0ca2845e-c142-4d4b-a346-e495553628ce",
                severity="critical",
                previous_state="ok",
                current_state="alarm",
                reason="Transition to alarm",
                request_id="req-1",
                delivery="aodh:req-1",
            ),
            parsers.parse(AODH, {"X-OpenStack-Request-ID": "req-1"}),
        )

    def test_anything_else_is_generic(self):
        for body in (None, [], "x", 5, True, {}, {"alarm_id": 1}, [AODH]):
            self.assertEqual(Event(source="generic", payload=body), parsers.parse(body, {}))

    def test_odd_types_are_kept_as_the_json_that_they_were(self):
        event = parsers.parse(
            AODH | {"severity": {"level": 3}, "reason": None, "current": True}, {}
        )
        self.assertEqual('{"level": 3}', event.severity)
        self.assertEqual("true", event.current_state)
        self.assertIsNone(event.reason)

    def test_text_is_cut_and_made_storable(self):
        event = parsers.parse(AODH | {"alarm_name": "n" * 300, "reason": "a\x00b\ud800c"}, {})
        self.assertEqual("n" * 255, event.alarm_name)
        self.assertEqual("ab?c", event.reason)

    @hypothesis.given(JSON | st.dictionaries(st.sampled_from(sorted(AODH)), JSON), TEXT)
    def test_any_json_is_an_event_that_can_be_stored(self, body, request_id):
        headers = {"X-OpenStack-Request-ID": request_id}
        event = dataclasses.asdict(parsers.parse(body, headers))
        self.assertEqual(body, event.pop("payload"))
        self.assertIsInstance(event.pop("resolved"), bool)
        delivery = event.pop("delivery")
        if delivery is not None:
            delivery.encode()
        for field, value in event.items():
            if value is not None:
                value.encode()
                self.assertNotIn("\x00", value)
                self.assertLessEqual(len(value), LONGEST[field])
