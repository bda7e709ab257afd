# SPDX-License-Identifier: Apache-2.0
"""When a CONTINUOUS audit runs: every so many seconds, or by a cron expression, in UTC."""

import datetime

from croniter import croniter

from watcher.common.errors import Invalid

MAX_LENGTH = 36
_LONGEST = datetime.timedelta(days=3660)


def validate(interval: str) -> None:
    """Invalid unless *interval* is a positive number of seconds or a cron expression."""
    if len(interval) > MAX_LENGTH:
        shown = interval[:MAX_LENGTH]
        raise Invalid(f"interval: {shown}... is longer than {MAX_LENGTH} characters.")
    seconds = _seconds(interval)
    if seconds is None:
        if not croniter.is_valid(interval):
            raise Invalid(
                f"interval: '{interval}' is neither a number of seconds nor a cron expression "
                "such as '*/5 * * * *'."
            )
    elif not 0 < seconds <= _LONGEST.total_seconds():
        raise Invalid(
            f"interval: {interval} seconds; allowed are 1 to {int(_LONGEST.total_seconds())}."
        )


def first_run(
    interval: str, now: datetime.datetime, start_time: datetime.datetime | None
) -> datetime.datetime:
    """Seconds begin at once (or at *start_time*), cron at its next time after that."""
    begin = max(now, start_time) if start_time else now
    return begin if _seconds(interval) is not None else next_run(interval, begin)


def next_run(interval: str, now: datetime.datetime) -> datetime.datetime:
    """The time of the run after one that ends *now*."""
    seconds = _seconds(interval)
    if seconds is not None:
        return now + datetime.timedelta(seconds=seconds)
    following: datetime.datetime = croniter(interval, now).get_next(datetime.datetime)
    return following


def _seconds(interval: str) -> int | None:
    text = interval.strip()
    return int(text) if text.lstrip("-").isascii() and text.lstrip("-").isdigit() else None
