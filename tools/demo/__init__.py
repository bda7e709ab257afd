# SPDX-License-Identifier: Apache-2.0
"""The demonstration: one alarm becomes an action plan, on a simulated cloud."""
