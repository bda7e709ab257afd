# SPDX-License-Identifier: Apache-2.0
"""Metrics from aetos: Prometheus behind keystone."""

from typing import Any

from keystoneauth1.adapter import Adapter

from watcher.cloud.openstack.proxies import session
from watcher.decision_engine.datasources.prometheus import Prometheus
from watcher.decision_engine.datasources.queries import Send
from watcher.decision_engine.datasources.source import DatasourceTools


class Aetos(Prometheus):
    """Prometheus' API at the service ``metric-storage`` of the catalogue."""

    name = "aetos"
    group = "aetos_client"

    def _connect(self, tools: DatasourceTools) -> Send:
        adapter = Adapter(
            session(tools.conf),
            service_type="metric-storage",
            interface=self._options.interface,
            region_name=self._options.region_name,
        )

        def send(method: str, path: str, **request: Any) -> Any:
            path = f"/api/v1/{path}"
            return adapter.request(path, method, raise_exc=False, connect_retries=0, **request)

        return send
