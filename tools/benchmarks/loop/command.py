# SPDX-License-Identifier: Apache-2.0
"""``bench loop``: a week of 200 hosts and 4,000 servers in virtual time, policy by policy.

All policies live in the same world, with the same demand: daily curves, surges, jobs,
noise and failing hosts.  What Watcher computes is computed by its own strategies and
planners; the world carries the plans out.
"""

import argparse
import itertools
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from . import pictures, tables
from .audits import PARAMETERS
from .averages import KINDS
from .tally import Result
from .week import POLICIES, QUICK, WEEK, Case, compare, mean

Results = Mapping[str, Result]
"""By policy."""


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench loop", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one day of 20 hosts, one seed")
    parser.add_argument("--seeds", type=int, default=2, help="worlds; results are their mean")
    parser.add_argument("--strategy", choices=PARAMETERS, help="one strategy only")
    parser.add_argument("--source", choices=KINDS, help="of metrics; one only")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=POLICIES)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--docs", type=Path, help="write tables and pictures to this directory")
    parser.add_argument(
        "--adversary", type=int, metavar="DAYS", help="let loads be thought up for so many days"
    )
    arguments = parser.parse_args(argv)
    began = time.monotonic()
    if arguments.adversary:
        return _withstand(arguments.adversary, arguments.processes)
    strategies = [arguments.strategy] if arguments.strategy else list(PARAMETERS)
    sources = [arguments.source] if arguments.source else list(KINDS)
    found: dict[str, Results] = {}
    for strategy, source in itertools.product(strategies, sources):
        results = found[f"{strategy}-{source}"] = _results(strategy, source, arguments)
        print(f"\n{strategy} {dict(PARAMETERS[strategy])}, {source}\n")
        print(tables.text(results), flush=True)
    print(f"\n{time.monotonic() - began:.0f} s")
    if arguments.json:
        arguments.json.write_text(
            json.dumps(
                {
                    strategy: {name: each.as_json() for name, each in results.items()}
                    for strategy, results in found.items()
                },
                indent=1,
            )
        )
    if arguments.docs:
        _write_docs(arguments.docs, found)
    return 0


def _withstand(days: int, processes: int) -> int:
    from . import adversary  # it brings hypothesis

    each = -(-days // processes)
    with ProcessPoolExecutor(processes) as pool:
        moves = sum(pool.map(adversary.withstand, [each] * processes, range(processes)))
    print(f"{each * processes} days, {moves} moves: no bound was broken")
    return 0


def _results(strategy: str, source: str, arguments: argparse.Namespace) -> Results:
    size = QUICK if arguments.quick else WEEK
    seeds: Sequence[int] = [1] if arguments.quick else range(1, arguments.seeds + 1)
    cases = [
        Case(policy, seed, size, source, strategy)
        for seed, policy in itertools.product(seeds, arguments.policies)
    ]
    results = compare(cases, 1 if arguments.quick else arguments.processes)
    by_policy: dict[str, list[Result]] = {}
    for case, result in zip(cases, results, strict=True):
        by_policy.setdefault(case.policy, []).append(result)
    return {policy: mean(each) for policy, each in by_policy.items()}


def _write_docs(directory: Path, found: Mapping[str, Results]) -> None:
    """Write a table and pictures of each result."""
    for name, results in found.items():
        (directory / f"loop-{name}.txt").write_text(tables.rst(results))
        for what, picture in pictures.of(results).items():
            (directory / f"loop-{name}-{what}.svg").write_text(picture)
