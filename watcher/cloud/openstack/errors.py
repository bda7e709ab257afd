# SPDX-License-Identifier: Apache-2.0
"""Translates errors of openstacksdk and keystoneauth into those of this project."""

import contextlib
from collections.abc import Iterator
from typing import Any

from keystoneauth1 import exceptions as keystone
from openstack import exceptions as sdk
from oslo_utils import strutils

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
    """Translate errors of a service into those of this project.  *service* is the group of its
    options.

    NotFound, CloudRefused, CloudUnavailable or NotConfigured, with the service's own
    message and, if there is one, the id of the request.
    """
    try:
        yield
    except sdk.HttpException as error:
        raise _answered(service, error) from error
    except keystone.HttpError as error:
        raise _unauthenticated(service, error) from error
    except _MISCONFIGURED as error:
        raise NotConfigured(f"{service} cannot be used as [{service}] is set: {error}.") from error
    except (keystone.ClientException, sdk.SDKException) as error:
        raise CloudUnavailable(f"{service} does not answer: {error}.") from error


@contextlib.contextmanager
def understood(service: str, what: str = "something") -> Iterator[None]:
    """Translate errors while an answer of *service* is read into CloudUnavailable.

    An answer of another form comes from something else than the service, such as a proxy.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise CloudUnavailable(
            f"{service} answered {what} in a form that is not known: {error!r}."
        ) from error


def _answered(service: str, error: sdk.HttpException) -> WatcherError:
    said = _errors(error) or error.details
    sentence = f"{service} answered {error.status_code}: {one_line(said)}"
    if error.request_id:
        sentence += f" ({error.request_id})"
    return kind(error.status_code)(sentence)


def _errors(error: sdk.HttpException) -> str:
    """The message of an answer in the form of the API guidelines, which openstacksdk does not
    read."""
    if error.response is None:
        return ""
    try:
        answer: Any = error.response.json()
        return " ".join(each["detail"] for each in answer["errors"])
    except (AttributeError, LookupError, TypeError, ValueError):
        return ""


def kind(status: int | None) -> type[WatcherError]:
    """The error for an answer with that status."""
    if status == 404:
        return NotFound
    return CloudUnavailable if status in _PASSING else CloudRefused


def _unauthenticated(service: str, error: keystone.HttpError) -> WatcherError:
    """keystoneauth raises its own errors when it requests a token from keystone."""
    said = one_line(error.message)
    if error.request_id:
        said += f" ({error.request_id})"
    if error.http_status in _PASSING:
        return CloudUnavailable(f"keystone gave no token for {service}: {said}")
    return CloudRefused(
        f"keystone refused the credentials for {service}, those of [{service}] or else of "
        f"[watcher_clients_auth]: {said}"
    )


def one_line(text: str | None) -> str:
    """The message of a service, without line ends and passwords."""
    return strutils.mask_password(" ".join((text or "no reason given").split()))
