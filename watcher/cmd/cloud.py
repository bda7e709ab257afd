# SPDX-License-Identifier: Apache-2.0
"""The cloud that the configuration names."""

from oslo_config import cfg

from watcher.cloud import Cloud


def connect(conf: cfg.ConfigOpts) -> Cloud:
    """The simulated cloud that ``[cloud]`` names, or the real one that there are credentials for.

    Without either, a cloud without services.  A real one is talked to when it is first used.
    """
    # Both take megabytes of memory: they are imported where they are wanted.
    if conf.cloud.simulation:
        from watcher.simulation.cloud import SimulatedCloud

        return SimulatedCloud.from_file(conf.cloud.simulation).cloud
    from watcher.cloud import openstack

    return openstack.connect(conf)
