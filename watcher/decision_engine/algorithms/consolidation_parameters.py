# SPDX-License-Identifier: Apache-2.0
"""The parameters that all consolidating strategies have, as JSON schema."""

from collections.abc import Mapping
from typing import Any, Final

PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "target_utilization": {
        "description": "The share of a host's capacity up to which the plan fills it.",
        "type": "number",
        "minimum": 0,
        "exclusiveMinimum": True,
        "maximum": 1,
        "default": 1.0,
    },
    "reserve_hosts": {
        "description": "Hosts without servers that stay in service, and are brought back into it "
        "if there are too few.",
        "type": "integer",
        "minimum": 0,
        "default": 0,
    },
}
