# SPDX-License-Identifier: Apache-2.0
"""The wishes of soft server groups that a plan breaks."""

from collections.abc import Iterator, Mapping, Sequence

from watcher.cloud.compute import Server, ServerGroup
from watcher.model import undone
from watcher.model.undone import Undone

_AGAINST = {
    "soft-anti-affinity": (True, undone.JOINED),
    "soft-affinity": (False, undone.PARTED),
}
"""Policy to whether a pair on one host breaks it, and the reason that is reported."""


def broken(
    groups: Sequence[ServerGroup], servers: Mapping[str, Server], ends: Mapping[str, str]
) -> list[Undone]:
    """The pairs of servers that a plan joins or parts against the policy of their group.

    *servers* are by uuid; *ends* are the hosts to which servers move, by their uuids. Pairs that
    break the policy before the plan are not counted.
    """
    found = []
    for group in groups:
        if group.policy in _AGAINST:
            joined, reason = _AGAINST[group.policy]
            members = [servers[uuid] for uuid in group.members if uuid in servers]
            for one, other in _pairs(members, ends):
                before = one.host == other.host
                after = ends.get(one.uuid, one.host) == ends.get(other.uuid, other.host)
                if before != joined and after == joined:
                    found.append((" and ".join(sorted((one.name, other.name))), reason))
    return undone.grouped(found, "pairs")


def _pairs(members: Sequence[Server], ends: Mapping[str, str]) -> Iterator[tuple[Server, Server]]:
    """Pairs of which at least one server moves."""
    for one in members:
        if one.uuid in ends:
            for other in members:
                if other.uuid not in ends or one.uuid < other.uuid:
                    yield one, other
