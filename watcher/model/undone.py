# SPDX-License-Identifier: Apache-2.0
"""The things that a strategy left undone, by reason, with counts and examples."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

EXAMPLES = 3
"""How many names are given for each reason."""

EXCLUDED: Final = "excluded"
LOCKED: Final = "locked"
BUSY: Final = "busy"
STATE: Final = "state"
NOT_LIVE: Final = "not_live"
FIXED: Final = "fixed"
INACTIVE: Final = "inactive"
HOST_DOWN: Final = "host_down"
AFFINITY: Final = "affinity"
SEVERAL_GROUPS: Final = "several_groups"
UNSETTLED: Final = "unsettled"
FAILED_BEFORE: Final = "failed_before"
RESTING: Final = "resting"
OTHER_AUDIT: Final = "other_audit"
NOT_MEASURED: Final = "not_measured"
OPTED_OUT: Final = "opted_out"
NO_HOST: Final = "no_host"
PLACE: Final = "place"
GROUP: Final = "group"
WISH: Final = "wish"
ROOM: Final = "room"
UNJUDGED: Final = "unjudged"
ONE_AT_A_TIME: Final = "one_at_a_time"
LIMIT: Final = "limit"
WHOLE_HOST: Final = "whole_host"
BOOTS: Final = "boots"
BOUND: Final = "bound"
NO_GAIN: Final = "no_gain"
UNKNOWN: Final = "unknown"
JOINED: Final = "joined"
PARTED: Final = "parted"

REASONS: Final[Mapping[str, str]] = {
    EXCLUDED: "excluded by the scope",
    LOCKED: "locked",
    BUSY: "busy with another task",
    STATE: "in a state in which nova does not migrate servers",
    NOT_LIVE: "running with what nova does not migrate live, or not running although active",
    FIXED: "with an accelerator, with which nova does not migrate servers",
    INACTIVE: "not active",
    HOST_DOWN: "on a host that is down",
    AFFINITY: "kept together by an affinity group",
    SEVERAL_GROUPS: "in several server groups with strict policies",
    UNSETTLED: "kept apart from a member of their group whose own move or resize is not over",
    FAILED_BEFORE: "not tried again yet after a failed migration",
    RESTING: "moved by Watcher a short time ago",
    OTHER_AUDIT: "put there by a plan of an audit with another goal",
    NOT_MEASURED: "without a measured load",
    OPTED_OUT: "not to be optimized, by their metadata",
    NO_HOST: "without another host that takes servers",
    PLACE: "bound to a zone, an aggregate, traits or a CPU without another host that takes servers",
    GROUP: "kept apart from a member of their group on every other host",
    WISH: "kept apart or together, as their soft server group wishes",
    ROOM: "too large for the room on any other host",
    UNJUDGED: "in need of what only nova and placement can judge, which have no host for them",
    ONE_AT_A_TIME: "in need of what only placement can judge, for one server a host and plan",
    LIMIT: "too much for the load of any other host",
    WHOLE_HOST: "on a host that cannot be emptied as a whole",
    BOOTS: "on a host that stays in service for boots or as a reserve",
    BOUND: "left for the next run by the limits of the webhook or of [optimization]",
    NO_GAIN: "not worth a migration",
    UNKNOWN: "unknown to the cloud",
    JOINED: "put on one host against soft anti-affinity",
    PARTED: "parted against soft affinity",
}
"""The texts of the reasons, as users read them."""


@dataclasses.dataclass(frozen=True)
class Undone:
    """Things that a strategy has left as they are for one reason."""

    reason: str
    """A key of ``REASONS``, or a text of the strategy itself."""
    count: int
    """0 for a remark, which is a text without things."""
    examples: Sequence[str] = ()
    """Names of some of them."""
    text: str = ""
    """The text of the reason; empty: that of ``REASONS``."""
    things: str = "servers"

    def as_json(self) -> dict[str, Any]:
        return {
            "things": self.things,
            "reason": self.reason,
            "text": self.words,
            "count": self.count,
            "examples": list(self.examples),
        }

    @property
    def words(self) -> str:
        return self.text or REASONS.get(self.reason, self.reason)


def grouped(reasons: Iterable[tuple[str, str]], things: str = "servers") -> list[Undone]:
    """Groups (name, reason) of things by reason, the most frequent first."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons:
        names.setdefault(reason, []).append(name)
    found = [
        Undone(reason, len(each), tuple(sorted(each)[:EXAMPLES]), things=things)
        for reason, each in names.items()
    ]
    return sorted(found, key=lambda each: (-each.count, each.reason))


def unknown(names: Sequence[str], text: str) -> list[Undone]:
    """Names that match nothing; *text* says where they are written and what they should name."""
    if not names:
        return []
    return [Undone(UNKNOWN, len(names), tuple(names[:EXAMPLES]), text, "names")]


def more_than(value: float, limit: float) -> str:
    """*value* with enough digits to show that it is more than *limit*."""
    texts = (f"{value:.{digits}g}" for digits in range(2, 18))
    return next((text for text in texts if float(text) > limit), f"{value:g}")


def hosts_stay(count: int, total: int) -> str:
    """The beginning of a sentence about *count* of *total* hosts."""
    return f"{count} of {total} hosts {'stays' if count == 1 else 'stay'}"


def sentence(unmet: str, undone: Sequence[Undone]) -> str:
    """What is left undone, in one sentence; empty if nothing is.

    *unmet* says which part of the goal is not reached, without a full stop: "2 hosts stay
    above 80 % CPU".
    """
    totals: Counter[str] = Counter()
    for each in undone:
        totals[each.things] += each.count
    parts = [each.words for each in undone if not each.count]
    for things, total in totals.items():
        kinds = [_kind(each) for each in undone if each.things == things and each.count]
        if not kinds:
            continue
        parts.append(f"{_counted(total, things)}: {', '.join(kinds)}")
    text = ": ".join(filter(None, (unmet, "; ".join(parts))))
    return f"{text}." if text else ""


_VERBS: Final = {
    "names": ("matches nothing", "match nothing"),
    "values": ("cannot be true", "cannot be true"),
    "destinations": ("takes none", "take none"),
    "pairs": ("breaks the wish of its group", "break the wish of their group"),
}


def _counted(total: int, things: str) -> str:
    one, many = _VERBS.get(things, ("stays", "stay"))
    return f"1 {things.removesuffix('s')} {one}" if total == 1 else f"{total} {things} {many}"


def _kind(each: Undone) -> str:
    more = ["..."] if each.count > len(each.examples) else []
    return f"{each.count} {each.words} ({', '.join([*each.examples, *more])})"
