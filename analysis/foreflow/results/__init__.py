# SPDX-License-Identifier: BSD-3-Clause
"""Results opened again: one run's tables, many runs' rows, and the figures that the documentation shows."""
