# SPDX-License-Identifier: BSD-3-Clause
"""foreflow's judging half: scenarios in, tables with intervals, figures and reports out."""
