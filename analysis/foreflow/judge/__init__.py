# SPDX-License-Identifier: BSD-3-Clause
"""From the traces of finished runs to numbers with intervals, sentences, figures and a page."""
