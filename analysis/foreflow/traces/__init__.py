# SPDX-License-Identifier: BSD-3-Clause
"""Looks inside one run: opens it, decides its packets again, explains them, finds where two runs differ."""
