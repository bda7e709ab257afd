# SPDX-License-Identifier: Apache-2.0
"""Other services as small servers of their own: what they answer, and how they fail."""
