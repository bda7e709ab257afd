# SPDX-License-Identifier: Apache-2.0
"""watcher-all-in-one that ends when the demonstration ends, in whatever way.

The demonstration holds the other end of the standard input; the kernel closes it even when the
demonstration is killed.
"""

import os
import signal
import sys
import threading
import time

_STOP_SECONDS = 30.0


def _end_with_the_demonstration() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_the_demonstration, daemon=True).start()
    from watcher.cmd import all_in_one

    all_in_one.main()
