# SPDX-License-Identifier: Apache-2.0
"""Payloads as they are stored: complete, or truncated and marked as such."""

import json
from typing import Any, Final

CUT: Final = "watcher_cut"
"""The key that marks a truncated payload."""


def truncated(payload: Any, most: int) -> str:
    """JSON of at most *most* bytes: the payload, or an object with CUT and the beginning of its
    text."""
    text = json.dumps(payload)
    if len(text) <= most:
        return text
    said = f"This message had {len(text)} bytes, of which the beginning is kept."
    beginning = text[: most - len(json.dumps({CUT: said, "payload": ""}))]
    # Each of these takes one more byte when the text is written as JSON again.
    escaped = beginning.count('"') + beginning.count("\\")
    return json.dumps({CUT: said, "payload": beginning[: len(beginning) - escaped]})
