# SPDX-License-Identifier: BSD-3-Clause
"""Scenarios run: every arm and seed a process of its own, kept in a folder named by its hash."""
