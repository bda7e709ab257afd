# SPDX-License-Identifier: Apache-2.0
"""The cloud that the configuration names."""

from oslo_config import cfg

from watcher.cloud import Cloud


def connect(conf: cfg.ConfigOpts) -> Cloud:
    """The simulated cloud that ``[cloud]`` names, or the real one that there are credentials for.

    Without either, a cloud without services.  A real one is not contacted before it is used.
    """
    # Imported here, because each takes megabytes of memory.
    if conf.cloud.simulation:
        from watcher.simulation.cloud import SimulatedCloud

        return SimulatedCloud.from_file(conf.cloud.simulation).cloud
    from watcher.cloud import openstack

    return openstack.connect(conf)
