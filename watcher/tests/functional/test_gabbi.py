# SPDX-License-Identifier: Apache-2.0
"""The stories of gabbits/, each against an API and a database of its own."""

import os
from typing import Any

from gabbi import driver

from watcher.api import microversions
from watcher.tests.functional import stories

MAJOR, MINOR = microversions.MAXIMUM
os.environ["MAXIMUM_VERSION"] = f"{MAJOR}.{MINOR}"
os.environ["NEXT_VERSION"] = f"{MAJOR}.{MINOR + 1}"
"""Stories that are about neither name the version that they are about."""


def load_tests(loader: Any, tests: Any, pattern: Any) -> Any:
    directory = os.path.join(os.path.dirname(__file__), "gabbits")
    return driver.build_tests(
        directory,
        loader,
        intercept=stories.application,
        fixture_module=stories,
        test_loader_name=__name__,
    )
