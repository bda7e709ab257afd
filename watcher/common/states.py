# SPDX-License-Identifier: Apache-2.0
"""The states of audits, runs, action plans and actions, and who may move them.

A transition table maps a state to the states it may become.  Every change of a
state column is a compare-and-swap against one of these tables, so a row never
takes a step that its table does not name.
"""

from collections.abc import Iterable, Mapping
from typing import Final

Transitions = Mapping[str, frozenset[str]]


def _table(**rows: Iterable[str]) -> Transitions:
    return {state: frozenset(followers) for state, followers in rows.items()}


def sources(table: Transitions, target: str) -> frozenset[str]:
    """The states from which *target* may be reached."""
    return frozenset(state for state, followers in table.items() if target in followers)


DELETED: Final = "DELETED"
"""The state of audits, action plans and actions that are soft-deleted."""


class AuditType:
    ONESHOT: Final = "ONESHOT"
    CONTINUOUS: Final = "CONTINUOUS"
    EVENT: Final = "EVENT"

    ALL: Final = (ONESHOT, CONTINUOUS, EVENT)


class AuditState:
    PENDING: Final = "PENDING"
    ONGOING: Final = "ONGOING"
    SUCCEEDED: Final = "SUCCEEDED"
    FAILED: Final = "FAILED"
    CANCELLED: Final = "CANCELLED"
    SUSPENDED: Final = "SUSPENDED"
    DELETED: Final = DELETED

    ALL: Final = (PENDING, ONGOING, SUCCEEDED, FAILED, CANCELLED, SUSPENDED, DELETED)

    BY_USER: Final = _table(
        PENDING=[CANCELLED],
        ONGOING=[CANCELLED, SUSPENDED],
        SUSPENDED=[ONGOING],
    )
    """What PATCH may do.  Progress (ONGOING, SUCCEEDED, FAILED) is the engine's to report."""

    BY_ENGINE: Final = _table(
        PENDING=[ONGOING, SUCCEEDED, CANCELLED],
        ONGOING=[ONGOING, SUCCEEDED, FAILED, CANCELLED],
        SUCCEEDED=[ONGOING, CANCELLED],
        FAILED=[ONGOING, CANCELLED],
        SUSPENDED=[CANCELLED],
    )
    """What runs make of their audits; CANCELLED, too, when a strategy is no longer installed."""

    DELETABLE: Final = frozenset({SUCCEEDED, FAILED, CANCELLED, SUSPENDED})

    RUNNABLE: Final = {
        AuditType.ONESHOT: frozenset({PENDING, ONGOING}),
        AuditType.CONTINUOUS: frozenset({PENDING, ONGOING}),
        AuditType.EVENT: frozenset({PENDING, ONGOING, SUCCEEDED, FAILED}),
    }
    """From which states a claimed run may make the audit ONGOING."""

    TRIGGERABLE: Final = RUNNABLE[AuditType.EVENT]
    """In which states an EVENT audit takes alarms."""

    OVER: Final = {
        AuditType.ONESHOT: frozenset({SUCCEEDED, FAILED, CANCELLED, DELETED}),
        AuditType.CONTINUOUS: frozenset({SUCCEEDED, FAILED, CANCELLED, DELETED}),
        AuditType.EVENT: frozenset({CANCELLED, DELETED}),
    }
    """In which states an audit never runs again, so a waiting run of it is pointless."""


class RunState:
    QUEUED: Final = "QUEUED"
    ONGOING: Final = "ONGOING"
    SUCCEEDED: Final = "SUCCEEDED"
    FAILED: Final = "FAILED"
    CANCELLED: Final = "CANCELLED"

    ALL: Final = (QUEUED, ONGOING, SUCCEEDED, FAILED, CANCELLED)

    BY_ENGINE: Final = _table(
        QUEUED=[ONGOING, CANCELLED],
        ONGOING=[QUEUED, SUCCEEDED, FAILED, CANCELLED],
    )


class PlanState:
    RECOMMENDED: Final = "RECOMMENDED"
    PENDING: Final = "PENDING"
    ONGOING: Final = "ONGOING"
    SUCCEEDED: Final = "SUCCEEDED"
    FAILED: Final = "FAILED"
    CANCELLING: Final = "CANCELLING"
    CANCELLED: Final = "CANCELLED"
    SUPERSEDED: Final = "SUPERSEDED"
    DELETED: Final = DELETED

    ALL: Final = (
        RECOMMENDED,
        PENDING,
        ONGOING,
        SUCCEEDED,
        FAILED,
        CANCELLING,
        CANCELLED,
        SUPERSEDED,
        DELETED,
    )

    BY_USER: Final = _table(
        RECOMMENDED=[PENDING, CANCELLED],
        PENDING=[CANCELLED],
        ONGOING=[CANCELLING],
    )

    BY_ENGINE: Final = _table(
        RECOMMENDED=[PENDING, SUPERSEDED, CANCELLED],
        PENDING=[ONGOING, CANCELLED],
        ONGOING=[SUCCEEDED, FAILED],
        CANCELLING=[CANCELLED, FAILED],
    )
    """The decision engine replaces plans; the applier carries them out."""

    DELETABLE: Final = frozenset({RECOMMENDED, SUCCEEDED, FAILED, SUPERSEDED, CANCELLED})

    UNDER_WAY: Final = frozenset({PENDING, ONGOING, CANCELLING})
    """The cloud is being changed, or is about to be."""


class ActionState:
    PENDING: Final = "PENDING"
    ONGOING: Final = "ONGOING"
    SUCCEEDED: Final = "SUCCEEDED"
    FAILED: Final = "FAILED"
    SKIPPED: Final = "SKIPPED"
    CANCELLING: Final = "CANCELLING"
    CANCELLED: Final = "CANCELLED"
    DELETED: Final = DELETED

    ALL: Final = (
        PENDING,
        ONGOING,
        SUCCEEDED,
        FAILED,
        SKIPPED,
        CANCELLING,
        CANCELLED,
        DELETED,
    )

    BY_USER: Final = _table(PENDING=[SKIPPED])

    BY_ENGINE: Final = _table(
        PENDING=[ONGOING, SKIPPED, FAILED, CANCELLED],
        ONGOING=[SUCCEEDED, FAILED, CANCELLING, CANCELLED],
        CANCELLING=[SUCCEEDED, FAILED, CANCELLED],
    )

    OVER: Final = frozenset({SUCCEEDED, FAILED, SKIPPED, CANCELLED, DELETED})


class ServiceState:
    ACTIVE: Final = "ACTIVE"
    FAILED: Final = "FAILED"


class Decision:
    """What became of one event."""

    ACCEPTED: Final = "ACCEPTED"
    """It waits for a decision engine, which makes it QUEUED or COALESCED."""
    QUEUED: Final = "QUEUED"
    COALESCED: Final = "COALESCED"
    IGNORED: Final = "IGNORED"
    REJECTED: Final = "REJECTED"

    ALL: Final = (ACCEPTED, QUEUED, COALESCED, IGNORED, REJECTED)
