# SPDX-License-Identifier: Apache-2.0
"""Sentences for users, as the columns ``status_message`` take them."""

from typing import Final

LENGTH: Final = 255


def cut(message: str) -> str:
    """*message* at the length of the column, with a sign where something is missing."""
    message = message.replace("\x00", "")
    if len(message) <= LENGTH:
        return message
    return message[: LENGTH - 3] + "..."
