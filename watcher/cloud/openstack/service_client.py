# SPDX-License-Identifier: Apache-2.0
"""The API of one service, as plain JSON.

openstacksdk finds the endpoint, authenticates, repeats and negotiates; its resource
objects are left out: 20,000 servers take ten times as long with them.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from openstack import utils
from openstack.exceptions import raise_from_response
from openstack.proxy import Proxy
from oslo_config import cfg

from watcher.cloud.openstack import proxies
from watcher.cloud.openstack.errors import translated, understood
from watcher.common.errors import CloudUnavailable

Json = dict[str, Any]

_ENDPOINT_SECONDS: Final = 60.0
"""How long an endpoint is used until it is looked up again in the catalog, which may have changed:
keystoneauth does so for each request, and that takes a quarter of the time of one."""


class ServiceClient:
    """One service of the cloud, by the group of its options.  Any thread may use it.

    It is looked up in the catalog at the first request.  Requests raise the errors of
    ``errors.translated``; paths and answers are those of the service's API reference, *version* is
    a microversion.
    """

    def __init__(
        self, conf: cfg.ConfigOpts, group: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._conf, self._group, self._clock = conf, group, clock
        self._lock = threading.Lock()
        self._proxy: Proxy | None = None
        self._supported: set[str] = set()
        self._endpoint: tuple[str | None, float] = None, 0.0
        """Where the service is, and until when that counts."""

    def supports(self, version: str) -> bool:
        """Whether the service has this microversion; one that it had is not looked up again."""
        if version not in self._supported:
            with understood(self._group, "its versions"), translated(self._group):
                if utils.supports_microversion(self._connected(), version):
                    self._supported.add(version)
        return version in self._supported

    def get(self, path: str, version: str | None = None, **params: Any) -> Json:
        return self._request("GET", path, version, params=params)

    def post(self, path: str, body: Mapping[str, Any], version: str | None = None) -> Json:
        """Send a request once: if it is not answered, the caller has to check whether it had an
        effect."""
        once = {"connect_retries": 0, "status_code_retries": 0}
        return self._request("POST", path, version, json=body, **once)

    def put(self, path: str, body: Mapping[str, Any], version: str | None = None) -> Json:
        return self._request("PUT", path, version, json=body)

    def delete(self, path: str, version: str | None = None) -> None:
        self._request("DELETE", path, version)

    def rows(
        self, path: str, key: str, version: str | None = None, **params: Any
    ) -> Iterator[Json]:
        """The list below *key* in the answer of ``get``, with all following pages.

        Of a row that has both a uuid and a number as its id, the uuid is the marker.
        """
        seen = None
        while True:
            page = self.get(path, version, **params)
            rows = self._below(page, key)
            yield from rows
            if not rows or not self._has_next(page):
                return
            last = rows[-1].get("uuid") or rows[-1].get("id")
            if last is None or last == seen:
                raise CloudUnavailable(f"{self._group} repeats a page of {path}.")
            seen = params["marker"] = last

    def _below(self, answer: Json, key: str) -> list[Json]:
        rows = answer.get(key)
        if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
            raise CloudUnavailable(f"{self._group} answered something that has no {key}.")
        return rows

    def _has_next(self, page: Json) -> bool:
        """nova and cinder have links beside the rows, ironic has one named ``next``.

        Each list of links has a name of its own, such as ``volume_type_links``.
        """
        with understood(self._group, "links"):
            return "next" in page or any(
                link["rel"] == "next"
                for name, links in page.items()
                if name.endswith("_links")
                for link in links or ()
            )

    def _request(self, method: str, path: str, version: str | None, **kwargs: Any) -> Json:
        with understood(self._group), translated(self._group):
            proxy = self._connected()
            # Older releases, such as those for Python 3.10, would repeat only once.
            kwargs.setdefault("connect_retries", proxy.connect_retries)
            kwargs["endpoint_override"] = proxy.endpoint_override or self._found(proxy)
            response = proxy.request(path, method, microversion=version, **kwargs)
            raise_from_response(response)
        if not response.content:
            return {}
        try:
            answer = response.json()
        except ValueError as error:
            raise CloudUnavailable(f"{self._group} answered something that is no JSON.") from error
        if not isinstance(answer, dict):
            raise CloudUnavailable(f"{self._group} answered JSON that is no object.")
        return answer

    def _found(self, proxy: Proxy) -> str | None:
        """The endpoint in the catalog, as keystoneauth takes it; None if there is none."""
        endpoint, until = self._endpoint
        if endpoint is None or self._clock() >= until:
            found: str | None = proxy.get_endpoint()
            endpoint = found and found.replace("%", "%%")  # names after % would be replaced
            self._endpoint = endpoint, self._clock() + _ENDPOINT_SECONDS
        return endpoint

    def _connected(self) -> Proxy:
        with self._lock:
            if self._proxy is None:
                self._proxy = proxies.proxy(self._conf, self._group)
            return self._proxy
