# SPDX-License-Identifier: Apache-2.0
from watcher.cloud.compute import ServerGroup
from watcher.model import undone, wishes
from watcher.tests.base import TestCase
from watcher.tests.unit.decision_engine.clusters import server, uid


class BrokenTest(TestCase):
    """Servers a and b are on h1, c and d on h2."""

    def said(self, policy: str, members: str = "abcd", **ends: str) -> str:
        servers = [server(name, "h1" if name < "c" else "h2") for name in "abcd"]
        group = ServerGroup("g", policy, [uid(name) for name in members])
        found = wishes.broken(
            [group],
            {one.uuid: one for one in servers},
            {uid(name): to for name, to in ends.items()},
        )
        return undone.sentence("", found)

    def test_those_that_are_joined(self) -> None:
        self.assertEqual(
            "2 pairs break the wish of their group: "
            "2 put on one host against soft anti-affinity (a and c, a and d).",
            self.said("soft-anti-affinity", a="h2"),
        )
        self.assertIn("1 put on one host", self.said("soft-anti-affinity", a="h3", c="h3"))

    def test_those_that_are_parted(self) -> None:
        self.assertEqual(
            "1 pair breaks the wish of its group: 1 parted against soft affinity (a and b).",
            self.said("soft-affinity", a="h2"),
        )

    def test_what_is_broken_already_is_not_counted(self) -> None:
        self.assertEqual("", self.said("soft-anti-affinity", a="h3", b="h3"))
        self.assertEqual("", self.said("soft-affinity", "ac", a="h3"))

    def test_what_is_satisfied_is_not_counted(self) -> None:
        self.assertEqual("", self.said("soft-affinity", a="h2", b="h2"))
        self.assertEqual("", self.said("soft-anti-affinity", a="h3"))
        self.assertEqual("", self.said("anti-affinity", a="h2"))

    def test_members_elsewhere_do_not_count(self) -> None:
        self.assertEqual("", self.said("soft-anti-affinity", "ax", a="h2"))
