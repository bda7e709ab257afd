# SPDX-License-Identifier: Apache-2.0
"""Logging by oslo.log, without control characters in messages.

Messages contain input of others, which could otherwise end a line and forge the next one.
"""

import logging
import unicodedata
from typing import Final

from oslo_config import cfg
from oslo_log import log

_WORDS: Final = {
    number: ascii(chr(number))[1:-1]
    # Where such characters are; all of Unicode would take each start a fifth of a second.
    for number in (*range(0x10000), *range(0xE0000, 0xE0100))
    # Controls, what turns the direction of writing, surrogates that no encoding takes, and the
    # separators of lines and paragraphs.
    if unicodedata.category(chr(number)) in ("Cc", "Cf", "Cs", "Zl", "Zp")
}
_IN_LINES: Final = {number: word for number, word in _WORDS.items() if chr(number) not in "\n\t"}
"""For texts of several lines: tracebacks."""


def clean(text: str) -> str:
    """*text* on one line, with its control characters as Python spells them."""
    return text.translate(_WORDS)


class Record(logging.LogRecord):
    """A record whose message is one line."""

    def getMessage(self) -> str:
        return clean(super().getMessage())


class Lines(logging.Formatter):
    """What another formatter makes, with line ends as the only control characters."""

    def __init__(self, inner: logging.Formatter | None) -> None:
        super().__init__()
        self._inner = inner or logging.Formatter()

    def format(self, record: logging.LogRecord) -> str:
        return self._inner.format(record).translate(_IN_LINES)


def setup(conf: cfg.ConfigOpts) -> None:
    """Log as the options say."""
    log.setup(conf, "python-watcher")
    logging.setLogRecordFactory(Record)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Lines(handler.formatter))
