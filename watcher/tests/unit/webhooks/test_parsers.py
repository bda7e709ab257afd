# SPDX-License-Identifier: Apache-2.0
import dataclasses
from unittest import mock

import hypothesis
from hypothesis import strategies as st

from watcher.common.alarms import AlarmMessage
from watcher.tests import base
from watcher.tests.unit.common.test_entry_points import Installed
from watcher.tests.unit.webhooks import messages
from watcher.webhooks import parsers

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

WORDS = sorted(
    {
        word
        for message in messages.ALL
        for key, value in message.items()
        for word in (key, value)
        if isinstance(word, str)
    }
    | {"alertname", "severity", "summary", "status"}
)
TEXT = st.text("a\x00\ud800é☃", max_size=4) | st.sampled_from(WORDS)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=6),
    max_leaves=12,
)


@st.composite
def distorted(draw):
    """A message of a known format with some of its values replaced."""
    message = draw(st.sampled_from(messages.ALL))
    changed = draw(st.dictionaries(st.sampled_from(sorted(message)), JSON, max_size=4))
    message = message | changed
    return [message] if draw(st.booleans()) else message


HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "ce-specversion",
            "Ce-Id",
            "CE-SOURCE",
            "ce-type",
            "ce-data",
            "ce-é",
            "ce-",
            "X-OpenStack-Request-ID",
            "Idempotency-Key",
        ]
    ),
    TEXT | st.sampled_from(["1.0", '"', '"\\', '"a\\"b"', "%", "%C0%A0", "%E2%98%83"]),
)


class TestParse(base.TestCase):
    def test_anything_else_is_generic(self):
        for body in (None, [], "x", 5, True, {}, {"alarm_id": 1}, [messages.AODH]):
            self.assertEqual(AlarmMessage(source="generic", payload=body), parsers.parse(body, {}))

    def test_odd_types_are_kept_as_the_json_that_they_were(self):
        odd = {"severity": {"level": 3}, "reason": None, "current": True}
        event = parsers.parse(messages.AODH | odd, {})
        self.assertEqual('{"level": 3}', event.severity)
        self.assertEqual("true", event.current_state)
        self.assertIsNone(event.reason)

    def test_text_is_cut_and_made_storable(self):
        body = messages.AODH | {"alarm_name": "n" * 300, "reason": "a\x00b\ud800c"}
        event = parsers.parse(body, {})
        self.assertEqual("n" * 255, event.alarm_name)
        self.assertEqual("ab?c", event.reason)

    def test_the_senders_own_key_identifies_repetitions_first(self):
        for body in (None, messages.AODH, messages.CLOUDEVENT):
            headers = {"idempotency-key": "k1", "X-OpenStack-Request-ID": "req-1"}
            self.assertEqual("key:k1", parsers.parse(body, headers).delivery)

    def test_the_request_id_identifies_repetitions_of_aodh_alone(self):
        event = parsers.parse({}, {"X-OpenStack-Request-ID": "req-1"})
        self.assertEqual(("req-1", None), (event.request_id, event.delivery))

    @hypothesis.given(JSON | distorted(), HEADERS)
    def test_any_json_is_an_event_that_can_be_stored(self, body, headers):
        event = dataclasses.asdict(parsers.parse(body, headers))
        payload = event.pop("payload")
        self.assertIn(body, (payload, payload.get("data") if isinstance(payload, dict) else None))
        self.assertIsInstance(event.pop("resolved"), bool)
        delivery = event.pop("delivery")
        if delivery is not None:
            delivery.encode()
        for field, value in event.items():
            if value is not None:
                value.encode()
                self.assertNotIn("\x00", value)
                self.assertLessEqual(len(value), LONGEST[field])


class TestAodh(base.TestCase):
    def test_an_alarm(self):
        self.assertEqual(
            AlarmMessage(
                source="aodh",
                payload=messages.AODH,
                alarm_name="host-runs-hot",
                alarm_id="0ca2845e-c142-4d4b-a346-e495553628ce",
                severity="critical",
                previous_state="ok",
                current_state="alarm",
                reason="Transition to alarm due to 2 samples outside threshold, most recent: 93.4",
                request_id="req-1",
                delivery="aodh:req-1",
            ),
            parsers.parse(messages.AODH, {"X-OpenStack-Request-ID": "req-1"}),
        )

    def test_every_type_of_alarm(self):
        for reason_data in messages.AODH_REASON_DATA:
            body = messages.AODH | {"reason_data": reason_data}
            event = parsers.parse(body, {})
            self.assertEqual(("aodh", body), (event.source, event.payload))

    def test_no_state_counts_as_resolved(self):
        for state in ("ok", "insufficient data", "resolved"):
            self.assertFalse(parsers.parse(messages.AODH | {"current": state}, {}).resolved)


