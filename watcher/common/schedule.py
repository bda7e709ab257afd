# SPDX-License-Identifier: Apache-2.0
"""When a CONTINUOUS audit runs: every so many seconds, or by a cron expression, in UTC."""

import datetime
import re

from croniter import CroniterError, croniter

from watcher.common.errors import Invalid

MAX_LENGTH = 36
_SECONDS = re.compile(r"-?[0-9]+")
_LONGEST = datetime.timedelta(days=3660)


def validate(interval: str) -> None:
    """Invalid unless *interval* is a positive number of seconds or a cron expression."""
    if len(interval) > MAX_LENGTH:
        shown = interval[:MAX_LENGTH]
        raise Invalid(f"interval: {shown}... is longer than {MAX_LENGTH} characters.")
    seconds = _seconds(interval)
    if seconds is None:
        if not _ever_comes(interval):
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
    """An interval in seconds begins at once or at *start_time*, cron at its next time then."""
    begin = max(now, start_time) if start_time else now
    return begin if _seconds(interval) is not None else next_run(interval, begin)


def next_run(interval: str, now: datetime.datetime) -> datetime.datetime:
    """The time of the run after one that ends *now*.  Invalid if there is none."""
    seconds = _seconds(interval)
    if seconds is not None:
        return now + datetime.timedelta(seconds=seconds)
    try:
        following: datetime.datetime = croniter(interval, now).get_next(datetime.datetime)
    except CroniterError:
        raise Invalid(f"interval: '{interval}' names no time after {now.isoformat()}.") from None
    return following


def _ever_comes(expression: str) -> bool:
    """Whether this is a cron expression that names at least one time."""
    try:
        croniter(expression, datetime.datetime(2026, 1, 1)).get_next()
    except (CroniterError, OverflowError):
        return False
    return True


def _seconds(interval: str) -> int | None:
    return int(interval) if _SECONDS.fullmatch(interval.strip()) else None
