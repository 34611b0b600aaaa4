# SPDX-License-Identifier: BSD-3-Clause
"""What this machine takes for the work: benchmarks beside peers, calibration and its validation."""
