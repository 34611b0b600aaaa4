# SPDX-License-Identifier: BSD-3-Clause
"""The tools import each other by name, whatever pytest's import mode."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
