# SPDX-License-Identifier: Apache-2.0
"""Arrays, as the models name them."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
