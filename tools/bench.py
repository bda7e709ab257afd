# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: ``tox -e bench -- core``, ``-- webhooks``, ``-- growth``, ``-- strategies``,
``-- model``, ``-- checker``, ``-- loop``, ``-- reaction``.

Compare our figures with those of the former service, which stand beside them, and with those of
other sizes.  Repeat runs, because machines are noisy, and compare only runs of one machine.
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
