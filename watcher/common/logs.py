# SPDX-License-Identifier: Apache-2.0
"""Logging by oslo.log, without control characters in messages.

Messages contain input of others, which could otherwise end a line and forge the next one.
"""

import logging
import unicodedata
from collections.abc import Mapping
from typing import Final

from oslo_config import cfg
from oslo_log import log

_WORDS: Final = {
    number: ascii(chr(number))[1:-1]
    # The ranges that have such characters; all of Unicode would delay each start by 0.2 s.
    for number in (*range(0x10000), *range(0xE0000, 0xE0100))
    # Control characters, those that change the direction of text, surrogates (which cannot be
    # encoded), and the separators of lines and paragraphs.
    if unicodedata.category(chr(number)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
}
_IN_LINES: Final = {number: word for number, word in _WORDS.items() if chr(number) not in "\n\t"}
"""The replacements in texts of several lines, which are tracebacks."""


def clean(text: str) -> str:
    """*text* on one line, with its control characters as Python spells them."""
    return _spelled(text, _WORDS)


def _spelled(text: str, words: Mapping[int, str]) -> str:
    # Almost all lines are printable, and that takes a tenth of the time to find out.
    return text if text.isprintable() else text.translate(words)


class Record(logging.LogRecord):
    """A record whose message is one line."""

    def getMessage(self) -> str:
        return clean(super().getMessage())


class Lines(logging.Formatter):
    """The text of another formatter, with line ends as the only control characters."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return _spelled(self._inner.format(record), _IN_LINES)


def setup(conf: cfg.ConfigOpts) -> None:
    log.setup(conf, "python-watcher")
    logging.setLogRecordFactory(Record)
    # It logs tracebacks of errors that it raises as well; those who catch them say more.
    logging.getLogger("oslo_db.sqlalchemy.exc_filters").setLevel(logging.CRITICAL)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Lines(handler.formatter))