class TestAlertmanager(base.TestCase):
    def test_a_group(self):
        body = messages.ALERTMANAGER
        self.assertEqual(
            AlarmMessage(
                source="alertmanager",
                payload=body,
                alarm_name="HostHot",
                alarm_id='{}:{alertname="HostHot"}',
                severity="critical",
                current_state="firing",
                reason="Hosts of zone-1 run hot",
            ),
            parsers.parse(body, {}),
        )

    def test_what_alerts_do_not_share_is_of_each(self):
        body = messages.ALERTMANAGER | {
            "groupLabels": {},
            "commonLabels": {},
            "commonAnnotations": {},
            "alerts": [
                {"labels": {"alertname": "A", "severity": "page"}, "annotations": {"summary": "x"}},
                {"labels": {"alertname": "B", "severity": "page"}, "annotations": {}},
                {"labels": {"alertname": "A"}, "annotations": {"summary": "y"}},
            ],
        }
        event = parsers.parse(body, {})
        self.assertEqual(("A, B", "page", "x, y"), (event.alarm_name, event.severity, event.reason))

    def test_the_description_where_there_is_no_summary(self):
        body = messages.ALERTMANAGER | {"alerts": [], "commonAnnotations": {"description": "d"}}
        self.assertEqual("d", parsers.parse(body, {}).reason)

    def test_resolved_only_if_all_of_it_is(self):
        firing, resolved = {"status": "firing"}, {"status": "resolved"}
        for status, alerts, expected in (
            ("firing", [firing], False),
            ("firing", [firing, resolved], False),
            ("resolved", [resolved, resolved], True),
            ("resolved", [], True),
            ("resolved", [resolved, firing], False),
            ("resolved", [resolved, {}], False),
        ):
            body = messages.ALERTMANAGER | {"status": status, "alerts": alerts}
            self.assertIs(expected, parsers.parse(body, {}).resolved, (status, alerts))

    def test_before_the_end_a_group_fired(self):
        event = parsers.parse(messages.ALERTMANAGER | {"status": "resolved"}, {})
        self.assertEqual(("firing", "resolved"), (event.previous_state, event.current_state))

    def test_another_version_is_another_format(self):
        body = messages.ALERTMANAGER | {"version": "3"}
        self.assertEqual("generic", parsers.parse(body, {}).source)


class TestGrafana(base.TestCase):
    def test_a_group(self):
        body = messages.GRAFANA
        self.assertEqual(
            AlarmMessage(
                source="grafana",
                payload=body,
                alarm_name="Host CPU",
                alarm_id='{}/{team="cloud"}:{alertname="Host CPU"}',
                severity="warning",
                current_state="firing",
                reason="CPU of compute-1 above 80 %",
            ),
            parsers.parse(body, {}),
        )

    def test_the_title_where_there_is_no_annotation(self):
        body = messages.GRAFANA | {"commonAnnotations": {}, "alerts": []}
        self.assertEqual("[FIRING:1] Host CPU (compute-1)", parsers.parse(body, {}).reason)

    def test_resolved(self):
        body = messages.GRAFANA | {"status": "resolved", "state": "ok", "alerts": []}
        self.assertTrue(parsers.parse(body, {}).resolved)

    def test_the_older_alerts(self):
        event = parsers.parse(messages.OLDER_GRAFANA, {})
        self.assertEqual(
            AlarmMessage(
                source="grafana",
                payload=messages.OLDER_GRAFANA,
                alarm_name="Host runs hot",
                alarm_id="7",
                current_state="alerting",
                reason="CPU above 80 %",
            ),
            event,
        )
        self.assertTrue(parsers.parse(messages.OLDER_GRAFANA | {"state": "ok"}, {}).resolved)


