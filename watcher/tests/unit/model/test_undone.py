# SPDX-License-Identifier: Apache-2.0
from watcher.model import undone
from watcher.model.undone import Undone
from watcher.tests.base import TestCase


class SentenceTest(TestCase):
    def test_nothing_is_left(self) -> None:
        self.assertEqual("", undone.sentence("", []))

    def test_kinds_with_counts_and_examples(self) -> None:
        kinds = undone.grouped([(f"s{n}", undone.LOCKED) for n in range(5)] + [("t", undone.ROOM)])
        self.assertEqual(
            "2 hosts stay above 80 % CPU: 6 servers stay: 5 locked (s0, s1, s2, ...), "
            "1 too large for the room on any other host (t).",
            undone.sentence("2 hosts stay above 80 % CPU", kinds),
        )

    def test_things_of_several_sorts(self) -> None:
        kinds = [
            Undone(undone.UNKNOWN, 1, ("h9",), "of the scope, unknown to the cloud", "names"),
            Undone(undone.BUSY, 1, ("s1",)),
        ]
        self.assertEqual(
            "1 name matches nothing: 1 of the scope, unknown to the cloud (h9); "
            "1 server stays: 1 busy with another task (s1).",
            undone.sentence("", kinds),
        )

    def test_every_kind_has_its_words(self) -> None:
        for reason in undone.REASONS:
            self.assertTrue(Undone(reason, 1).words)
