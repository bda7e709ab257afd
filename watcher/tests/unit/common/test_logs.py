# SPDX-License-Identifier: Apache-2.0
import io
import logging

import fixtures

from watcher.common import logs
from watcher.tests.base import TestCase


class LogsTest(TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(logs.Lines(logging.Formatter("%(levelname)s %(message)s")))
        self.logger = logging.Logger("test")
        self.logger.addHandler(handler)
        factory = logging.getLogRecordFactory()
        self.addCleanup(logging.setLogRecordFactory, factory)
        logging.setLogRecordFactory(logs.Record)

    def test_what_was_sent_ends_no_line(self) -> None:
        sent = "a\r\nCRITICAL all is lost\x1b[2J\x00\x85\u2028\u202e\ud800 \u00e4\U0001f525"
        self.logger.warning("There is no audit %s.", sent)
        self.assertEqual(
            "WARNING There is no audit a\\r\\nCRITICAL all is lost\\x1b[2J\\x00\\x85\\u2028\\u202e"
            "\\ud800 \u00e4\U0001f525.\n",
            self.stream.getvalue(),
        )

    def test_tracebacks_keep_their_lines(self) -> None:
        try:
            raise ValueError("what\x1b[2J")
        except ValueError:
            self.logger.exception("Failed")
        self.assertIn("ERROR Failed\nTraceback", self.stream.getvalue())
        self.assertIn("what\\x1b[2J", self.stream.getvalue())

    def test_whatever_the_options_say(self) -> None:
        root = logging.getLogger()
        self.addCleanup(setattr, root, "handlers", root.handlers)
        self.useFixture(fixtures.MockPatch("oslo_log.log.setup"))
        root.handlers = [logging.StreamHandler(self.stream)]
        logs.setup(self.conf)
        self.assertIsInstance(root.handlers[0].formatter, logs.Lines)
