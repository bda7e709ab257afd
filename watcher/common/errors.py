# SPDX-License-Identifier: Apache-2.0
"""What can go wrong, by meaning.

Each error carries one sentence for the person who reads it: what was wrong and
what to do.  ``passing`` tells a worker whether the same work may succeed later
without anybody changing anything.
"""


class WatcherError(Exception):
    """Base of all errors that Watcher raises on purpose."""

    passing = False


class Invalid(WatcherError):
    """Input that does not fit; the sentence names the field and what is allowed."""


class NotFound(WatcherError):
    """No such row, path or resource."""


class Conflict(WatcherError):
    """The request is fine, but not in the present state."""


class Forbidden(WatcherError):
    """Policy denies this to the caller."""


class Unauthorized(WatcherError):
    """The caller did not prove who it is; ``challenge`` is how it may."""

    def __init__(self, sentence: str, challenge: str) -> None:
        super().__init__(sentence)
        self.challenge = challenge


class NotAcceptable(WatcherError):
    """An API version, or something that needs another one."""


class UnsupportedMediaType(WatcherError):
    """A body of a type that is not read here."""


class BodyTooLarge(WatcherError):
    """A body beyond the configured size."""


class Unavailable(WatcherError):
    """Something that Watcher leans on does not answer now."""

    passing = True


class Unanswered(Unavailable):
    """A question that nobody answered, and who asked it has waited for long."""


class CloudUnavailable(Unavailable):
    """The cloud's API does not answer."""


class MetricsUnavailable(Unavailable):
    """The datasource does not answer, or has no data for the scope."""


class ModelUnavailable(Unavailable):
    """The cluster data model is not built, or is stale."""


class CloudRefused(WatcherError):
    """The cloud answered, and said no."""


class NotConfigured(WatcherError):
    """Something that the work needs has no configuration."""


class LostClaim(WatcherError):
    """Another engine holds the claim now; whatever was computed is void."""
