# SPDX-License-Identifier: Apache-2.0
"""The tests of watcher-tempest-plugin, on the cloud that ``OS_*`` lead to."""
