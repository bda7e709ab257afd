# SPDX-License-Identifier: Apache-2.0
"""Starts the demonstration, and stops it cleanly."""

import signal
import sys

from tools.demo import interrupt

if __name__ == "__main__":
    # Before the imports that take long, so that an interrupt during them shows no traceback.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupt.asked.set())
    from tools.demo import show

    sys.exit(show.main())
