# SPDX-License-Identifier: Apache-2.0
"""The states of audits, runs, action plans and actions, and who may change them.

A transition table maps a state to the states that may follow it.  Every change of a state
column is a compare-and-swap against one of these tables.
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
    """The changes that PATCH may make.  ONGOING resumes a SUSPENDED audit."""

    BY_ENGINE: Final = _table(
        PENDING=[ONGOING, SUCCEEDED, CANCELLED],
        ONGOING=[ONGOING, SUCCEEDED, FAILED, CANCELLED],
        SUCCEEDED=[ONGOING, CANCELLED],
        FAILED=[ONGOING, CANCELLED],
        SUSPENDED=[CANCELLED],
    )
    """Changes by runs; and CANCELLED, when a goal or strategy is no longer installed."""

    DELETABLE: Final = frozenset({SUCCEEDED, FAILED, CANCELLED, SUSPENDED})

    RUNNABLE: Final = {
        AuditType.ONESHOT: frozenset({PENDING, ONGOING}),
        AuditType.CONTINUOUS: frozenset({PENDING, ONGOING}),
        AuditType.EVENT: frozenset({PENDING, ONGOING, SUCCEEDED, FAILED}),
    }
    """The states of an audit from which a claimed run may make it ONGOING."""

    TRIGGERABLE: Final = RUNNABLE[AuditType.EVENT]
    """The states in which an EVENT audit accepts alarms."""

    OVER: Final = {
        AuditType.ONESHOT: frozenset({SUCCEEDED, FAILED, CANCELLED, DELETED}),
        AuditType.CONTINUOUS: frozenset({SUCCEEDED, FAILED, CANCELLED, DELETED}),
        AuditType.EVENT: frozenset({CANCELLED, DELETED}),
    }
    """The final states; a QUEUED run is cancelled in them."""


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
        RECOMMENDED=[SUPERSEDED, CANCELLED],
        PENDING=[ONGOING, CANCELLED],
        ONGOING=[SUCCEEDED, FAILED],
        CANCELLING=[CANCELLED, FAILED],
    )
    """The decision engine replaces plans; the applier executes them."""

    DELETABLE: Final = frozenset({RECOMMENDED, SUCCEEDED, FAILED, SUPERSEDED, CANCELLED})

    UNDER_WAY: Final = frozenset({PENDING, ONGOING, CANCELLING})
    """The cloud is being changed, or is about to be."""

    EXECUTED: Final = (SUCCEEDED, FAILED, CANCELLED)
    """Ends of plans that may have changed the cloud."""


class ActionState:
    PENDING: Final = "PENDING"
    ONGOING: Final = "ONGOING"
    SUCCEEDED: Final = "SUCCEEDED"
    FAILED: Final = "FAILED"
    SKIPPED: Final = "SKIPPED"
    CANCELLING: Final = "CANCELLING"
    CANCELLED: Final = "CANCELLED"
    DELETED: Final = DELETED

    ALL: Final = (PENDING, ONGOING, SUCCEEDED, FAILED, SKIPPED, CANCELLING, CANCELLED, DELETED)

    BY_USER: Final = _table(PENDING=[SKIPPED])

    BY_ENGINE: Final = _table(
        PENDING=[ONGOING, SKIPPED, FAILED, CANCELLED],
        ONGOING=[SUCCEEDED, FAILED, CANCELLING],
        CANCELLING=[SUCCEEDED, FAILED, CANCELLED],
    )

    OVER: Final = frozenset({SUCCEEDED, FAILED, SKIPPED, CANCELLED, DELETED})

    FAILED_IN: Final = "Action %s failed in %s: "
    """The begin of the message of one that FAILED: its uuid and the phase."""
    CHECK: Final = "pre_condition"
    """The phase before anything is requested of the cloud."""


class ServiceState:
    ACTIVE: Final = "ACTIVE"
    FAILED: Final = "FAILED"


class Decision:
    """The result of one event."""

    ACCEPTED: Final = "ACCEPTED"
    """In the inbox; a decision engine makes it QUEUED or COALESCED."""
    QUEUED: Final = "QUEUED"
    COALESCED: Final = "COALESCED"
    IGNORED: Final = "IGNORED"
    REJECTED: Final = "REJECTED"

    ALL: Final = (ACCEPTED, QUEUED, COALESCED, IGNORED, REJECTED)
