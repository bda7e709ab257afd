# SPDX-License-Identifier: Apache-2.0
"""Finds options of the former service that Watcher does not read, or whose default has changed."""

import contextlib
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from keystoneauth1 import loading
from keystoneauth1.exceptions import NoMatchingPlugin
from oslo_config import cfg
from oslo_policy.policy import Enforcer, InvalidDefinitionError
from stevedore import NamedExtensionManager

from watcher import policies

_NAMESPACES: Final = (
    "watcher",
    "watcher.clients",
    "watcher.applier",
    "watcher.decision_engine",
    "cotyledon",
    "keystonemiddleware.auth_token",
    "oslo.db",
    "oslo.log",
    "oslo.messaging",
    "oslo.middleware.cors",
    "oslo.middleware.healthcheck",
    "oslo.middleware.http_proxy_to_wsgi",
    "oslo.policy",
)

CHANGED: Final = {
    ("api", "enable_webhooks_auth"): "false and was true: webhooks ask for no token",
    ("DEFAULT", "state_path"): "/var/lib/watcher and was the directory of the package",
}
"""Options whose default differs from that of the former service in a way that operators notice."""

_SHOWN: Final = 20
_TARGETS: Final = re.compile(r"%\((\w+)\)s")

Name = tuple[str, str]


def unknown(conf: cfg.ConfigOpts) -> Sequence[Name]:
    """(group, option) of what the configuration files set and nothing reads, in their order."""
    given = _given(conf)
    known = set(_known(given))
    return [name for name in given if name not in known]


def changed(conf: cfg.ConfigOpts) -> Sequence[str]:
    """Sentences about options that the files do not set, and whose default has changed."""
    given = _given(conf)
    return [
        f"The default of [{group}] {option} is {what}."
        for (group, option), what in CHANGED.items()
        if (group, option) not in given
    ]


def sentence(names: Sequence[Name]) -> str:
    """A list of *names* for a sentence; of many, the first ones."""
    named = ", ".join(f"[{group}] {option}" for group, option in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{named}{more}"


def policies_that_fail(conf: cfg.ConfigOpts) -> Sequence[str]:
    """Sentences about rules of the policy file that nobody can satisfy, or that guard nothing."""
    enforcer = Enforcer(conf)
    enforcer.register_defaults(list(policies.list_rules()))
    enforcer.load_rules()
    found = []
    try:
        enforcer.check_rules(raise_on_violation=True)
    except InvalidDefinitionError as error:
        found.append(f"Nobody satisfies these rules, which refer to others: {error}")
    for name, rule in sorted(enforcer.file_rules.items()):
        if ":" in name and name not in enforcer.registered_rules:
            found.append(f"The rule {name} guards nothing.")
        strange = sorted(set(_TARGETS.findall(rule.check_str)) - set(policies.TARGET))
        if strange:
            found.append(
                f"The rule {name} compares with {', '.join(strange)}; there are "
                f"{' and '.join(policies.TARGET)}, those of the caller."
            )
    return found


def _given(conf: cfg.ConfigOpts) -> dict[Name, str]:
    """The options that the configuration files set, with their last values."""
    given = {}
    files = [*(conf.config_file or [])]
    for directory in conf.config_dir or []:
        files += sorted(str(path) for path in Path(directory).glob("*.conf"))
    for path in dict.fromkeys(files):
        sections: dict[str, dict[str, list[str]]] = {}
        cfg.ConfigParser(path, sections).parse()
        for group, options in sections.items():
            for option, values in options.items():
                given[group, option.replace("-", "_")] = values[-1]
    return given


def _known(given: Mapping[Name, str]) -> Iterator[Name]:
    """The names of all options that some part of the services reads, former names as well."""
    manager: Any = NamedExtensionManager("oslo.config.opts", _NAMESPACES, invoke_on_load=True)
    for group, options in itertools.chain.from_iterable(each.obj for each in manager):
        name = getattr(group, "name", group) or "DEFAULT"
        yield from _names(name, options)
        yield name, "auth_section"
        kind = given.get((name, "auth_type"), given.get((name, "auth_plugin")))
        if kind:
            with contextlib.suppress(NoMatchingPlugin):
                yield from _names(name, loading.get_auth_plugin_conf_options(kind))


def _names(group: str, options: Iterable[cfg.Opt]) -> Iterator[Name]:
    for option in options:
        yield group, option.dest
        for former in option.deprecated_opts:
            yield former.group or group, (former.name or option.dest).replace("-", "_")
