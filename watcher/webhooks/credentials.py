# SPDX-License-Identifier: Apache-2.0
"""The auth of a webhook, and the check of its secret.

Secrets are long and random, so a fast hash protects them as well as a slow one.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote_plus

from oslo_config import cfg

NONE: Final = "none"
SECRET: Final = "secret"
KEYSTONE: Final = "keystone"

PARAMETER: Final = "token"
"""The query parameter for a secret, for senders that cannot send headers."""

_NO_HASH: Final = "-" * 64
"""Compared in place of a missing hash, to take the same time; no hash equals it."""


def effective_auth(auth: str | None, conf: cfg.ConfigOpts) -> str:
    """``none``, ``secret`` or ``keystone``: the setting of the webhook, or else of the
    configuration."""
    if auth is not None:
        return auth
    return KEYSTONE if conf.api.enable_webhooks_auth else str(conf.webhooks.default_auth)


def digest(secret: str) -> str:
    """The stored form of a secret: its sha256, in 64 hexadecimal digits."""
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def matches(presented: Iterable[str], *hashes: str | None) -> bool:
    """Whether a presented secret has one of these hashes.

    The time does not depend on which of them exist, nor on which one matches.
    """
    known = [each or _NO_HASH for each in hashes]
    digests = [digest(secret).encode() for secret in tuple(presented) or ("",)]
    matches = [
        hmac.compare_digest(presented_hash, known_hash.encode())
        for presented_hash in digests
        for known_hash in known
    ]
    return any(matches)


def from_authorization(header: str) -> list[str]:
    """The secret of a header ``Authorization``: what follows Bearer, or the password of Basic."""
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "basic":
        try:
            decoded = base64.b64decode(value).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return []
        value = decoded.partition(":")[2]
    elif scheme.lower() != "bearer":
        return []
    return [value] if value else []


def from_query(query: str) -> tuple[str, list[str]]:
    """A query string without its secrets, and the secrets."""
    kept, secrets = [], []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if unquote_plus(name) == PARAMETER:
            secrets.append(unquote_plus(value))
        else:
            kept.append(part)
    return "&".join(kept), [secret for secret in secrets if secret]
