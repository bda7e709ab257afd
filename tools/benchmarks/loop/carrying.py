# SPDX-License-Identifier: Apache-2.0
"""Carrying a plan out in virtual time, as the applier does."""

from collections.abc import Mapping, Sequence

from watcher.db.action_plans import PlannedAction

from .world import World

WORKERS = 8
"""[workflow_engines.taskflow] max_workers, by default the processors of the controller."""


class Carrying:
    """A plan under way.  An action starts when all its parents have ended, in whatever state."""

    def __init__(
        self,
        world: World,
        plan: Sequence[PlannedAction],
        servers: Mapping[str, int],
        hosts: Mapping[str, int],
    ) -> None:
        """*servers* are indices by uuid, *hosts* by hostname."""
        self._world, self._servers, self._hosts = world, servers, hosts
        self._waiting = {action.uuid: set(action.parents) for action in plan}
        self._actions = {action.uuid: action for action in plan}
        self._running: set[str] = set()

    @property
    def is_over(self) -> bool:
        return not (self._waiting or self._running)

    def go_on(self, begin: float, until: float) -> None:
        """Carry the plan out from *begin* to *until*, in minutes."""
        self._start(begin)
        while (move := self._world.next_end(until)) is not None:
            self._running.discard(move.name)
            self._ended(move.name)
            self._start(move.ended)

    def _start(self, now: float) -> None:
        """Start the actions that wait for no other, as far as there are workers."""
        ready = [name for name, parents in self._waiting.items() if not parents]
        while ready and len(self._running) < WORKERS:
            name = ready.pop(0)
            del self._waiting[name]
            parameters = self._actions[name].input_parameters
            server = self._servers[parameters["resource_id"]]
            destination = self._hosts[parameters["destination_node"]]
            if self._world.migrate(server, destination, now, name):
                self._running.add(name)
            else:
                self._world.refused(server, destination, now)
                ready += self._ended(name)

    def _ended(self, name: str) -> list[str]:
        """End the action *name*.  Returns the actions that waited for it alone."""
        ready = []
        for waiting, parents in self._waiting.items():
            if name in parents:
                parents.discard(name)
                if not parents:
                    ready.append(waiting)
        return ready
