# SPDX-License-Identifier: Apache-2.0
"""The administrator's page lists what is sent."""

import pathlib
import re

from watcher.notifications.event_types import EVENT_TYPES
from watcher.notifications.payloads import VERSIONS
from watcher.tests import base

PAGE = pathlib.Path(__file__).parents[4] / "doc" / "source" / "admin" / "notifications.rst"


class TestPage(base.TestCase):
    def test_the_table_is_the_one_of_the_code(self) -> None:
        rows = re.findall(r"^``(\S+)``\s+(\w+Payload) ([\d.]+)\s+(\w+) ", PAGE.read_text(), re.M)
        code = {
            (event_type, event.payload, VERSIONS[event.payload], event.priority)
            for event_type, event in EVENT_TYPES.items()
        }
        code.add(("service.update", "ServiceUpdatePayload", "1.0", "warning"))
        self.assertEqual(code, set(rows))
