# SPDX-License-Identifier: Apache-2.0
"""The configuration of tempest for a cloud, read from the cloud itself."""

import configparser
import os
import uuid
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openstack

SERVICE = "infra-optim"

_NO_NETWORK = str(uuid.UUID(int=0))
"""The scenarios refuse a configuration without a public network, also where they need none."""


class Cloud:
    """The cloud that the ``OS_*`` variables of an administrator name."""

    def __init__(self) -> None:
        self._connection: Any = openstack.connect(load_envvars=True)
        networks = list(self._safely(self._connection.network.networks))
        self.networks = bool(networks)
        self.public_network = next(
            (each.id for each in networks if each.is_router_external), _NO_NETWORK
        )
        self.flavors = [
            flavor.id
            for flavor in sorted(
                self._connection.compute.flavors(), key=lambda each: (each.ram, each.vcpus)
            )
        ]
        self.images = [
            image.id for image in self._connection.image.images() if image.status == "active"
        ]
        self.hosts = sum(1 for _ in self._connection.compute.hypervisors())
        self.servers = sum(1 for _ in self._connection.compute.servers(all_projects=True))
        if not self.flavors or not self.images:
            raise SystemExit("The cloud needs a flavor and an active image.")

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port of Watcher in the catalog."""
        url = self._connection.endpoint_for(SERVICE, interface="public")
        if not url:
            raise SystemExit(f"The catalog of the cloud has no public endpoint of {SERVICE}.")
        parts = urlsplit(url)
        return parts.hostname or "127.0.0.1", parts.port or 9322

    def write_configuration(self, path: Path, datasource: str, scenario: bool) -> None:
        parser = configparser.ConfigParser(interpolation=None)
        parser.read_dict(self._settings(path.parent, datasource, scenario))
        with path.open("w") as file:
            parser.write(file)

    def _settings(self, directory: Path, datasource: str, scenario: bool) -> dict[str, Any]:
        return {
            "DEFAULT": {"log_file": "tempest.log"},
            "oslo_concurrency": {"lock_path": str(directory / "lock")},
            **_login(),
            **self._services(),
            **self._compute(scenario),
            "optimize": _tested(datasource, scenario),
        }

    def _services(self) -> dict[str, Any]:
        return {
            "service_available": {
                "neutron": self.networks,
                "cinder": False,
                "swift": False,
                "watcher": True,
            },
            "network": {"public_network_id": self.public_network},
            "network-feature-enabled": {"floating_ips": self.networks},
        }

    def _compute(self, scenario: bool) -> dict[str, Any]:
        return {
            "compute": {
                "flavor_ref": self.flavors[0],
                "flavor_ref_alt": self.flavors[min(1, len(self.flavors) - 1)],
                "image_ref": self.images[0],
                "image_ref_alt": self.images[-1],
                "build_timeout": 120,
                "min_compute_nodes": min(2, self.hosts) if scenario else self.hosts,
                "max_microversion": "latest",
            },
            "compute-feature-enabled": {
                "live_migration": True,
                "can_migrate_between_any_hosts": True,
                "resize": True,
            },
            "placement": {
                "min_microversion": "1.6" if scenario else "1.0",
                "max_microversion": "latest",
            },
        }

    @staticmethod
    def _safely(listing: Any) -> Any:
        """The items of *listing*; none if the cloud does not have the service."""
        try:
            yield from listing()
        except openstack.exceptions.SDKException:
            return


def _login() -> dict[str, Any]:
    """The user of tempest, and the URL of keystone."""
    read = os.environ.get
    return {
        "auth": {
            "use_dynamic_credentials": True,
            "admin_username": read("OS_USERNAME", "admin"),
            "admin_password": os.environ["OS_PASSWORD"],
            "admin_project_name": read("OS_PROJECT_NAME", "admin"),
            "admin_domain_name": read("OS_USER_DOMAIN_NAME", "Default"),
        },
        "identity": {
            "auth_version": "v3",
            "uri_v3": os.environ["OS_AUTH_URL"],
            "v3_endpoint_type": "public",
            "region": read("OS_REGION_NAME", "RegionOne"),
        },
    }


def _tested(datasource: str, scenario: bool) -> dict[str, Any]:
    """The parts of Watcher that the plug-in tests."""
    return {
        "datasource": datasource,
        "max_microversion": "1.7",
        "run_continuous_audit_tests": True,
        "resource_timeout": 180,
        "model_timeout": 120,
        "run_extended_attributes_tests": scenario,
        "run_zone_migration_extra_tests": scenario,
        "run_skipped_action_tests": scenario,
    }
