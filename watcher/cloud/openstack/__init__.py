# SPDX-License-Identifier: Apache-2.0
"""A real cloud, through openstacksdk.

openstacksdk takes 20 MiB of memory and half a second to import, so no module of this
package that needs it is imported before there are credentials for a cloud.
"""

from oslo_config import cfg

from watcher.cloud import Cloud
from watcher.cloud.baremetal import Baremetal
from watcher.cloud.block_storage import BlockStorage
from watcher.cloud.compute import Compute
from watcher.cloud.openstack.versions import nova_version
from watcher.conf import clients


def connect(conf: cfg.ConfigOpts) -> Cloud:
    """The services for which there are credentials.

    They are looked up in the catalog at the first use, and raise NotConfigured then if they
    are missing.  Invalid for a ``[nova] api_version`` that is too old, or for a malformed
    ``[maas_client] api_key``.
    """
    services = _compute(conf), _block_storage(conf), _baremetal(conf)
    return Cloud(*services, notifies=any(services))


def _compute(conf: cfg.ConfigOpts) -> Compute | None:
    if not (clients.configured(conf, "nova") and clients.configured(conf, "placement")):
        return None
    nova_version(conf)
    from watcher.cloud.openstack.compute import Nova

    return Nova(conf)


def _block_storage(conf: cfg.ConfigOpts) -> BlockStorage | None:
    if not clients.configured(conf, "cinder"):
        return None
    from watcher.cloud.openstack.block_storage import Cinder

    return Cinder(conf)


def _baremetal(conf: cfg.ConfigOpts) -> Baremetal | None:
    """MAAS instead of ironic, if its URL is configured."""
    if conf.maas_client.url:
        from watcher.cloud.openstack.maas import Maas

        return Maas(conf)
    if not clients.configured(conf, "ironic"):
        return None
    from watcher.cloud.openstack.baremetal import Ironic

    return Ironic(conf)
