# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as a fact that is looked at between two steps, so that it never cuts one in two."""

import threading

asked = threading.Event()
"""Set by SIGINT and SIGTERM."""


class Interrupted(Exception):
    """The demonstration was asked to stop."""


def check() -> None:
    """Interrupted if somebody has asked for it."""
    if asked.is_set():
        raise Interrupted
