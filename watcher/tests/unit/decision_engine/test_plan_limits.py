# SPDX-License-Identifier: Apache-2.0
import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from watcher.db.models import Webhook
from watcher.decision_engine import plan_limits
from watcher.tests.base import TestCase

FACTS = plan_limits.PlanFacts(actions=10, gain=25.0, started=2, open_webhook=False)
COUNTS = st.integers(0, 20)
PERCENT = st.floats(0, 100, allow_nan=False)


class LimitsTest(TestCase):
    def reached(self, webhook: Webhook, **facts: object) -> str | None:
        return plan_limits.exceeded(webhook, dataclasses.replace(FACTS, **facts))

    def test_without_limits_everything_goes(self) -> None:
        self.assertIsNone(self.reached(Webhook(), actions=10**6, gain=None, started=10**6))

    def test_a_limit_is_the_last_that_is_allowed(self) -> None:
        self.assertIsNone(
            self.reached(Webhook(max_actions=10, max_plans_per_hour=3, min_efficacy=25))
        )

    def test_the_sentence_names_the_limit_and_the_numbers(self) -> None:
        for webhook, facts, expected in (
            (Webhook(max_actions=9), {}, ["10 actions", "max_actions is 9"]),
            (Webhook(max_actions=0), {"actions": 1}, ["1 actions", "max_actions is 0"]),
            (Webhook(max_plans_per_hour=2), {}, ["2 plans", "max_plans_per_hour is 2"]),
            (Webhook(min_efficacy=30.5), {}, ["25 %", "min_efficacy is 30.5 %"]),
            (Webhook(), {"open_webhook": True}, ["open", "require_auth_for_auto_trigger"]),
        ):
            sentence = self.reached(webhook, **facts)
            for part in expected:
                self.assertIn(part, sentence)

    def test_a_plan_of_which_no_gain_is_known_is_not_held_back_for_that(self) -> None:
        self.assertIsNone(self.reached(Webhook(min_efficacy=100), gain=None))

    def test_all_limits_that_are_reached_are_named(self) -> None:
        sentence = self.reached(
            Webhook(max_actions=10**9 - 1, max_plans_per_hour=10**9, min_efficacy=99.999999),
            actions=10**9,
            started=10**9,
            gain=12.3456789,
            open_webhook=True,
        )
        for name in ("max_actions", "max_plans_per_hour", "min_efficacy", "require_auth"):
            self.assertIn(name, sentence)

    @given(
        st.builds(
            Webhook,
            max_actions=st.none() | COUNTS,
            max_plans_per_hour=st.none() | COUNTS,
            min_efficacy=st.none() | PERCENT,
        ),
        st.builds(
            plan_limits.PlanFacts,
            actions=COUNTS,
            gain=st.none() | PERCENT,
            started=COUNTS,
            open_webhook=st.booleans(),
        ),
    )
    def test_less_never_reaches_what_more_does_not(
        self, webhook: Webhook, facts: plan_limits.PlanFacts
    ) -> None:
        calmer = dataclasses.replace(facts, actions=0, gain=100.0, started=0, open_webhook=False)
        if plan_limits.exceeded(webhook, facts) is None:
            self.assertIsNone(plan_limits.exceeded(webhook, calmer))
