# SPDX-License-Identifier: Apache-2.0
from watcher.cloud.compute import DISABLED, FORMER_REASON, MAINTAINING, Host
from watcher.tests.base import TestCase

PLAN = "5b1d7a9c-2e4f-4083-9c01-1f6c8e2a7b9d"


def host(reason: str | None, status: str = "disabled") -> Host:
    return Host("u", "h", 1, 1, 1, status=status, disabled_reason=reason)


class DisabledReasonTest(TestCase):
    def check(self, word: str | None, plan: str | None, one: Host) -> None:
        self.assertEqual((word, plan), (one.disabled_as, one.disabled_by))

    def test_reasons_with_a_plan(self) -> None:
        self.check(DISABLED, PLAN, host(f"{DISABLED} {PLAN}"))
        self.check(MAINTAINING, PLAN, host(f"{MAINTAINING} {PLAN}"))

    def test_former_reasons(self) -> None:
        self.check(DISABLED, None, host("watcher_disabled"))
        self.check(MAINTAINING, None, host("watcher_maintaining"))
        self.check(DISABLED, None, host(FORMER_REASON))

    def test_what_others_write(self) -> None:
        for reason in (None, "", "new fans", "watcher_disabled until May", f"broken {PLAN}"):
            self.check(None, None, host(reason))
        self.check(None, None, host("watcher: powered off"))

    def test_the_reason_of_an_enabled_host_does_not_count(self) -> None:
        self.check(None, None, host(f"{DISABLED} {PLAN}", status="enabled"))
