# SPDX-License-Identifier: Apache-2.0
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from watcher.tests.base import TestCase
from watcher.webhooks import truncation

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


class KeptTest(TestCase):
    def test_all_of_what_fits(self) -> None:
        for payload in (None, {"a": [1, "ä"]}, [], "x"):
            self.assertEqual(payload, json.loads(truncation.truncated(payload, 100)))

    def test_the_beginning_of_a_group_of_alerts(self) -> None:
        alert = {"status": "firing", "labels": {"host": "compute-1", "text": "x" * 400}}
        group = {"version": "4", "status": "firing", "alerts": [alert] * 600, "receiver": "w"}
        text = truncation.truncated(group, 65536)
        self.assertLessEqual(len(text), 65536)
        self.assertGreater(len(text), 60000)
        cut = json.loads(text)
        self.assertIn("had 2", cut["watcher_cut"])
        self.assertTrue(json.dumps(group).startswith(cut["payload"]))

    @given(JSON, st.integers(1024, 2048), st.text(min_size=2000))
    def test_it_is_json_and_fits(self, payload: Any, most: int, text: str) -> None:
        for each in (payload, {"first": text, "then": payload}, [payload, text, payload]):
            kept = truncation.truncated(each, most)
            json.loads(kept)
            self.assertLessEqual(len(kept), most)
