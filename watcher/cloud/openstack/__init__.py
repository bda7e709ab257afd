# SPDX-License-Identifier: Apache-2.0
"""A real cloud, through openstacksdk.

openstacksdk takes 20 MiB of memory and half a second to import, so no module of this
package that needs it is imported before there are credentials for a cloud.
"""

from oslo_config import cfg

from watcher.cloud import Cloud
from watcher.cloud.openstack.versions import nova_version
from watcher.conf import clients


def connect(conf: cfg.ConfigOpts) -> Cloud:
    """The services that there are credentials for.

    They are looked for in the catalog when they are first used, and raise NotConfigured
    then if they are not there.  Invalid for a ``[nova] api_version`` that is too old.
    """
    if not (clients.configured(conf, "nova") and clients.configured(conf, "placement")):
        return Cloud()
    nova_version(conf)
    from watcher.cloud.openstack.compute import Nova

    return Cloud(compute_service=Nova(conf), notifies=True)
