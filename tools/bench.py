# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: ``tox -e bench -- core``, ``-- webhooks``, ``-- growth``, ``-- strategies``,
``-- model``, ``-- checker``, ``-- loop``, ``-- reaction``.

What counts is the ratio to the figures of the service that people run today, which
stand beside ours, and the growth with the size.  Machines are noisy: repeat, and
compare runs of the same machine only.
"""

import argparse
import importlib
import sys

NAMES = (
    "core",
    "webhooks",
    "growth",
    "strategies",
    "quality",
    "model",
    "checker",
    "loop",
    "reaction",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name", choices=NAMES)
    name, rest = parser.parse_known_args(sys.argv[1:2])[0].name, sys.argv[2:]
    benchmark = importlib.import_module(f"benchmarks.{name}")
    return int(benchmark.main(rest))


if __name__ == "__main__":
    sys.exit(main())
