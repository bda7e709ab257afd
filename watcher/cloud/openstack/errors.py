# SPDX-License-Identifier: Apache-2.0
"""What openstacksdk and keystoneauth raise, as errors of this project."""

import contextlib
from collections.abc import Iterator

from keystoneauth1 import exceptions as keystone
from openstack import exceptions as sdk

from watcher.common.errors import (
    CloudRefused,
    CloudUnavailable,
    NotConfigured,
    NotFound,
    WatcherError,
)

_PASSING = {408, 425, 429, 500, 502, 503, 504}
_MISCONFIGURED = (
    keystone.AuthPluginException,
    keystone.CatalogException,
    keystone.VersionNotAvailable,
    sdk.ConfigException,
    sdk.EndpointNotFound,
    sdk.NotSupported,
)


@contextlib.contextmanager
def translated(service: str) -> Iterator[None]:
    """Turn what goes wrong with *service*, the group of its options, into our errors.

    NotFound, CloudRefused, CloudUnavailable or NotConfigured: a sentence that has the
    service's own words and, where it gave one, the id of its request.
    """
    try:
        yield
    except sdk.HttpException as error:
        raise _answered(service, error.status_code, error.details, error.request_id) from error
    except keystone.HttpError as error:
        raise _unauthenticated(service, error) from error
    except _MISCONFIGURED as error:
        raise NotConfigured(f"{service} cannot be used as [{service}] is set: {error}.") from error
    except (keystone.ClientException, sdk.SDKException) as error:
        raise CloudUnavailable(f"{service} does not answer: {error}.") from error


def _answered(
    service: str, status: int | None, details: str | None, request_id: str | None
) -> WatcherError:
    sentence = f"{service} answered {status}: {_one_line(details)}"
    if request_id:
        sentence += f" ({request_id})"
    return _kind(status)(sentence)


def _kind(status: int | None) -> type[WatcherError]:
    if status == 404:
        return NotFound
    return CloudUnavailable if status in _PASSING else CloudRefused


def _unauthenticated(service: str, error: keystone.HttpError) -> WatcherError:
    """keystoneauth raises by itself where it asks keystone, for a token."""
    said = f"{_one_line(error.message)} ({error.request_id})" if error.request_id else error.message
    if error.http_status in _PASSING:
        return CloudUnavailable(f"keystone gave no token for {service}: {said}")
    return CloudRefused(
        f"keystone refused the credentials for {service}, those of [{service}] or else of "
        f"[watcher_clients_auth]: {said}"
    )


def _one_line(text: str | None) -> str:
    return " ".join((text or "no reason given").split())
