# SPDX-License-Identifier: Apache-2.0
"""Clients in a closed loop: over HTTP, and on plain connections to the database.

They share the machine with the measured service, so they do almost no work, in processes that
import almost nothing.  The clients of a process that speak HTTP have one thread, because threads
that wait for each other would take as much of the machine as the service does.
"""

import dataclasses
import multiprocessing
import multiprocessing.connection
import random
import selectors
import socket
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

PROCESSES = 2
WARM_UP = 3.0
"""Seconds in which both workers of a server load their modules."""

_LEAVES = 1 / 50
"""The share of requests after which a client connects anew."""

Loop = Callable[[float, float], list[float]]
"""``(begin, end)``: works until *end*; returns the seconds that each answer since *begin* took."""

Statements = Sequence[tuple[str, dict[str, Any]]]
"""SQL with its parameters, and ``COMMIT`` and ``ROLLBACK`` as they come."""


@dataclasses.dataclass(frozen=True)
class Measured:
    """The measurements of clients: requests a second, and seconds for each."""

    rate: float
    seconds: list[float]


def pooled(parts: Sequence[Measured]) -> Measured:
    """Measurements of the same length, as if they were one."""
    return Measured(
        sum(part.rate for part in parts) / len(parts),
        [each for part in parts for each in part.seconds],
    )


def http(address: tuple[str, int], paths: Sequence[str], body: bytes, **how: Any) -> Measured:
    """POST *body* to *paths* in any order; each answer has to be 202."""
    requests = [
        (
            f"POST {path} HTTP/1.1\r\nHost: {address[0]}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()
        + body
        for path in paths
    ]
    return measure(_posting, (address, requests), **how)


def sql(connection: dict[str, Any], choices: Sequence[Statements], **how: Any) -> Measured:
    """Execute one list of statements after the other, in any order."""
    return measure(_executing, (connection, choices), **how)


def measure(make: Callable[..., Loop], arguments: Any, *, clients: int, seconds: float) -> Measured:
    """Let the loops of *make* work in processes.  RuntimeError if one of these fails or dies."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    pipes = [context.Pipe(duplex=False) for _ in range(PROCESSES)]
    processes = [
        context.Process(
            target=_work,
            args=(make, (*arguments, clients // PROCESSES), seconds, barrier, answer),
            daemon=True,
        )
        for _, answer in pipes
    ]
    for process, (_, answer) in zip(processes, pipes, strict=True):
        process.start()
        answer.close()  # so that the pipe ends with the process
    try:
        working: dict[Any, Any] = dict(
            zip((answers for answers, _ in pipes), processes, strict=True)
        )
        times = []
        while working:
            for ready in multiprocessing.connection.wait([*working]):
                times += _answer(ready, working.pop(ready))
    finally:
        for process in processes:
            process.kill()
            process.join()
    return Measured(len(times) / seconds, times)


def _answer(answers: Any, process: Any) -> list[float]:
    try:
        answer: list[float] | str = answers.recv()
    except EOFError:
        process.join()
        raise RuntimeError(
            f"A process with clients died with status {process.exitcode} before it had measured."
        ) from None
    if isinstance(answer, str):
        raise RuntimeError(answer)
    return answer


def _work(
    make: Callable[..., Loop], arguments: Any, seconds: float, barrier: Any, answer: Any
) -> None:
    try:
        loop = make(*arguments)
        barrier.wait(60)
        begin = time.perf_counter() + WARM_UP
        answer.send(loop(begin, begin + seconds))
    except Exception as error:
        answer.send(f"{type(error).__name__}: {error}")


def _posting(address: tuple[str, int], requests: Sequence[bytes], clients: int) -> Loop:
    """Clients of one thread, each with one request at a time."""

    def loop(begin: float, end: float) -> list[float]:
        times = []
        with selectors.DefaultSelector() as selector:
            for _ in range(clients):
                _post(selector, _connect(address), requests)
            while selector.get_map():
                ready = selector.select(30)
                if not ready:
                    raise TimeoutError("no answer for 30 seconds")
                for key, _ in ready:
                    connection: Any = key.fileobj
                    selector.unregister(connection)
                    kept = _accepted(connection)
                    now = time.perf_counter()
                    if key.data >= begin:
                        times.append(now - key.data)
                    # An idle worker accepts a connection.  If clients kept their first connection,
                    # most would stay with the worker that woke first, and the other would be idle.
                    if now >= end or not kept or random.random() < _LEAVES:
                        connection.close()
                        connection = _connect(address) if now < end else None
                    if connection:
                        _post(selector, connection, requests)
        return times

    return loop


def _post(selector: Any, connection: socket.socket, requests: Sequence[bytes]) -> None:
    selector.register(connection, selectors.EVENT_READ, time.perf_counter())
    connection.sendall(random.choice(requests))


def _accepted(connection: socket.socket) -> bool:
    """Read an answer, which has to be 202.  It has no body, so it arrives in one piece.

    Returns whether the server keeps the connection.
    """
    answer = connection.recv(4096)
    if not (answer.startswith(b"HTTP/1.1 202") and answer.endswith(b"\r\n\r\n")):
        raise RuntimeError(answer.decode("latin-1") or "the server hung up")
    return b"Connection: close" not in answer


def _executing(connection: dict[str, Any], choices: Sequence[Statements], clients: int) -> Loop:
    """Clients in threads, because the driver waits for each answer."""
    calls = [_executor(connection, choices) for _ in range(clients)]

    def loop(begin: float, end: float) -> list[float]:
        with ThreadPoolExecutor(clients) as pool:
            parts = [pool.submit(_repeat, call, begin, end) for call in calls]
            return [each for part in parts for each in part.result()]

    return loop


def _connect(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _repeat(call: Callable[[], None], begin: float, end: float) -> list[float]:
    times = []
    before = time.perf_counter()
    while before < end:
        call()
        after = time.perf_counter()
        if before >= begin:
            times.append(after - before)
        before = after
    return times


def _executor(connection: dict[str, Any], choices: Sequence[Statements]) -> Callable[[], None]:
    import pymysql

    plain = pymysql.connect(**connection, autocommit=False)
    cursor = plain.cursor()
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")

    def execute() -> None:
        for statement, parameters in random.choice(choices):
            if statement == "COMMIT":
                plain.commit()
            elif statement == "ROLLBACK":
                plain.rollback()
            else:
                if statement.startswith("INSERT"):
                    parameters = {**parameters, "uuid": str(uuid.uuid4())}
                cursor.execute(statement, parameters)
                cursor.fetchall()

    return execute
