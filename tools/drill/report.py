# SPDX-License-Identifier: Apache-2.0
"""The table at the end of a drill."""

from collections import Counter

from tools.drill.findings import Findings
from tools.drill.sender import Senders

_SHOWN = 10
"""The most sentences of each kind of fault."""


def show(found: Findings, senders: Senders, killed: Counter[str]) -> bool:
    """Print the table.  Returns whether all figures that must be 0 are 0."""
    outcomes = senders.outcomes
    accepted = sum(alarm.accepted for alarm in senders.alarms)
    slowest = max((alarm.seconds for alarm in senders.alarms), default=0.0)
    wrong = {
        "lost": found.lost,
        "doubled": found.doubled,
        "stuck": found.stuck,
        "answered wrongly": [
            f"{number} answers were {status}"
            for status, number in sorted(outcomes.items())
            if status not in ("202", "503", "refused", "unanswered")
        ],
    }
    rows = [
        ("sent", len(senders.alarms), "alarms, each until it was accepted"),
        ("accepted", accepted, f"with 202; the slowest answer took {slowest:.2f} s"),
        ("refused", outcomes["refused"] + outcomes["503"], "nobody listened, or 503"),
        ("unanswered", outcomes["unanswered"], "the API died in the middle of it"),
        ("struck", sum(killed.values()), _names(killed)),
        ("events", found.events, "rows"),
        ("runs", found.runs, f"that {found.merged:,} further events joined"),
        ("plans", found.plans, ""),
        ("taken over", found.taken_over, "runs and plans of the dead"),
        *((what, len(sentences), _must(sentences)) for what, sentences in wrong.items()),
        ("longest wait", f"{found.longest_wait:.1f} s", "from an event to the end of its run"),
    ]
    for name, value, note in rows:
        shown = value if isinstance(value, str) else f"{value:,}"
        print(f"{name:<18}{shown:>10}   {note}".rstrip())
    for what, sentences in wrong.items():
        for sentence in sentences[:_SHOWN]:
            print(f"{what}: {sentence}")
    return not any(wrong.values())


def _names(killed: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(killed.items()))


def _must(sentences: list[str]) -> str:
    return "must be 0" if sentences else "as it must be"
