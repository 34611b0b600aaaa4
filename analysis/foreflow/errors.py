# SPDX-License-Identifier: BSD-3-Clause
"""The two ways a command ends badly, each with one sentence for the user."""


class Refused(Exception):
    """Bad input: exit code 2. The sentence names file, key, value and allowed range."""


class Failed(Exception):
    """Something broke while running: exit code 1. The sentence names the log."""
