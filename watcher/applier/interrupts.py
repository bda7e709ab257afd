# SPDX-License-Identifier: Apache-2.0
"""Interrupts: end the waits of a running plan when it is cancelled or the applier stops."""

import threading
from collections.abc import Callable


class Interrupted(Exception):
    """A wait ended early.  Actions must not catch this."""


class Cancelled(Interrupted):
    """The plan is being cancelled."""


class Stopped(Interrupted):
    """This applier stops executing the plan; another one, or its next start, continues."""


class Interrupts:
    """The two reasons to end a plan early, and the waits that they end."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.cancelled = self.stopped = False

    def cancel(self) -> bool:
        """End the waits because the plan is being cancelled.  False if that was done before."""
        with self._changed:
            first, self.cancelled = not self.cancelled, True
            self._changed.notify_all()
        return first

    def stop(self) -> None:
        with self._changed:
            self.stopped = True
            self._changed.notify_all()

    @property
    def present(self) -> bool:
        return self.cancelled or self.stopped

    def wait(self, seconds: float) -> None:
        """Wait; raises Cancelled or Stopped as soon as there is an interrupt."""
        with self._changed:
            self._changed.wait_for(lambda: self.present, seconds)
        if self.stopped:
            raise Stopped
        if self.cancelled:
            raise Cancelled

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait for *condition*, tested at each ``reevaluate``, or an interrupt."""
        with self._changed:
            self._changed.wait_for(lambda: self.present or condition())

    def reevaluate(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def wait_despite_cancel(self, seconds: float) -> None:
        """Wait during a cancellation or a revert: only Stopped ends it early."""
        with self._changed:
            self._changed.wait_for(lambda: self.stopped, seconds)
        if self.stopped:
            raise Stopped
