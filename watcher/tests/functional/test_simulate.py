# SPDX-License-Identifier: Apache-2.0
"""The simulation of all services, as a contributor runs it."""

import pathlib
import subprocess
import sys

import testtools

from tools.simulate.mutants import MUTANTS

_ROOT = pathlib.Path(__file__).parents[3]


class TestSimulate(testtools.TestCase):
    def test_some_seeds(self):
        done = subprocess.run(
            [sys.executable, "-m", "tools.simulate", "--seeds", "4"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertIn("4 seeds, ", done.stdout)

    def test_it_finds_a_missing_safeguard(self):
        command = ["--mutants", "an event is answered and not kept", "--seeds", "4"]
        done = subprocess.run(
            [sys.executable, "-m", "tools.simulate", *command],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        self.assertIn("looked at the cloud after the alarm", done.stdout)

    def test_mutants_replace_existing_names(self):
        for mutant in MUTANTS:
            with mutant.applied():
                pass
