# SPDX-License-Identifier: BSD-3-Clause
"""Many runs from one specification: its points, what they will cost, where they run, and what they come to together."""
