#! /usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only

# Programs that ns-3's test.py runs: (command, when to run it, when to run it under valgrind).
cpp_examples = [
    ("foreflow-rpc --requests=50", "True", "True"),
    ("foreflow-rpc --requests=50 --predict=false", "True", "False"),
    ("foreflow-pdu-rpc --requests=50", "True", "False"),
]

python_examples = []
