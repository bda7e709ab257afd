# SPDX-License-Identifier: Apache-2.0
"""Enables hosts that a plan has disabled, when the plan is over.

The ``disabled_reason`` of a host names the plan that has disabled the host.  The applier that ends
the plan enables its hosts before it writes the end.  If the cloud does not answer then, or the
applier dies, a periodic sweep of any applier enables the hosts.

An applier that loses the plan meanwhile does no harm.  The next holder enables the same hosts.  A
host that another plan has disabled since then names that plan.
"""

import contextlib
import itertools
from collections.abc import Mapping, Sequence

from oslo_db.exception import DBError
from oslo_log import log

from watcher.cloud import Cloud
from watcher.cloud.compute import DISABLED, FORMER_REASON, Host, read_disabled_reason
from watcher.common.errors import CloudRefused, NotFound, WatcherError, traceback_of
from watcher.common.states import PlanState
from watcher.db import disabled_hosts
from watcher.db.disabled_hosts import BY_HAND, SWITCH, Owner
from watcher.db.plan_execution import HeldAction, HeldPlan
from watcher.db.session import Database

LOG = log.getLogger(__name__)

PERIOD = 60.0
"""Seconds between two calls of ``Enabling.sweep_if_due``."""

_CALLS = 10
"""One of so many calls of ``sweep_if_due`` sweeps, and the first one after a failure does."""

_MAX_NAMED = 3
"""Hosts that a sentence names, at most."""


def reason_to_enable(host: Host, temporary: bool, servers: int) -> str | None:
    """Why a host is enabled when the plan that disabled it is over; None if it stays disabled.

    *temporary*: an action of the plan was to enable the host.  A host in maintenance stays
    disabled, and so does a host that has been emptied.
    """
    if host.disabled_as != DISABLED:
        return None
    if temporary:
        return "it was disabled only for the time of the plan's moves"
    if servers:
        return f"it was to be emptied, and has {servers} server{'s' if servers > 1 else ''} left"
    return None


def is_temporary(host: Host, owner: Owner | None) -> bool:
    """Whether *owner*, the plan that disabled *host* (None if unknown), was to enable it again."""
    if host.disabled_reason == FORMER_REASON:
        return True
    return owner is not None and not owner.enables.isdisjoint(_names(host))


def disabled_hosts_of(plan: HeldPlan) -> Mapping[str, str]:
    """The hosts that actions of a plan disable, with the ``disabled_reason`` that they write.

    Actions that a user wrote are left out, and so are hosts that go into maintenance.
    """
    disabled: dict[str, str] = {}
    for action in plan.actions if plan.strategy != BY_HAND else ():
        name = action.parameters.get("resource_name") or action.parameters.get("resource_id")
        reason = action.parameters.get("disabled_reason")
        if action.action_type == SWITCH and isinstance(name, str) and isinstance(reason, str):
            what = read_disabled_reason(reason)
            if what and what.word == DISABLED and what.plan in (None, plan.uuid):
                disabled[name] = reason
    return disabled


class Enabling:
    """Enables hosts; any number of appliers may do so at once."""

    def __init__(self, database: Database, cloud: Cloud) -> None:
        self._database, self._cloud = database, cloud
        self._calls = itertools.cycle(range(_CALLS))
        self._failed = False

    def enable_hosts_of(self, plan: HeldPlan) -> Sequence[str]:
        """Enable the hosts that a plan has disabled, at its end.  Returns sentences for its users.

        Errors do not keep the plan from its end: a sweep tries again.
        """
        owner = Owner(plan.state, frozenset[str]().union(*map(_enables, plan.actions)))
        enabled: list[str] = []
        remarks = []
        try:
            for name, reason in disabled_hosts_of(plan).items():
                with contextlib.suppress(NotFound):
                    host = self._cloud.compute.host(name)
                    if host.disabled_reason == reason and self._enable(host, owner):
                        enabled.append(host.hostname)
        except Exception as error:
            LOG.warning(
                "Hosts of action plan %s cannot be looked at now, and will be later: %s",
                plan.uuid,
                error,
                exc_info=traceback_of(error),
            )
            self._failed = True
            remarks.append("Hosts that it disabled may be so still, and will be looked at later.")
        return [*_remark(enabled), *remarks]

    def sweep_if_due(self) -> None:
        if next(self._calls) and not self._failed:
            return
        self._failed = False
        try:
            self.sweep()
        except (WatcherError, DBError) as error:
            LOG.warning("Hosts that Watcher disabled cannot be looked at now: %s", error)
            self._failed = True

    def sweep(self) -> None:
        """Enable the hosts that were left disabled by plans that are over.

        The hosts are read before the plans, so that no plan can disable one in between.  Hosts
        that plans under way name are left to a later sweep.
        """
        if self._cloud.compute_service is None:
            return
        hosts = [host for host in self._cloud.compute.hosts() if host.disabled_as == DISABLED]
        if not hosts:
            return
        uuids = {host.disabled_by for host in hosts if host.disabled_by}
        with self._database.reader() as session:
            owners = disabled_hosts.owners(session, uuids)
            named = disabled_hosts.named_under_way(session)
            by_hand = disabled_hosts.set_by_hand(session)
        for host in hosts:
            owner, names = owners.get(host.disabled_by or ""), _names(host)
            under_way = owner is not None and owner.state in PlanState.UNDER_WAY
            asked_for = host.disabled_by is None and not by_hand.isdisjoint(names)
            if not (under_way or asked_for) and named.isdisjoint(names):
                self._try(host, owner)

    def _try(self, host: Host, owner: Owner | None) -> None:
        """Enable a host.  An error is only logged, so that the other hosts are enabled."""
        try:
            self._enable(host, owner)
        except (CloudRefused, NotFound) as error:
            LOG.warning(
                "Host %s (%s) stays as it is: %s", host.hostname, host.disabled_reason, error
            )

    def _enable(self, host: Host, owner: Owner | None) -> bool:
        """Enable a host if there is a reason to."""
        compute, temporary = self._cloud.compute, is_temporary(host, owner)
        servers = 0 if temporary else len(compute.servers_on(host.hostname))
        why = reason_to_enable(host, temporary, servers)
        if why is None or compute.host(host.hostname).disabled_reason != host.disabled_reason:
            return False
        compute.enable(host.hostname)
        LOG.info("Host %s (%s) is enabled again: %s", host.hostname, host.disabled_reason, why)
        return True


def _names(host: Host) -> frozenset[str]:
    return frozenset((host.hostname, host.uuid))


def _enables(action: HeldAction) -> frozenset[str]:
    return disabled_hosts.enables(action.action_type, action.parameters, action.state)


def _remark(enabled: Sequence[str]) -> Sequence[str]:
    if not enabled:
        return ()
    named = ", ".join(enabled[:_MAX_NAMED])
    more = f" and {len(enabled) - _MAX_NAMED} more" if len(enabled) > _MAX_NAMED else ""
    return (f"Hosts enabled again: {named}{more}.",)
