# SPDX-License-Identifier: Apache-2.0
"""Simulate the services on virtual time, seed after seed.

The same seed is the same simulation, as long as the code is the same.
"""

import argparse
import gc
import logging
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from typing import Any, NamedTuple

from tools.simulate.mutants import MUTANTS
from tools.simulate.simulation import Found, simulate
from tools.simulate.stage import Stage, stage

_work: Callable[[int], Any]
"""The work of the processes of ``_each``, which are forked and so have this variable."""

_LAST = 40
"""Lines of the history that are shown of a seed with a violation."""


class _Judged(NamedTuple):
    """The result of a seed."""

    seconds: float
    """Seconds of virtual time."""
    cpu: float
    report: str
    """Its violations and the end of its history; empty: none."""


def main() -> int:
    _fix_hashes()
    options = _options()
    logging.disable(logging.CRITICAL)
    with stage() as made:
        gc.freeze()
        if options.mutants is not None:
            return _hunt(made, options)
        if options.seed is not None:
            found = simulate(made, options.seed)
            print(found.trouble, *found.history.all, *_sentences(found), sep="\n")
            return 1 if found.violations else 0
        return _search(made, options)


def _search(made: Stage, options: argparse.Namespace) -> int:
    def judge(seed: int) -> _Judged:
        began = time.process_time()
        found = simulate(made, seed)
        cpu, report = time.process_time() - began, [*_sentences(found)]
        if report:
            report += map(str, found.history.all[-_LAST:])
        return _Judged(found.seconds, cpu, "\n".join(report))

    began, seconds, cpu, bad = time.perf_counter(), 0.0, 0.0, 0
    for judged in _each(judge, _seeds(options), options.jobs):
        seconds, cpu, bad = seconds + judged.seconds, cpu + judged.cpu, bad + bool(judged.report)
        if judged.report:
            print(judged.report, flush=True)
    took = time.perf_counter() - began
    print(
        f"{options.seeds} seeds, {seconds:,.0f} virtual seconds, {seconds / took:,.0f} a second "
        f"({seconds / cpu:,.0f} a second of CPU), {bad} seeds with violations"
    )
    return 1 if bad else 0


def _hunt(made: Stage, options: argparse.Namespace) -> int:
    """Look for each mutant until a seed finds it."""

    def find(number: int) -> tuple[int, str]:
        with MUTANTS[number].applied():
            for needed, seed in enumerate(_seeds(options), start=1):
                found = simulate(made, seed)
                if found.violations:
                    return (
                        needed,
                        f"found within {needed} seeds: seed {seed}: {found.violations[0]}",
                    )
        return 0, "not found"

    wanted = [at for at, mutant in enumerate(MUTANTS) if options.mutants in mutant.name]
    numbers = []
    for at, (needed, sentence) in zip(wanted, _each(find, wanted, options.jobs), strict=True):
        numbers.append(needed)
        print(f"{MUTANTS[at].name}\n    {sentence}", flush=True)
    missed, most = numbers.count(0), max(numbers, default=0)
    print(f"{len(wanted)} mutants: {missed} not found, the others within {most} seeds each")
    return 1 if missed else 0


def _each(work: Callable[[int], Any], numbers: Iterable[int], jobs: int) -> Iterator[Any]:
    """The result of *work* for each number, in their order; *jobs* processes share the work."""
    global _work
    _work = work
    with futures.ProcessPoolExecutor(jobs, multiprocessing.get_context("fork")) as pool:
        yield from pool.map(_do, numbers)


def _do(number: int) -> Any:
    return _work(number)


def _seeds(options: argparse.Namespace) -> range:
    return range(options.first, options.first + options.seeds)


def _sentences(found: Found) -> Iterator[str]:
    for violation in found.violations:
        yield f"seed {found.seed}: {violation}"
    if found.violations:
        yield f"seed {found.seed}: replay it with tools/run simulate --seed {found.seed}"


def _fix_hashes() -> None:
    """Fix the order of sets of text, because a seed depends on it."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/run simulate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=200, metavar="N", help="how many (200)")
    parser.add_argument("--first", type=int, default=1, metavar="SEED", help="the first of them")
    parser.add_argument(
        "--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes (one a core)"
    )
    parser.add_argument("--seed", type=int, help="simulate this one, and show all that was seen")
    parser.add_argument(
        "--mutants",
        nargs="?",
        const="",
        metavar="PART",
        help="take one safeguard after the other out of the services, or those with PART in their "
        "names, and tell which seed is the first to find out; 1 if one is not found",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
