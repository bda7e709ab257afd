# SPDX-License-Identifier: Apache-2.0
"""Watcher: resource optimization for OpenStack."""
