# SPDX-License-Identifier: Apache-2.0
"""Bare metal in memory: a machine for each host of a simulated cloud that has ``power``.

::

    hosts:
      - {hostname: compute-1, power: "off", power_seconds: 120, ...}
"""

import contextlib
import dataclasses
import threading
import uuid as uuidlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from watcher.cloud.baremetal import BaremetalNode
from watcher.common.errors import Invalid, NotFound

KEYS = ("power", "power_seconds")
"""The fields of a host in the file that are its machine's."""
_NAMESPACE = uuidlib.UUID("0f6a4a43-53a2-4f8e-8f5d-5a4f1c1e7d11")
_SECONDS = 60.0
_STATES = {True: "on", False: "off", "on": "on", "off": "off", "unknown": "unknown"}
"""YAML reads a bare ``on`` as true."""


@dataclasses.dataclass(frozen=True)
class Machine:
    node: BaremetalNode
    seconds: float
    """How long it takes to switch."""

    @classmethod
    def of_host(cls, entry: Mapping[str, Any]) -> "Machine":
        """Invalid if the ``power`` of a host is neither on nor off."""
        if entry["power"] not in _STATES:
            raise Invalid(f"hosts: power '{entry['power']}' must be on, off or unknown.")
        hostname = entry.get("hostname", "")
        node = BaremetalNode(
            str(uuidlib.uuid5(_NAMESPACE, hostname)),
            hostname,
            _STATES[entry["power"]],
            hostname=hostname,
        )
        return cls(node, float(entry.get("power_seconds", _SECONDS)))


class SimulatedBaremetal:
    """The ``Baremetal`` of a simulated cloud.  Any thread may call it.

    *switched* is called with the hostname and the new state of each machine that has changed.
    """

    keeps_hosts_up = False

    def __init__(
        self,
        machines: Sequence[Machine],
        clock: Callable[[], float],
        switched: Callable[[str, str], None],
    ) -> None:
        self._clock, self._switched, self._lock = clock, switched, threading.RLock()
        self._nodes = {machine.node.uuid: machine.node for machine in machines}
        self._seconds = {machine.node.uuid: machine.seconds for machine in machines}
        self._pending: dict[str, tuple[float, str]] = {}
        """When each machine that is being switched will have changed, and its new state."""
        for node in self._nodes.values():
            if node.power_state == "off":
                switched(node.name, "off")

    def nodes(self) -> Sequence[BaremetalNode]:
        with self.present():
            return [self._shown(uuid) for uuid in self._nodes]

    def node(self, uuid: str) -> BaremetalNode:
        with self.present():
            if uuid not in self._nodes:
                raise NotFound(f"Bare metal node {uuid} was not found.")
            return self._shown(uuid)

    def set_power(self, uuid: str, state: str) -> None:
        with self.present() as now:
            self.node(uuid)
            self._pending[uuid] = now + self._seconds[uuid], state

    def _shown(self, uuid: str) -> BaremetalNode:
        return dataclasses.replace(self._nodes[uuid], switches=uuid in self._pending)

    @contextlib.contextmanager
    def present(self) -> Iterator[float]:
        """Hold the lock, with every machine switched that is due by now."""
        with self._lock:
            now = self._clock()
            for uuid, (due, state) in list(self._pending.items()):
                if due <= now:
                    del self._pending[uuid]
                    self._switch(uuid, state)
            yield now

    def _switch(self, uuid: str, state: str) -> None:
        node = self._nodes[uuid]
        if node.power_state != state:
            self._nodes[uuid] = dataclasses.replace(node, power_state=state)
            self._switched(node.name, state)

    def to_dict(self) -> dict[str, Any]:
        """The present state, as ``restore`` reads it."""
        with self.present() as now:
            return {
                "power": {uuid: node.power_state for uuid, node in self._nodes.items()},
                "pending": {
                    uuid: [due - now, state] for uuid, (due, state) in self._pending.items()
                },
            }

    def restore(self, state: Mapping[str, Any]) -> None:
        with self._lock:
            now = self._clock()
            for uuid, power in state["power"].items():
                if uuid in self._nodes:
                    self._switch(uuid, power)
            for uuid, (left, wanted) in state["pending"].items():
                if uuid in self._nodes:
                    self._pending[uuid] = now + left, wanted
