# SPDX-License-Identifier: Apache-2.0
import contextlib

from hypothesis import given
from hypothesis import strategies as st

from watcher.api import microversions
from watcher.common.errors import NotAcceptable
from watcher.tests.base import TestCase

LATEST = microversions.text(microversions.MAXIMUM)


class ParseTestCase(TestCase):
    def test_versions_that_are_served(self) -> None:
        for header, version in (
            (None, (1, 0)),
            ("", (1, 0)),
            ("1.5", (1, 0)),
            ("compute 2.1", (1, 0)),
            ("infra-optim 1.0", (1, 0)),
            (f"infra-optim {LATEST}", microversions.MAXIMUM),
            ("Infra-Optim   1.4", (1, 4)),
            ("infra-optim 1", (1, 0)),
            ("infra-optim latest", microversions.MAXIMUM),
            ("infra-optim LATEST", microversions.MAXIMUM),
            ("compute 2.1, infra-optim 1.4", (1, 4)),
            ("infra-optim 1.4,infra-optim 1.2", (1, 2)),
            ("infra-optim 1.4, compute 2.1", (1, 4)),
        ):
            self.assertEqual(version, microversions.parse(header), header)

    def test_versions_that_are_not(self) -> None:
        major, minor = microversions.MAXIMUM
        above = (f"{major}.{minor + 1}", f"{major + 1}.0")
        for wanted in (*above, "0.9", "1.2.3", "1.abc", "-1.0", "1.", "newest", "1.0000001"):
            error = self.assertRaises(NotAcceptable, microversions.parse, f"infra-optim {wanted}")
            self.assertIn(f"1.0 to {LATEST}", str(error))

    @given(st.text())
    def test_any_header_is_a_version_or_not_acceptable(self, header: str) -> None:
        with contextlib.suppress(NotAcceptable):
            self.assertIn(microversions.parse(header), microversions.HISTORY)

    def test_each_version_has_a_reason(self) -> None:
        versions = list(microversions.HISTORY)
        self.assertEqual([(1, minor) for minor in range(len(versions))], versions)
        self.assertTrue(all(microversions.HISTORY.values()))
