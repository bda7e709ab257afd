# SPDX-License-Identifier: Apache-2.0
import contextlib
import io
from typing import Any

import webob
from hypothesis import given
from hypothesis import strategies as st
from testtools.matchers import StartsWith
from wsme import types as wsme_types

from watcher.api import bodies
from watcher.api.types import List, Object, Text
from watcher.common.errors import BodyTooLarge, Invalid
from watcher.tests.base import TestCase


class Stream(io.RawIOBase):
    """A body of any size that nobody has in memory."""

    def __init__(self, size: int) -> None:
        self.left, self.largest_read, self.taken = size, 0, 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        size = self.left if size < 0 else min(size, self.left)
        self.largest_read = max(self.largest_read, size)
        self.taken += size
        self.left -= size
        return b" " * size

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def chunked(stream: Stream) -> webob.Request:
    environ = {"wsgi.input": stream, "wsgi.input_terminated": True}
    return webob.Request.blank("/", environ=environ, method="POST")


def with_length(stream: Stream, length: int) -> webob.Request:
    environ = {"wsgi.input": stream, "CONTENT_LENGTH": str(length)}
    return webob.Request.blank("/", environ=environ, method="POST")


class ReadTestCase(TestCase):
    def test_a_body_within_the_limit(self) -> None:
        for size in (0, 1, 99, 100):
            self.assertEqual(b" " * size, bodies.read(chunked(Stream(size)), 100))
            self.assertEqual(b" " * size, bodies.read(with_length(Stream(size), size), 100))

    def test_a_length_beyond_the_limit_is_refused_unread(self) -> None:
        stream = Stream(101)
        error = self.assertRaises(BodyTooLarge, bodies.read, with_length(stream, 101), 100)
        self.assertIn("100 bytes", str(error))
        self.assertEqual(0, stream.taken)

    def test_chunks_beyond_the_limit_are_refused_in_time(self) -> None:
        stream = Stream(10 * 2**20)
        self.assertRaises(BodyTooLarge, bodies.read, chunked(stream), 2**20)
        self.assertEqual(2**20 + 1, stream.taken)

    def test_chunks_that_the_server_does_not_read(self) -> None:
        environ = {"wsgi.input": Stream(0), "HTTP_TRANSFER_ENCODING": "chunked"}
        error = self.assertRaises(Invalid, bodies.read, webob.Request(environ), 100)
        self.assertThat(str(error), StartsWith("Transfer-Encoding: "))
        environ["wsgi.input_terminated"] = True
        self.assertEqual(b"", bodies.read(webob.Request(environ), 100))

    def test_a_client_that_hangs_up(self) -> None:
        self.assertRaises(Invalid, bodies.read, with_length(Stream(5), 10), 100)


class DrainedTestCase(TestCase):
    def test_an_unread_body_is_received_in_pieces(self) -> None:
        stream = Stream(10 * 2**20)
        application = bodies.DiscardUnreadBody(webob.Response("refused", status=401))
        for request in (with_length(stream, 10 * 2**20), chunked(Stream(2**20))):
            self.assertEqual(401, request.get_response(application).status_int)
        self.assertEqual(0, stream.left)
        self.assertLessEqual(stream.largest_read, 2**16)

    def test_only_the_beginning_of_an_endless_body_is_discarded(self) -> None:
        stream = Stream(10 * bodies.MAX_READ)
        chunked(stream).get_response(bodies.DiscardUnreadBody(webob.Response()))
        self.assertEqual(bodies.MAX_READ, stream.taken)

    def test_a_client_that_hangs_up_is_no_error(self) -> None:
        request = with_length(Stream(5), 10)
        self.assertEqual(
            200, request.get_response(bodies.DiscardUnreadBody(webob.Response())).status_int
        )


class DecodeTestCase(TestCase):
    def test_any_json_value(self) -> None:
        for text, value in (("null", None), ("[1]", [1]), ('"ä"', "ä"), (" {} ", {})):
            self.assertEqual(value, bodies.decode(text.encode()))

    def test_what_is_no_json(self) -> None:
        for body in (b"", b"{", b"NaN", b"[Infinity]", b"\xff", b"1" * 5000, b"[" * 100_000):
            self.assertRaises(Invalid, bodies.decode, body)

    @given(st.binary())
    def test_any_bytes_are_json_or_invalid(self, body: bytes) -> None:
        with contextlib.suppress(Invalid):
            bodies.decode(body)


class Sample(wsme_types.Base):
    name = wsme_types.wsattr(Text(5), mandatory=True)
    flag = bool
    options = Object
    items = List
    secret = wsme_types.wsattr(Text(5), readonly=True)


class TypedTestCase(TestCase):
    def test_fields_that_fit(self) -> None:
        sample = bodies.typed(
            Sample, {"name": "Zoë", "flag": "yes", "options": {"a": 1}, "items": [1]}
        )
        self.assertEqual("Zoë", sample.name)
        self.assertIs(True, sample.flag)
        self.assertEqual({"a": 1}, sample.options)
        self.assertEqual([1], sample.items)

    def test_the_sentence_names_the_field(self) -> None:
        for value, sentence in (
            ({}, "name: this field is missing."),
            ({"name": 1}, "name: must be a string."),
            ({"name": "long name"}, "name: must not be longer than 5 characters."),
            ({"name": "a\0"}, "name: must be a string without NUL"),
            ({"name": "x", "flag": "perhaps"}, "flag: "),
            ({"name": "x", "flag": []}, "flag: "),
            ({"name": "x", "options": []}, "options: must be a JSON object."),
            ({"name": "x", "items": {}}, "items: must be a JSON list."),
            ({"name": "x", "secret": "s"}, "secret: this field is read-only."),
            ({"name": "x", "more": 1}, "more: no such field; allowed are flag, items, name"),
            ([], "The body must be a JSON object."),
            (None, "The body must be a JSON object."),
        ):
            error = self.assertRaises(Invalid, bodies.typed, Sample, value)
            self.assertThat(str(error), StartsWith(sentence))

    @given(
        st.dictionaries(
            st.sampled_from(["name", "flag", "options", "items", "secret", "more"]),
            st.recursive(
                st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
                lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
                max_leaves=5,
            ),
        )
    )
    def test_any_object_fits_or_is_invalid(self, value: Any) -> None:
        with contextlib.suppress(Invalid):
            bodies.typed(Sample, value)
