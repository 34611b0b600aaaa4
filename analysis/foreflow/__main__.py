# SPDX-License-Identifier: BSD-3-Clause
from foreflow.cli import main

main()
