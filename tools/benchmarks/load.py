# SPDX-License-Identifier: Apache-2.0
"""Clients in a closed loop: over HTTP, and on plain connections to the database.

They share the machine with the measured service, so they do almost no work, in processes that
import almost nothing.
"""

import dataclasses
import multiprocessing
import random
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any

PROCESSES = 2
WARM_UP = 3.0
"""Seconds in which both workers of a server load their modules."""

_LEAVES = 1 / 50
"""The share of requests after which a client connects anew."""

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
    return _measure(_poster, (address, requests), **how)


def sql(connection: dict[str, Any], choices: Sequence[Statements], **how: Any) -> Measured:
    """Execute one list of statements after the other, in any order."""
    return _measure(_executor, (connection, choices), **how)


def _measure(
    make: Callable[..., Callable[[], None]], arguments: Any, *, clients: int, seconds: float
) -> Measured:
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    barrier = context.Barrier(PROCESSES)
    processes = [
        context.Process(
            target=_work,
            args=(make, arguments, clients // PROCESSES, seconds, barrier, answers),
            daemon=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    found = [answers.get() for _ in processes]
    for process in processes:
        process.join()
    errors = [each for each in found if isinstance(each, str)]
    if errors:
        raise RuntimeError(errors[0])
    times = [each for part in found for each in part]
    return Measured(len(times) / seconds, times)


def _work(
    make: Callable[..., Callable[[], None]],
    arguments: Any,
    clients: int,
    seconds: float,
    barrier: Any,
    answers: Any,
) -> None:
    try:
        calls = [make(*arguments) for _ in range(clients)]
        barrier.wait(60)
        begin = time.perf_counter() + WARM_UP
        times: list[list[float]] = [[] for _ in calls]
        errors: list[str] = []

        def loop(call: Callable[[], None], mine: list[float]) -> None:
            try:
                before = time.perf_counter()
                while before < begin + seconds:
                    call()
                    after = time.perf_counter()
                    if before >= begin:
                        mine.append(after - before)
                    before = after
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")

        threads = [
            threading.Thread(target=loop, args=pair) for pair in zip(calls, times, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answers.put(errors[0] if errors else [each for mine in times for each in mine])
    except Exception as error:
        answers.put(f"{type(error).__name__}: {error}")


def _poster(address: tuple[str, int], requests: Sequence[bytes]) -> Callable[[], None]:
    connection = _connect(address)

    def post() -> None:
        nonlocal connection
        # An idle worker accepts a connection.  If clients kept their first connection, most would
        # stay with the worker that woke first, and the other would be idle.
        if random.random() < _LEAVES:
            connection.close()
            connection = _connect(address)
        connection.sendall(random.choice(requests))
        answer = b""
        while b"\r\n\r\n" not in answer:  # a 202 has no body
            piece = connection.recv(4096)
            if not piece:
                raise ConnectionError("the server hung up")
            answer += piece
        if not answer.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(answer.decode("latin-1"))

    return post


def _connect(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, 30)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


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
