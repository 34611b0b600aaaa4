# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios run: worker processes that run every arm and seed, and the store that keeps them."""
