# SPDX-License-Identifier: Apache-2.0
"""A real cloud, through openstacksdk.

openstacksdk takes 20 MiB of memory and half a second to import, so nothing outside of
this package imports a module of it before a real cloud is wanted.
"""
