# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C as a flag that is checked between two steps, so that it interrupts no step."""

import threading

asked = threading.Event()
"""Set by SIGINT and SIGTERM."""


class Interrupted(Exception):
    """The demonstration was asked to stop."""


def check() -> None:
    """Raise Interrupted if a stop was requested."""
    if asked.is_set():
        raise Interrupted
