# SPDX-License-Identifier: BSD-3-Clause
"""Datasets, training and the judging of predictions."""
