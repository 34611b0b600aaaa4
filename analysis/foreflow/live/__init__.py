# SPDX-License-Identifier: BSD-3-Clause
"""Live devices: the runner on DPDK ports, and the client that controls it."""
