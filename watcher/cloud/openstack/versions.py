# SPDX-License-Identifier: Apache-2.0
"""The microversions that are requested, in a module that imports nothing large."""

from oslo_config import cfg

from watcher.common.errors import Invalid

NOVA_MINIMUM = (2, 56)
"""The first microversion in which a cold migration may name its destination."""


def nova_version(conf: cfg.ConfigOpts) -> tuple[int, int]:
    """``[nova] api_version``.  Invalid if it is less than the minimum."""
    major, minor = (int(part) for part in conf.nova.api_version.split("."))
    if (major, minor) < NOVA_MINIMUM:
        raise Invalid(
            f"[nova] api_version is {conf.nova.api_version}; it must be at least "
            f"{'.'.join(str(part) for part in NOVA_MINIMUM)}."
        )
    return major, minor
