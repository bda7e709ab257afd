# SPDX-License-Identifier: Apache-2.0
"""Simulate the services on virtual time, seed after seed.

The same seed is the same simulation, as long as the code is the same.
"""

import argparse
import gc
import logging
import os
import sys
import time
from collections.abc import Iterator

from tools.simulate.mutants import MUTANTS, Mutant
from tools.simulate.simulation import Found, simulate
from tools.simulate.stage import Stage, stage

_LAST = 40
"""Lines of the history that are shown of a seed with a violation."""


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
            print(found.trouble, *found.history.all, sep="\n")
            _tell(found)
            return 1 if found.violations else 0
        return _search(made, options)


def _search(made: Stage, options: argparse.Namespace) -> int:
    began, began_cpu, seconds, bad = time.perf_counter(), time.process_time(), 0.0, 0
    for seed in _seeds(options):
        found = simulate(made, seed)
        seconds += found.seconds
        if found.violations:
            bad += 1
            _tell(found)
            print(*found.history.all[-_LAST:], sep="\n", flush=True)
    took, cpu = time.perf_counter() - began, time.process_time() - began_cpu
    print(
        f"{options.seeds} seeds, {seconds:,.0f} virtual seconds, {seconds / took:,.0f} a second "
        f"({seconds / cpu:,.0f} a second of CPU), {bad} seeds with violations"
    )
    return 1 if bad else 0


def _hunt(made: Stage, options: argparse.Namespace) -> int:
    """Look for each mutant until a seed finds it."""
    missed = 0
    for mutant in MUTANTS:
        if options.mutants in mutant.name:
            found = next(_finds(made, mutant, options), None)
            missed += found is None
            what = f"seed {found.seed}: {found.violations[0]}" if found else "not found"
            print(f"{mutant.name}\n    {what}", flush=True)
    return 1 if missed else 0


def _finds(made: Stage, mutant: Mutant, options: argparse.Namespace) -> Iterator[Found]:
    with mutant.applied():
        for seed in _seeds(options):
            found = simulate(made, seed)
            if found.violations:
                yield found


def _seeds(options: argparse.Namespace) -> range:
    return range(options.first, options.first + options.seeds)


def _tell(found: Found) -> None:
    for violation in found.violations:
        print(f"seed {found.seed}: {violation}")
    if found.violations:
        print(f"seed {found.seed}: replay it with tools/run simulate --seed {found.seed}")


def _fix_hashes() -> None:
    """The order of sets of text is part of what a seed means."""
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
