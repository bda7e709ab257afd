# SPDX-License-Identifier: Apache-2.0
"""Waits that are not all equally long, so that who waits for the same does not come at once."""

import random
from typing import Final

SHARE: Final = 0.1


def jittered(seconds: float) -> float:
    """*seconds*, up to a tenth more or less."""
    return seconds * random.uniform(1 - SHARE, 1 + SHARE)
