# SPDX-License-Identifier: Apache-2.0
"""The versions of the API, and how a request asks for one."""

import re
from collections.abc import Iterable
from typing import Final

import microversion_parse

from watcher.api import errors, wsgi
from watcher.api.wsgi import Application, Environ, StartResponse
from watcher.common.errors import NotAcceptable

Version = tuple[int, int]

SERVICE_TYPE: Final = "infra-optim"
HEADER: Final = "OpenStack-API-Version"
_VARIABLE: Final = "HTTP_OPENSTACK_API_VERSION"
ENVIRON: Final = "watcher.api_version"

HISTORY: Final = {
    (1, 0): "All resources as they were before versions were counted.",
    (1, 1): "An audit may have a start_time and an end_time.",
    (1, 2): "An audit may be forced to run beside action plans that are carried out.",
    (1, 3): "The cluster data model can be read.",
    (1, 4): "An audit of type EVENT can be triggered through its webhook.",
    (1, 5): "An action can be skipped; audits, plans and actions show why (status_message).",
    (1, 6): "The data model shows a server's pinned zone and the extra specs of its flavor.",
    (1, 7): "An audit template may have default parameters.",
}
MINIMUM: Final = min(HISTORY)
MAXIMUM: Final = max(HISTORY)

_NUMBERS = re.compile(r"([0-9]{1,4})(?:\.([0-9]{1,4}))?")


def text(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def parse(header: str | None) -> Version:
    """The version that the value of the header asks for.

    If the header is missing or names no version of this service, it is the first version: alarm
    services send no header.  NotAcceptable for a version that is not served.
    """
    if not header:
        return MINIMUM
    wanted = microversion_parse.get_version({HEADER: header}, SERVICE_TYPE)
    if wanted is None:
        return MINIMUM
    if wanted.lower() == "latest":
        return MAXIMUM
    numbers = _NUMBERS.fullmatch(wanted)
    version = (int(numbers[1]), int(numbers[2] or 0)) if numbers else None
    if version not in HISTORY:
        raise NotAcceptable(
            f"{HEADER}: version {wanted[:36]} of {SERVICE_TYPE} is not served; allowed are "
            f"{text(MINIMUM)} to {text(MAXIMUM)} and latest."
        )
    return version


class Versioned:
    """Finds the version of requests below /v1, and turns errors of inner layers into responses.

    Every response names the version, errors too.
    """

    def __init__(self, application: Application) -> None:
        self._application = application

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        headers: wsgi.Headers = []
        try:
            if environ["PATH_INFO"].startswith("/v1"):
                headers = _SERVED
                environ[ENVIRON] = version = parse(environ.get(_VARIABLE))
                headers = [(HEADER, f"{SERVICE_TYPE} {text(version)}"), *_SERVED]
            return self._application(environ, wsgi.adding(start_response, headers))
        except Exception as error:
            return errors.respond(error)(environ, wsgi.adding(start_response, headers))


_SERVED: Final = [
    ("OpenStack-API-Minimum-Version", text(MINIMUM)),
    ("OpenStack-API-Maximum-Version", text(MAXIMUM)),
    ("Vary", HEADER),
]
