# SPDX-License-Identifier: Apache-2.0
"""Queries to a datasource over HTTP: timeouts, repetition, and bad answers."""

import html
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import requests
from keystoneauth1 import exceptions as keystone
from oslo_config import cfg
from oslo_log import log

from watcher.common.errors import MetricsUnavailable
from watcher.common.periodic import jittered

LOG = log.getLogger(__name__)

Chunk = TypeVar("Chunk")
T = TypeVar("T")

Send = Callable[..., requests.Response]
"""``(method, path, **request)`` to the answer, whatever its status."""

TIMEOUT = (5, 60)
"""Seconds to connect, and to wait for an answer."""

QUICK: Mapping[str, Any] = {"tries": 1, "timeout": (5, 10)}
"""The timeouts for a check whether it answers, because a user waits for the result."""

_LONGEST_PAUSE = 8
"""The longest pause, in multiples of ``query_interval``."""

_DETAIL_LENGTH = 150


class Refused(MetricsUnavailable):
    """The datasource refused the query, and would refuse it again."""

    def __init__(self, sentence: str, status: int, detail: str) -> None:
        super().__init__(sentence)
        self.status, self.detail = status, detail


class Failed(Exception):
    """There was no useful answer; *again*: another attempt may get one."""

    def __init__(self, sentence: str, again: bool = True) -> None:
        super().__init__(sentence)
        self.again = again


class Queries:
    """Asks one datasource for JSON.  Any thread may use it."""

    def __init__(
        self,
        datasource: str,
        send: Send,
        conf: cfg.ConfigOpts,
        wait: Callable[[float], bool],
        timeout: Any = TIMEOUT,
    ) -> None:
        """*timeout* is as ``requests`` takes it."""
        self._datasource, self._send = datasource, send
        self._options, self._wait = conf.watcher_datasources, wait
        self.timeout = timeout
        self._at_once: int = conf.watcher_decision_engine.max_general_workers

    def ask(
        self,
        about: str,
        read: Callable[[Any], T],
        method: str,
        path: str,
        tries: int | None = None,
        **request: Any,
    ) -> T:
        """The result of *read* for the JSON that answers a request *about* a metric.

        Without an answer that *read* can read, the request is repeated,
        ``[watcher_datasources] query_max_retries`` times in all or *tries* times.  It is
        not repeated after a timeout, because the datasource may still be working on it.
        Then MetricsUnavailable; Refused at once if the datasource refused it.
        """
        tries = tries or self._options.query_max_retries
        pause = self._options.query_interval
        for left in reversed(range(tries)):
            try:
                return read(self._answer(about, method, path, request))
            except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
                problem = Failed(f"it answered with something else ({type(error).__name__})")
            except Failed as failed:
                problem = failed
            if not left or not problem.again:
                break
            LOG.warning("Asked %s for %s, but %s", self._datasource, about, problem)
            if self._wait(jittered(pause)):
                problem = Failed("the service is stopping")
                break
            pause = min(pause * 2, self._options.query_interval * _LONGEST_PAUSE)
        raise self.unavailable(about, problem)

    def together(self, ask: Callable[[Chunk], T], chunks: Sequence[Chunk]) -> Iterator[T]:
        """The results of *ask* for each of *chunks*, in their order; several run at a time.

        The first error in that order is raised; queries that have not begun by then are
        dropped.
        """
        if len(chunks) < 2:
            yield from map(ask, chunks)
            return
        with ThreadPoolExecutor(min(self._at_once, len(chunks)), "metrics") as pool:
            yield from pool.map(ask, chunks)

    def unavailable(self, about: str, problem: object) -> MetricsUnavailable:
        """The error that names datasource and metric."""
        return MetricsUnavailable(self._sentence(about, problem))

    def _sentence(self, about: str, problem: object) -> str:
        return f"Datasource {self._datasource} gave no {about}: {problem}."

    def _answer(self, about: str, method: str, path: str, request: Mapping[str, Any]) -> Any:
        try:
            response = self._send(method, path, **{"timeout": self.timeout, **request})
        except (requests.ReadTimeout, keystone.ConnectTimeout) as error:
            raise Failed("it did not answer in time", again=False) from error
        except (requests.ConnectionError, keystone.ConnectFailure) as error:
            raise Failed("it cannot be reached") from error
        except requests.exceptions.InvalidHeader:  # the error shows the header, with the token
            said = "a header, such as a token, has characters that it must not have"
            raise Failed(said, again=False) from None
        except OSError as error:  # errors of requests itself, and of certificates
            raise Failed(f"it cannot be asked: {_short(str(error))}", again=False) from error
        except keystone.ClientException as error:
            again = not isinstance(error, (keystone.CatalogException, keystone.HTTPClientError))
            raise Failed(f"keystone's answer was: {_short(_plain(str(error)))}", again) from error
        if response.status_code >= 500 or response.status_code == 429:
            raise Failed(f"it answered {response.status_code} {response.reason}".strip())
        if response.status_code >= 400:
            detail = _plain(response.text)
            problem = f"it answered {response.status_code} {_short(detail)}".strip()
            raise Refused(self._sentence(about, problem), response.status_code, detail)
        return response.json()


def number(value: Any) -> float | None:
    """A measured value; None for one that is not a number, such as 0/0.  ValueError."""
    number = float(value)
    return number if math.isfinite(number) else None


def _plain(text: str) -> str:
    """*text* on one line, without HTML tags."""
    text = re.sub(r"<(style|title)\b.*?</\1>|<[^>]*>", " ", text, flags=re.DOTALL)
    return " ".join(html.unescape(text).split()).rstrip(".")


def _short(text: str) -> str:
    """The end of *text*, because its beginning is the same for every error."""
    return text if len(text) <= _DETAIL_LENGTH else "..." + text[-_DETAIL_LENGTH:]
