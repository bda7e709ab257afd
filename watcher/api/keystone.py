# SPDX-License-Identifier: Apache-2.0
"""Checks tokens by keystone, which has to be configured and may be unreachable."""

from collections.abc import Callable, Iterable
from typing import Any, Final

from keystoneauth1 import loading
from keystoneauth1.exceptions import ClientException, MissingRequiredOptions, NoMatchingPlugin
from keystonemiddleware.auth_token import AuthProtocol
from oslo_config import cfg

from watcher.api import wsgi
from watcher.api.wsgi import Application, Environ, StartResponse
from watcher.common.errors import Invalid, Unavailable

GROUP: Final = "keystone_authtoken"

_PASSWORD: Final = ("password", "v3password")
_NEEDED: Final = (("auth_url",), ("username", "user_id"), ("password",))
"""Authentication by password also needs one option of each of these groups."""

_AWAY: Final = "Keystone does not answer now; try again later."


def require(conf: cfg.ConfigOpts) -> None:
    """Invalid if options are missing without which no token can be checked."""
    loading.register_auth_conf_options(conf, GROUP)
    section = conf[GROUP].auth_section or GROUP
    loading.register_auth_conf_options(conf, section)
    kind = conf[section].auth_type
    missing = [] if kind else ["auth_type"]
    if not kind or kind in _PASSWORD:
        conf.register_opts(loading.get_auth_plugin_conf_options("password"), group=section)
        missing += [names[0] for names in _NEEDED if not any(conf[section][n] for n in names)]
    elif kind:
        missing += _missing_of_plugin(conf, section)
    if missing:
        raise Invalid(
            f"[{section}] {', '.join(missing)}: must be set, for keystone to check tokens with."
        )


def _missing_of_plugin(conf: cfg.ConfigOpts, section: str) -> list[str]:
    try:
        loading.load_auth_from_conf_options(conf, GROUP)
    except MissingRequiredOptions as error:
        return [option.dest for option in error.options]
    except NoMatchingPlugin:
        raise Invalid(
            f"[{section}] auth_type: there is no plug-in '{conf[section].auth_type}'; "
            "most clouds use password."
        ) from None
    return []


def checked(
    application: Application, conf: cfg.ConfigOpts, passed: Callable[[Environ], bool]
) -> Application:
    """*application* behind a check of tokens; *passed* is whether a request has reached it.

    Unavailable if keystone does not answer; keystonemiddleware would say so in HTML.
    """
    # With a delayed decision a keystone that does not answer would look like a token that is not
    # valid.
    options = {"oslo_config_config": conf, "delay_auth_decision": False}
    protocol: Any = AuthProtocol(application, options)

    def check(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        def started(status: str, headers: wsgi.Headers, *error: Any) -> Any:
            if status.startswith("5") and not passed(environ):
                raise Unavailable(_AWAY)
            return start_response(status, headers, *error)

        try:
            return protocol(environ, started)
        except ClientException as error:
            raise Unavailable(_AWAY) from error

    return check
