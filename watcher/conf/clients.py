# SPDX-License-Identifier: Apache-2.0
"""How Watcher reaches the other services of the cloud: keystoneauth's options.

The code that connects registers them (``register``), and not ``watcher.conf.register``:
keystoneauth takes megabytes, which a service without a real cloud does not need.
"""

from typing import NamedTuple

from oslo_config import cfg

AUTH = "watcher_clients_auth"
TIMEOUT = 60.0
# Options of keystoneauth that are left out, because openstacksdk negotiates the version.
_NEGOTIATED = ("version", "min_version", "max_version")


class ServiceGroup(NamedTuple):
    """The options of one service of the cloud."""

    service_type: str
    former_group: str
    """The deprecated group, whose region and interface count if this group has none."""
    former_interface: str
    """The option for the interface in the deprecated group."""


SERVICES = {
    "nova": ServiceGroup("compute", "nova_client", "endpoint_type"),
    "cinder": ServiceGroup("block-storage", "cinder_client", "endpoint_type"),
    "ironic": ServiceGroup("baremetal", "ironic_client", "endpoint_type"),
    "placement": ServiceGroup("placement", "placement_client", "interface"),
}


def register(conf: cfg.ConfigOpts) -> None:
    """Register what ``list_opts`` has, except what an auth plugin registers itself."""
    for group, options in _options(plugin=None).items():
        conf.register_opts(options, group=group)


def configured(conf: cfg.ConfigOpts, group: str) -> bool:
    """Whether *group*, or ``[watcher_clients_auth]`` for it, names an auth plugin."""
    return any(names_auth(conf, each) for each in (group, AUTH))


def names_auth(conf: cfg.ConfigOpts, group: str) -> bool:
    register(conf)
    return bool(conf[group].auth_section or conf[group].auth_type)


def list_opts() -> list[tuple[str, list[cfg.Opt]]]:
    """An entry point of oslo.config's sample generator."""
    return sorted(_options(plugin="v3password").items())


def _options(plugin: str | None) -> dict[str, list[cfg.Opt]]:
    from keystoneauth1 import loading

    plugin_options = loading.get_auth_plugin_conf_options(plugin) if plugin else []
    session_options = loading.get_session_conf_options()
    cfg.set_defaults(session_options, timeout=TIMEOUT)
    auth = [*session_options, *loading.get_auth_common_conf_options(), *plugin_options]
    unique = {option.dest: option for option in auth}
    groups: dict[str, list[cfg.Opt]] = {AUTH: list(unique.values())}
    for group, service in SERVICES.items():
        groups[group] = [
            *loading.get_session_conf_options(),
            *loading.get_auth_common_conf_options(),
            *adapter_options(service.former_group).values(),
        ]
        groups[service.former_group] = [_former_interface(group, service)]
    return groups


def adapter_options(former_group: str | None = None) -> dict[str, cfg.Opt]:
    """The options of a service, by name; its region may still stand in *former_group*."""
    from keystoneauth1 import loading

    region = [cfg.DeprecatedOpt("region_name", group=former_group)] if former_group else []
    options = loading.get_adapter_conf_options(deprecated_opts={"region-name": region})
    return {option.dest: option for option in options if option.dest not in _NEGOTIATED}


def _former_interface(group: str, service: ServiceGroup) -> cfg.Opt:
    return cfg.StrOpt(
        service.former_interface,
        default="public" if service.former_interface == "interface" else "publicURL",
        choices=["public", "internal", "admin", "publicURL", "internalURL", "adminURL"],
        help=f"The interface of the endpoint, where [{group}] valid_interfaces is not set.",
        deprecated_for_removal=True,
        deprecated_reason=f"Set [{group}] valid_interfaces.",
    )
