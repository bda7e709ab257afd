# SPDX-License-Identifier: Apache-2.0
"""Models of clouds that grow: reading a cloud, snapshots, scopes and metrics.

The cloud is emulated in a process of its own, so the figures show the work of Watcher and of
openstacksdk; a real nova takes time in addition.
"""

import argparse
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from keystoneauth1.session import Session

from benchmarks import clusters
from benchmarks.report import Figure, show
from watcher import conf as watcher_conf
from watcher.cmd import cloud
from watcher.decision_engine.collectors.collectors import Collectors
from watcher.tests.emulated import keystone
from watcher.tests.emulated.cloud import EmulatedCloud

PARTS = ("sync", "snapshot", "metrics")
CHANGES = 10


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench model", description=__doc__)
    parser.add_argument("--only", choices=PARTS, help="one part of it")
    parser.add_argument("--size", choices=clusters.SIZES, help="one size only")
    parser.add_argument("--child", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.serve:
        return _serve(arguments.size)
    if arguments.child:
        print(json.dumps([vars(figure) for figure in _part(arguments.child, arguments.size)]))
        return 0
    parts = (arguments.only,) if arguments.only else PARTS
    sizes = (arguments.size,) if arguments.size else tuple(clusters.SIZES)
    found = {(part, size): _measured(part, size) for part in parts for size in sizes}
    figures = [figure for several in found.values() for figure in several]
    show(figures)
    for part in parts:
        _show_growth([found[part, size] for size in sizes], sizes)
    return 1 if any(figure.met == "NO" for figure in figures) else 0


def _measured(part: str, size: str) -> list[Figure]:
    """The figures of a part for one size.  It has a process of its own, so that its memory can be
    measured."""
    command = [sys.executable, sys.argv[0], "model", "--child", part, "--size", size]
    answer = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return [Figure(**figure) for figure in json.loads(answer)]


def _part(part: str, size: str) -> Iterator[Figure]:
    if part == "snapshot":
        from benchmarks.model_snapshot import snapshot

        return snapshot(size)
    if part == "metrics":
        from benchmarks.model_metrics import metrics

        return metrics(size)
    return _sync(size)


def _sync(size: str) -> Iterator[Figure]:
    """Read the whole cloud, then the changes, then the whole cloud with known inventories.

    The former service needs three requests for each host every time.
    """
    hosts, _ = clusters.SIZES[size]
    with _cloud_of(size) as url:
        conf = watcher_conf.load([], [])
        keystone.configure(conf, url)
        connected = cloud.connect(conf)
        collectors, compute = Collectors(conf, connected), connected.compute
        connected.compute.flavor("x1")  # the catalog and the versions are known from here on
        before = _resident()
        yield from _figures(f"{size}: sync", collectors.compute, today=3 * hosts)
        yield Figure(f"{size}: sync, memory", _resident() - before, "MiB")
        yield from _figures(f"{size}: nothing changed", collectors.compute, today=3 * hosts)
        for server in collectors.compute().servers[:CHANGES]:
            compute.stop(server.uuid)
        again = f"{size}: {CHANGES} servers changed"
        yield from _figures(again, collectors.compute, today=3 * hosts)
        collectors.compute()
        yield from _figures(
            f"{size}: sync, inventories known", lambda: (compute.hosts(), compute.servers())
        )


def _figures(what: str, work: Callable[[], Any], today: int | None = None) -> Iterator[Figure]:
    """Seconds, seconds of the processor by this process, and requests beside those of the former
    service (*today*)."""
    with _counted() as count:
        began, worked = time.perf_counter(), time.process_time()
        work()
        seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    yield Figure(what, seconds, "s")
    yield Figure(f"{what}, own CPU time", cpu, "s")
    yield Figure(f"{what}, requests", len(count), "", None, today)


@contextlib.contextmanager
def _counted() -> Iterator[list[str]]:
    """The requests that sessions make during the ``with`` block."""
    asked: list[str] = []
    request = Session.request

    def counted(self: Session, url: str, method: str, **kwargs: Any) -> Any:
        asked.append(url)
        return request(self, url, method, **kwargs)

    Session.request = counted
    try:
        yield asked
    finally:
        Session.request = request


def _resident() -> float:
    """The largest memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@contextlib.contextmanager
def _cloud_of(size: str) -> Iterator[str]:
    """The URL of an emulated cloud in another process."""
    command = [sys.executable, sys.argv[0], "model", "--serve", "--size", size]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as served:
        try:
            yield served.stdout.readline().strip()
        finally:
            served.stdin.close()


def _serve(size: str) -> int:
    """Serve an emulated cloud until the end of the standard input."""
    with EmulatedCloud() as emulated:
        emulated.fill(*clusters.SIZES[size])
        print(emulated.server.url, flush=True)
        sys.stdin.read()
    return 0


def _show_growth(measured: Sequence[Sequence[Figure]], sizes: Sequence[str]) -> None:
    """The growth of each figure from size to size, divided by that of the number of servers."""
    for smaller, larger, before, after in zip(
        sizes, sizes[1:], measured, measured[1:], strict=False
    ):
        print(f"\n{smaller} -> {larger}, growth over that of the servers")
        more = clusters.SIZES[larger][1] / clusters.SIZES[smaller][1]
        for one, other in zip(before, after, strict=True):
            if one.value:
                what = other.what.removeprefix(f"{larger}: ")
                print(f"    {other.value / one.value / more:6.2f}  {what}")