class TestCloudEvents(base.TestCase):
    def test_structured(self):
        body = messages.CLOUDEVENT
        self.assertEqual(
            AlarmMessage(
                source="cloudevents",
                payload=body,
                alarm_name="org.example.host.hot",
                alarm_id="A234",
                reason="/monitoring/zone-1 compute-1",
                delivery='cloudevents:[["/monitoring/zone-1", "A234"]]',
            ),
            parsers.parse(body, {}),
        )

    def test_binary_is_kept_as_if_it_were_structured(self):
        event = parsers.parse(messages.CLOUDEVENT["data"], messages.CLOUDEVENT_HEADERS)
        self.assertEqual(parsers.parse(messages.CLOUDEVENT, {}), event)

    def test_binary_without_data(self):
        event = parsers.parse(None, messages.CLOUDEVENT_HEADERS)
        self.assertEqual("cloudevents", event.source)
        self.assertNotIn("data", event.payload)

    def test_header_values_are_decoded(self):
        for value in ('"a \\"b\\" ☃"', "a%20%22b%22%20%E2%98%83"):
            event = parsers.parse({}, messages.CLOUDEVENT_HEADERS | {"ce-subject": value})
            self.assertEqual('a "b" ☃', event.payload["subject"])

    def test_no_other_header_is_kept(self):
        headers = messages.CLOUDEVENT_HEADERS | {"Authorization": "Bearer x", "X-Auth-Token": "y"}
        self.assertEqual(
            {"specversion", "id", "source", "type", "subject", "data"},
            parsers.parse({}, headers).payload.keys(),
        )

    def test_a_batch_is_one_event(self):
        body = [messages.CLOUDEVENT, messages.CLOUDEVENT | {"id": "A235"}]
        event = parsers.parse(body, {})
        self.assertEqual(body, event.payload)
        self.assertEqual(("org.example.host.hot", "A234, A235"), (event.alarm_name, event.alarm_id))
        self.assertEqual(
            'cloudevents:[["/monitoring/zone-1", "A234"], ["/monitoring/zone-1", "A235"]]',
            event.delivery,
        )

    def test_source_and_id_do_not_run_into_each_other(self):
        first = messages.CLOUDEVENT | {"source": "a", "id": "b/c"}
        second = messages.CLOUDEVENT | {"source": "a/b", "id": "c"}
        self.assertNotEqual(parsers.parse(first, {}).delivery, parsers.parse(second, {}).delivery)

    def test_what_misses_an_attribute_is_none(self):
        for name in ("specversion", "id", "source", "type"):
            for value in (None, "", 5):
                body = messages.CLOUDEVENT | {name: value}
                self.assertEqual("generic", parsers.parse(body, {}).source)
                self.assertEqual("generic", parsers.parse([messages.CLOUDEVENT, body], {}).source)


class InstalledFormatsTest(base.TestCase):
    """Formats of other packages."""

    def setUp(self):
        super().setUp()
        parsers.installed.cache_clear()
        self.addCleanup(parsers.installed.cache_clear)

    def read(self, body, **formats):
        self.useFixture(Installed({"watcher_alarm_formats": formats}))
        return parsers.parse(body, {"Idempotency-Key": "k"})

    def test_one_comes_before_those_of_watcher(self):
        def read(body, headers):
            known = {"alarm_name": body["alarm_name"], "severity": 7, "resolved": "yes"}
            return known if headers["idempotency-key"] == "k" else None

        message = self.read(messages.AODH, house=read)
        self.assertEqual(
            ("house", messages.AODH["alarm_name"], "7", True, messages.AODH),
            (
                message.source,
                message.alarm_name,
                message.severity,
                message.resolved,
                message.payload,
            ),
        )

    def test_what_is_no_text_becomes_its_json(self):
        odd = mock.Mock(return_value={"alarm_name": 5, "severity": {"a": 1}, "delivery": ["x"]})
        self.useFixture(Installed({"watcher_alarm_formats": {"odd": odd}}))
        message = parsers.parse({}, {})
        self.assertEqual(("5", '{"a": 1}', '["x"]'), (
            message.alarm_name, message.severity, message.delivery
        ))  # fmt: skip

    def test_one_that_fails_or_answers_nonsense_is_left_out(self):
        for answer in (
            RuntimeError("no"),
            SystemExit(1),
            7,
            ["alarm_name"],
            {"payload": {1}},
            None,
        ):
            parsers.installed.cache_clear()
            read = mock.Mock(side_effect=[answer])
            self.assertEqual("aodh", self.read(messages.AODH, broken=read).source)
            read.assert_called_once()
