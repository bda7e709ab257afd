# SPDX-License-Identifier: Apache-2.0
"""Answers that are too long for one message of a broker, in pieces."""

import threading
import uuid
from collections import OrderedDict
from typing import Any

from watcher.common.errors import Unavailable

ROWS = 5_000
"""Rows of a piece: about 4 MB of the compute model; RabbitMQ takes 16 MiB."""

KEPT = 4
"""How many answers are kept for requests of their pieces, the latest ones."""

Rows = list[dict[str, Any]]


class Pieces:
    """The last long answers of this server.  Any thread may use it."""

    def __init__(self, server: str) -> None:
        """*server* is the name at the broker of the process that has the pieces."""
        self._server, self._lock = server, threading.Lock()
        self._answers: OrderedDict[str, Rows] = OrderedDict()

    def first(self, rows: Rows) -> dict[str, Any]:
        """The first of *rows*, and if there are more, how to request those."""
        if len(rows) <= ROWS:
            return {"context": rows}
        answer = uuid.uuid4().hex
        with self._lock:
            self._answers[answer] = rows
            if len(self._answers) > KEPT:
                self._answers.popitem(last=False)
        rest = {"server": self._server, "answer": answer, "rows": len(rows)}
        return {"context": rows[:ROWS], "rest": rest}

    def piece(self, answer: str, begin: int) -> dict[str, Any]:
        """The rows of an answer from row *begin* on; after the last piece the answer is removed.

        Unavailable if it was removed because of later answers.
        """
        with self._lock:
            rows = self._answers.get(answer)
            if rows is None:
                raise Unavailable("The answer is no longer there; ask again.")
            if begin + ROWS >= len(rows):
                del self._answers[answer]
        return {"context": rows[begin : begin + ROWS]}
