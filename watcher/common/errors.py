# SPDX-License-Identifier: Apache-2.0
"""The errors of Watcher.

The text of each is a sentence for the user: what is wrong and what to do.  ``passing`` is
whether the same work may succeed later without a change.
"""


class WatcherError(Exception):
    """Base of all errors that Watcher raises on purpose."""

    passing = False


class Invalid(WatcherError):
    """Input that is not valid; the sentence names the field and what is allowed."""


class NotFound(WatcherError):
    """No such row, path or resource."""


class Conflict(WatcherError):
    """The request is valid, but not in the present state."""


class Forbidden(WatcherError):
    """Policy denies this to the caller."""


class Unauthorized(WatcherError):
    """The caller is not authenticated; ``challenge`` says how it can be."""

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
    """Something that Watcher needs does not answer now."""

    passing = True


class Unanswered(Unavailable):
    """The decision engine did not answer a call in time."""


class CloudUnavailable(Unavailable):
    """The cloud's API does not answer."""


class MetricsUnavailable(Unavailable):
    """The datasource does not answer, or has no data for the scope."""


class ModelUnavailable(Unavailable):
    """The cluster data model is not built, or is stale."""


class CloudRefused(WatcherError):
    """The cloud refused a request."""


class NotConfigured(WatcherError):
    """Something that the work needs has no configuration."""


class LostClaim(WatcherError):
    """Another engine holds the claim now, so nothing may be written any more."""


def sentence_of(error: BaseException) -> str:
    """What to tell users of an error: the sentence of an error of Watcher, or class and text of
    another error."""
    return str(error) if isinstance(error, WatcherError) else f"{type(error).__name__}: {error}"


def traceback_of(error: BaseException) -> BaseException | None:
    """What to log as ``exc_info``: nothing of an error that was raised on purpose."""
    return None if isinstance(error, WatcherError) else error


def shortened(text: str, length: int = 60) -> str:
    """Input for a quotation in a sentence: at most *length* characters and three dots."""
    return text if len(text) <= length else f"{text[:length]}..."
