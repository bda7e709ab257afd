# SPDX-License-Identifier: Apache-2.0
import webob
from hypothesis import given
from hypothesis import strategies as st

from watcher.api import paging
from watcher.common.errors import Invalid
from watcher.db.paging import Page
from watcher.tests.base import TestCase


class PageTestCase(TestCase):
    def test_all_of_it(self) -> None:
        query = {"limit": "7", "marker": "m", "sort_key": "name", "sort_dir": "desc"}
        self.assertEqual(Page(7, "m", "name", True), paging.page(query, 1000))

    def test_none_of_it(self) -> None:
        self.assertEqual(Page(1000, None, "id", False), paging.page({}, 1000))

    @given(st.integers(1, 10**12))
    def test_a_limit_is_cut_down(self, limit: int) -> None:
        self.assertEqual(min(limit, 1000), paging.page({"limit": str(limit)}, 1000).limit)

    def test_limits_that_are_none(self) -> None:
        for limit in ("0", "00", "-1", "+1", "1.0", "", " 1", "²", "\u0661"):
            error = self.assertRaises(Invalid, paging.page, {"limit": limit}, 1000)
            self.assertIn("limit:", str(error))

    def test_a_direction_that_is_none(self) -> None:
        self.assertRaises(Invalid, paging.page, {"sort_dir": "ASC"}, 1000)

    def test_markers(self) -> None:
        uuid = "6ec3b6e4-4f1a-4f7b-8f3f-111111111111"
        self.assertEqual(uuid, paging.uuid_marker(uuid.upper()))
        self.assertRaises(Invalid, paging.uuid_marker, "some-name")
        self.assertEqual("12", paging.id_marker("12"))
        self.assertRaises(Invalid, paging.id_marker, "-12")


class CollectionTestCase(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.request = webob.Request.blank(
            "/v1/audits/detail?limit=2&goal=a%26b&marker=old", base_url="http://cloud:9322/prefix"
        )

    def test_a_full_page_has_a_next(self) -> None:
        body = paging.collection(
            self.request, "audits", [{"uuid": "1"}, {"uuid": "2"}], Page(2, "old", "name", True)
        )
        self.assertEqual(
            "http://cloud:9322/v1/audits/detail?"
            "sort_key=name&sort_dir=desc&limit=2&marker=2&goal=a%26b",
            body["next"],
        )

    def test_a_page_with_room_is_the_last(self) -> None:
        for items in ([], [{"uuid": "1"}]):
            self.assertEqual(
                {"audits": items}, paging.collection(self.request, "audits", items, Page(2))
            )

    def test_links_leave_the_prefix_out(self) -> None:
        self.assertEqual(
            [
                {"href": "http://cloud:9322/v1/goals/x%20y", "rel": "self"},
                {"href": "http://cloud:9322/goals/x%20y", "rel": "bookmark"},
            ],
            paging.links(self.request, "goals", "x y"),
        )
