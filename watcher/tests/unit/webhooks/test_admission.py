# SPDX-License-Identifier: Apache-2.0
import datetime
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from watcher.common.alarms import AlarmMessage
from watcher.common.states import AuditState, AuditType, Decision
from watcher.tests import base, factories
from watcher.webhooks import admission

NOW = datetime.datetime(2026, 3, 1, 12, 0, 0)
HOUR = datetime.timedelta(hours=1)
EVENT = AlarmMessage(source="generic", payload={"host": "compute-1", "load": 3})
SCHEMA = {"properties": {"node": {"type": "string"}, "period": {"type": "number", "default": 5}}}
MAPPED = {"auth": "secret", "schema": SCHEMA, "mapping": {"node": "host"}}


def decide(message=EVENT, **values):
    return admission.decide(factories.facts(**values), message, NOW)


def outcome(event=EVENT, **values):
    verdict = decide(event, **values)
    return verdict.decision, verdict.reason


class TestDecide(base.TestCase):
    def test_the_state_decides(self):
        admitted = (Decision.ACCEPTED, None)
        expected = {
            AuditState.PENDING: admitted,
            AuditState.ONGOING: admitted,
            AuditState.SUCCEEDED: admitted,
            AuditState.FAILED: admitted,
            AuditState.CANCELLED: (Decision.REJECTED, "audit_cancelled"),
            AuditState.SUSPENDED: (Decision.REJECTED, "audit_suspended"),
            AuditState.DELETED: (Decision.REJECTED, "audit_cancelled"),
        }
        self.assertEqual(expected, {state: outcome(state=state) for state in AuditState.ALL})

    def test_only_event_audits_take_events(self):
        for audit_type in (AuditType.ONESHOT, AuditType.CONTINUOUS, None):
            self.assertEqual((Decision.REJECTED, "wrong_type"), outcome(audit_type=audit_type))

    def test_a_rejection_has_a_sentence(self):
        self.assertIn("SUSPENDED", decide(state=AuditState.SUSPENDED).sentence)

    def test_the_window(self):
        outside = (Decision.IGNORED, "outside_window")
        self.assertEqual(outside, outcome(start_time=NOW + HOUR))
        self.assertEqual(outside, outcome(end_time=NOW))
        self.assertEqual((Decision.ACCEPTED, None), outcome(start_time=NOW, end_time=NOW + HOUR))

    def test_a_paused_webhook_ignores_all(self):
        self.assertEqual((Decision.IGNORED, "paused"), outcome(paused=True))

    def test_what_is_over_needs_no_run(self):
        resolved = AlarmMessage(source="alertmanager", resolved=True)
        self.assertEqual((Decision.IGNORED, "resolved"), outcome(resolved))

    def test_the_filter(self):
        self.assertEqual((Decision.ACCEPTED, None), outcome(filter="host == 'compute-1'"))
        self.assertEqual((Decision.IGNORED, "filtered"), outcome(filter="host == 'compute-2'"))
        self.assertEqual((Decision.IGNORED, "filtered"), outcome(filter="nothing"))

    def test_a_filter_that_fails_lets_nothing_in(self):
        self.assertEqual((Decision.REJECTED, "bad_parameters"), outcome(filter="abs(host)"))


class TestParameters(base.TestCase):
    def test_without_a_mapping_there_are_none(self):
        self.assertEqual({}, decide().parameters)

    def test_the_mapping_takes_them_from_the_payload(self):
        self.assertEqual({"node": "compute-1"}, decide(**MAPPED).parameters)

    def test_what_the_payload_does_not_have_is_left_to_the_audit(self):
        self.assertEqual(
            {}, decide(AlarmMessage(source="generic", payload={}), **MAPPED).parameters
        )

    def test_they_must_fit_the_strategy_together_with_those_of_the_audit(self):
        number = AlarmMessage(source="generic", payload={"host": 5})
        verdict = decide(number, **MAPPED)
        self.assertEqual("bad_parameters", verdict.reason)
        self.assertIn("parameters.node", verdict.sentence)
        strict = SCHEMA | {"required": ["period", "node"]}
        values = MAPPED | {"schema": strict, "own_parameters": {"node": "compute-9"}}
        self.assertEqual({}, decide(AlarmMessage(source="generic"), **values).parameters)

    def test_a_strategy_that_takes_none_gets_none(self):
        self.assertEqual("bad_parameters", decide(**MAPPED | {"schema": {}}).reason)

    def test_an_open_webhook_accepts_no_parameters(self):
        self.assertEqual("bad_parameters", decide(**MAPPED | {"auth": "none"}).reason)

    def test_what_cannot_be_kept_is_refused(self):
        number = int("9" * 4300)  # the sum of two has more digits than Python writes
        sum_ = f"sum(`[{number}, {number}]`)"
        for schema in ({}, {"type": "string"}, {"type": "number", "maximum": 5}):
            for expression in ("&host", f"`{json.dumps('x' * 70_000)}`", sum_):
                fields = {"properties": {"node": schema}}
                values = MAPPED | {"schema": fields, "mapping": {"node": expression}}
                self.assertEqual("bad_parameters", decide(**values).reason)


OVER = {
    "wrong_type": {"audit_type": AuditType.ONESHOT},
    "audit_cancelled": {"state": AuditState.CANCELLED},
    "audit_suspended": {"state": AuditState.SUSPENDED},
    "paused": {"paused": True},
    "outside_window": {"end_time": NOW},
    "resolved": {},
    "filtered": {"filter": "`false`"},
    "bad_parameters": {"mapping": {"no_such": "host"}},
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=20,
)
EXPRESSIONS = st.sampled_from(
    ["@", "*", "a.b", "[*].a", "abs(@)", "to_number(a)", "sort(@)", "&a", "[@, @][]", "keys(@)"]
)


class TestAllThereIs(base.TestCase):
    @given(st.sets(st.sampled_from(sorted(OVER))))
    @settings(deadline=None)
    def test_the_first_reason_wins(self, reasons):
        values = {"auth": "secret", "schema": SCHEMA}
        # A state is one or the other.
        for reason in sorted(reasons, key=list(OVER).index, reverse=True):
            values.update(OVER[reason])
        verdict = decide(AlarmMessage(source="generic", resolved="resolved" in reasons), **values)
        mapped_nothing = reasons <= {"bad_parameters"}
        expected = None if mapped_nothing else min(reasons, key=list(OVER).index)
        self.assertEqual(expected, verdict.reason)

    @given(JSON, st.none() | EXPRESSIONS, st.none() | EXPRESSIONS)
    @settings(deadline=None)
    def test_it_decides_about_any_message(self, payload, filter_, mapped):
        verdict = decide(
            AlarmMessage(source="generic", payload=payload),
            auth="secret",
            filter=filter_,
            schema={"properties": {"node": {}}},
            mapping={"node": mapped} if mapped else {},
        )
        self.assertIn(verdict.decision, (Decision.ACCEPTED, *admission.REASONS_AGAINST))
        self.assertIn(verdict.reason, admission.REASONS_AGAINST.get(verdict.decision, (None,)))
        self.assertEqual(verdict.decision == Decision.ACCEPTED, not verdict.sentence)
        json.dumps(verdict.parameters)
