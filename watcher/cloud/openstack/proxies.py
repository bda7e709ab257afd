# SPDX-License-Identifier: Apache-2.0
"""From options to keystoneauth sessions and openstacksdk proxies.

A group without an auth plugin of its own uses ``[watcher_clients_auth]``; so does each
option of a session (``cafile``, ``timeout``, ...) that the group leaves unset.
"""

from typing import Any

from keystoneauth1 import loading
from keystoneauth1.session import Session
from openstack.config import defaults
from openstack.config.cloud_region import CloudRegion
from openstack.connection import Connection
from openstack.proxy import Proxy
from oslo_config import cfg

from watcher.cloud.openstack.errors import translated
from watcher.common.errors import NotConfigured
from watcher.conf import clients

# Names of the loader that differ from those of the options.
_RENAMED = {"cafile": "cacert", "certfile": "cert", "keyfile": "key"}


def session(conf: cfg.ConfigOpts, group: str = clients.AUTH) -> Session:
    """A session for the service of *group*; it sends no request before its first use.

    Any number of threads may share it.  NotConfigured if no auth plugin is named, or if its
    options are incomplete.
    """
    source = group if clients.names_auth(conf, group) else clients.AUTH
    with translated(group):
        auth = loading.load_auth_from_conf_options(conf, source)
    if auth is None:
        raise NotConfigured(
            f"No credentials for {group}; set [{clients.AUTH}] auth_type and what it needs."
        )
    options = {
        _RENAMED.get(option.dest, option.dest): conf[group][option.dest]
        or conf[clients.AUTH][option.dest]
        for option in loading.get_session_conf_options()
    }
    loaded: Session = loading.session.Session().load_from_options(
        auth=auth, app_name="watcher", **options
    )
    return loaded


def proxy(conf: cfg.ConfigOpts, group: str) -> Proxy:
    """openstacksdk's proxy of the service of *group*, one of ``clients.SERVICES``.

    It reads the catalog from keystone and the versions from the service.  NotConfigured if
    the catalog has no such service.
    """
    service = clients.SERVICES[group]
    prefix = service.service_type.replace("-", "_")
    options = defaults.get_defaults()
    options |= {f"{prefix}_{name}": each for name, each in _adapter_options(conf, group).items()}
    connection = Connection(config=CloudRegion(session=session(conf, group), config=options))
    found = getattr(connection, prefix)
    if not isinstance(found, Proxy):  # newer releases return it instead of EndpointNotFound
        raise NotConfigured(f"The catalog of the cloud has no {service.service_type} service.")
    return found


def _adapter_options(conf: cfg.ConfigOpts, group: str) -> dict[str, Any]:
    service = clients.SERVICES[group]
    options = {name: conf[group][name] for name in clients.adapter_options()}
    interfaces, interface = options.pop("valid_interfaces"), options.pop("interface")
    former: str = conf[service.former_group][service.former_interface]
    options["interface"] = interfaces or interface or former.removesuffix("URL")
    set_ones = {name: value for name, value in options.items() if value is not None}
    return _retries(conf, group) | set_ones


def _retries(conf: cfg.ConfigOpts, group: str) -> dict[str, float]:
    """The defaults of options that the group does not set."""
    retries: dict[str, float] = {
        "status_code_retries": conf.collector.api_query_max_retries - 1,
        "status_code_retry_delay": conf.collector.api_query_interval,
    }
    if group == "nova":  # the only service with options of its own for retries
        retries["connect_retries"] = conf.nova.http_retries
        retries["connect_retry_delay"] = conf.nova.http_retry_interval
    return retries
