# SPDX-License-Identifier: Apache-2.0
import multiprocessing
import os

from tools.benchmarks import load
from watcher.tests.base import TestCase


def dying(clients: int) -> load.Loop:
    os._exit(7)


def failing(clients: int) -> load.Loop:
    raise ValueError("there is no server")


def one_dies(clients: int) -> load.Loop:
    if int(multiprocessing.current_process().name.rpartition("-")[2]) % 2:
        os._exit(7)
    return lambda begin, end: []


class ClientsTest(TestCase):
    def error(self, make: object) -> str:
        error = self.assertRaises(RuntimeError, load.measure, make, (), clients=2, seconds=1)
        return str(error)

    def test_of_those_that_die_while_they_start(self) -> None:
        self.assertIn("died with status 7", self.error(dying))

    def test_of_one_that_dies_the_others_are_not_waited_for(self) -> None:
        self.assertIn("died with status 7", self.error(one_dies))
        self.assertEqual([], multiprocessing.active_children())

    def test_of_those_that_fail_the_error_is_raised(self) -> None:
        self.assertEqual("ValueError: there is no server", self.error(failing))
