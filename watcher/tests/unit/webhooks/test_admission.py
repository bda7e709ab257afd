# SPDX-License-Identifier: Apache-2.0
import datetime

from watcher.common.states import AuditState, AuditType, Decision
from watcher.tests import base
from watcher.webhooks import admission

NOW = datetime.datetime(2026, 3, 1, 12, 0, 0)
HOUR = datetime.timedelta(hours=1)


def decide(audit_type=AuditType.EVENT, state=AuditState.PENDING, start_time=None, end_time=None):
    verdict = admission.decide(audit_type, state, start_time, end_time, NOW)
    return verdict.decision, verdict.reason


class TestDecide(base.TestCase):
    def test_the_state_decides(self):
        admitted = (Decision.QUEUED, None)
        expected = {
            AuditState.PENDING: admitted,
            AuditState.ONGOING: admitted,
            AuditState.SUCCEEDED: admitted,
            AuditState.FAILED: admitted,
            AuditState.CANCELLED: (Decision.REJECTED, "audit_cancelled"),
            AuditState.SUSPENDED: (Decision.REJECTED, "audit_suspended"),
            AuditState.DELETED: (Decision.REJECTED, "audit_cancelled"),
        }
        self.assertEqual(expected, {state: decide(state=state) for state in AuditState.ALL})

    def test_only_event_audits_take_events(self):
        for audit_type in (AuditType.ONESHOT, AuditType.CONTINUOUS, None):
            self.assertEqual((Decision.REJECTED, "wrong_type"), decide(audit_type))

    def test_a_rejection_has_a_sentence(self):
        verdict = admission.decide(AuditType.EVENT, AuditState.SUSPENDED, None, None, NOW)
        self.assertIn("SUSPENDED", verdict.sentence)

    def test_the_window(self):
        outside = (Decision.IGNORED, "outside_window")
        self.assertEqual(outside, decide(start_time=NOW + HOUR))
        self.assertEqual(outside, decide(end_time=NOW))
        self.assertEqual((Decision.QUEUED, None), decide(start_time=NOW, end_time=NOW + HOUR))
