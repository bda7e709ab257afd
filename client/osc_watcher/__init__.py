# SPDX-License-Identifier: Apache-2.0
"""Commands of OpenStackClient for what this Watcher has beyond python-watcherclient."""
