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
    parser.add_argument("--seeds", type=int, default=3, help="worlds; results are their mean")
    parser.add_argument("--strategy", choices=PARAMETERS, help="one strategy only")
    parser.add_argument("--source", choices=KINDS, default="gnocchi", help="of metrics")
    parser.add_argument("--policies", nargs="+", choices=POLICIES, default=POLICIES)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument(
        "--docs", type=Path, help="write table and pictures of the first strategy to this directory"
    )
    arguments = parser.parse_args(argv)
    began = time.monotonic()
    strategies = [arguments.strategy] if arguments.strategy else list(PARAMETERS)
    found = {strategy: _results(strategy, arguments) for strategy in strategies}
    for strategy, results in found.items():
        print(f"\n{strategy} {dict(PARAMETERS[strategy])}, {arguments.source}\n")
        print(tables.text(results))
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
        _write_docs(arguments.docs, found[strategies[0]])
    return 0


def _results(strategy: str, arguments: argparse.Namespace) -> Results:
    size = QUICK if arguments.quick else WEEK
    seeds: Sequence[int] = [1] if arguments.quick else range(1, arguments.seeds + 1)
    cases = [
        Case(policy, seed, size, arguments.source, strategy)
        for seed, policy in itertools.product(seeds, arguments.policies)
    ]
    results = compare(cases, 1 if arguments.quick else arguments.processes)
    by_policy: dict[str, list[Result]] = {}
    for case, result in zip(cases, results, strict=True):
        by_policy.setdefault(case.policy, []).append(result)
    return {policy: mean(each) for policy, each in by_policy.items()}


def _write_docs(directory: Path, results: Results) -> None:
    (directory / "loop-table.txt").write_text(tables.rst(results))
    for name, picture in pictures.of(results).items():
        (directory / f"loop-{name}.svg").write_text(picture)
