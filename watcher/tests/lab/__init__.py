# SPDX-License-Identifier: Apache-2.0
"""Tests on a real cloud, which they change: ``tox -e lab``."""
