# SPDX-License-Identifier: Apache-2.0
"""Bare metal by MAAS, through its REST API 2.0."""

import time
import uuid as uuidlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

import requests
from oslo_config import cfg

from watcher.cloud.baremetal import BaremetalNode
from watcher.cloud.openstack.errors import kind, one_line, understood
from watcher.common.errors import CloudUnavailable, Invalid

_POWER = {"on": "on", "off": "off"}
_SHOWN = 200


class Maas:
    """The ``Baremetal`` of MAAS.  One request lists all machines.

    A machine's compute host is the one with its full name.
    """

    keeps_hosts_up = False

    def __init__(self, conf: cfg.ConfigOpts, clock: Callable[[], float] = time.time) -> None:
        """Invalid if the API key is malformed."""
        options = conf.maas_client
        key: list[str] = (options.api_key or "").split(":")
        if len(key) != 3 or not all(key):
            raise Invalid("[maas_client] api_key: must be three parts with colons between them.")
        self._consumer, self._token, self._secret = key
        self._url = f"{options.url.rstrip('/')}/api/2.0/machines/"
        self._timeout, self._clock = options.timeout, clock

    def nodes(self) -> Sequence[BaremetalNode]:
        rows = self._request("GET", "")
        if not isinstance(rows, list):
            raise CloudUnavailable("MAAS answered something that is no list of machines.")
        return [_node(row) for row in rows]

    def node(self, uuid: str) -> BaremetalNode:
        return _node(self._request("GET", f"{quote(uuid, safe='')}/"))

    def set_power(self, uuid: str, state: str) -> None:
        self._request("POST", f"{quote(uuid, safe='')}/", op=f"power_{state}")

    def _request(self, method: str, path: str, **params: str) -> Any:
        try:
            response = requests.request(
                method,
                self._url + path,
                params=params,
                headers={"Authorization": self._authorization(), "Accept": "application/json"},
                timeout=self._timeout,
            )
        except requests.RequestException as error:
            raise CloudUnavailable(f"MAAS does not answer: {error}.") from error
        if not response.ok:
            said = one_line(response.text)[:_SHOWN]
            raise kind(response.status_code)(f"MAAS answered {response.status_code}: {said}")
        with understood("MAAS"):
            return response.json()

    def _authorization(self) -> str:
        """RFC 5849 with the method PLAINTEXT: MAAS supports no other, and has no consumer
        secret."""
        fields = {
            "oauth_version": "1.0",
            "oauth_signature_method": "PLAINTEXT",
            "oauth_consumer_key": self._consumer,
            "oauth_token": self._token,
            "oauth_signature": f"&{quote(self._secret, safe='')}",
            "oauth_nonce": uuidlib.uuid4().hex,
            "oauth_timestamp": str(int(self._clock())),
        }
        return "OAuth " + ", ".join(
            f'{name}="{quote(value, safe="")}"' for name, value in fields.items()
        )


def _node(row: Any) -> BaremetalNode:
    with understood("MAAS", "a machine"):
        return BaremetalNode(
            uuid=row["system_id"],
            name=row["hostname"],
            power_state=_POWER.get(row["power_state"], "unknown"),
            switches=None,
            hostname=row["fqdn"],
        )
