# SPDX-License-Identifier: Apache-2.0
"""What threads want done at the same time, done in one go."""

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")

_GATHERING: Final = 0.0003
"""Seconds: a fraction of what a call costs, in which its cost is shared by a few more."""


class Together(Generic[Q, A]):
    """Answers questions of several threads with one call of *answer*.

    It is called in the thread of one who asks, once at a time, with the questions of all who
    have asked since the last call began, and gives an answer or an exception for each.  A
    thread that is alone waits for nobody; in a crowd a call waits a moment for more of it.
    Nobody gets an answer that was looked for before he asked.  When a call fails, which may
    be the fault of one question, each is answered alone, unless the exception is *fatal*:
    then it would be the same for all.
    """

    def __init__(
        self,
        answer: Callable[[Sequence[Q]], Sequence[A | Exception]],
        fatal: type[Exception],
    ) -> None:
        self._answer, self._fatal = answer, fatal
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._next: _Go[Q, A] | None = None
        self._crowd = False

    def ask(self, question: Q) -> A:
        with self._lock:
            go, leads = self._next, self._next is None
            if go is None:
                go = self._next = _Go()
            place = len(go.questions)
            go.questions.append(question)
        if leads:
            self._lead(go)
        answer = go.answers.result()[place]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _lead(self, go: "_Go[Q, A]") -> None:
        with self._turn:
            if self._crowd:
                # Those who have just been answered are about to ask again.
                time.sleep(_GATHERING)
            with self._lock:
                self._next = None
            self._crowd = len(go.questions) > 1
            try:
                go.answers.set_result(self._answers(go.questions))
            except BaseException as error:
                go.answers.set_exception(error)

    def _answers(self, questions: Sequence[Q]) -> Sequence[A | Exception]:
        try:
            return self._answer(questions)
        except self._fatal:
            raise
        except Exception as error:
            if len(questions) == 1:
                return [error]
        return [self._answers([question])[0] for question in questions]


class _Go(Generic[Q, A]):
    def __init__(self) -> None:
        self.questions: list[Q] = []
        self.answers: Future[Sequence[A | Exception]] = Future()
