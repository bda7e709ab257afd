# SPDX-License-Identifier: Apache-2.0
"""The outside world: what Watcher needs of a cloud, as small interfaces.

``compute`` names the interface and its values; ``simulated`` is a cloud in memory.
"""

from oslo_config import cfg

from watcher.cloud.compute import Cloud


def connect(conf: cfg.ConfigOpts) -> Cloud:
    """The cloud that ``[cloud]`` names, or one without services if it names none."""
    if not conf.cloud.simulation:
        return Cloud()
    from watcher.cloud import simulated  # reads files of megabytes: only where it is wanted

    return simulated.SimulatedCloud.from_file(conf.cloud.simulation).cloud
