# SPDX-License-Identifier: BSD-3-Clause
"""Collects what the benchmark programs measure; each prints a JSON list of rows."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from foreflow.build import build, has_package, program
from foreflow.errors import Failed, Refused
from foreflow.judge.table import grid, number
from foreflow.machine import runner_bench

FLOW_OPERATIONS = [f"{operation}_{size}" for size in ("64k", "1m") for operation in ("insert", "lookup", "lookup_miss", "delete")]
PATHS = [
    f"path_{arm}_{flows}_flows_entries_{percent}%_trains_of_{train}"
    for arm in ("reactive", "predictive")
    for train in (1, 8)
    for flows in (64, 8000, 30000)
    for percent in (25, 100)
]
CELLS = [f"predict/{kind}_{hidden}" for kind in ("gru", "lstm") for hidden in (16, 32, 64)]
PREDICT = [f"{cell}_{how}" for cell in CELLS for how in ("single", "batch4", "batch4_beside_batch1")] + [
    f"predict/{row}"
    for row in ("automaton_step", "automaton_step_and_output", "automaton_of_codes_step", "mlp_32", "trees_64x6", "markov3_step", "holt_winters_step")
]
CIPHERS = {"aes128gcm": ("",), "aes256gcm": ("", "_beside_libsodium", "_beside_bare"), "chacha20poly1305": ("", "_beside_libsodium")}
RECORD_SIZES = (64, 256, 512, 1400)
CRYPTO = [
    f"crypto/{cipher}_{operation}_{size}{beside}"
    for cipher, besides in CIPHERS.items()
    for operation in ("seal", "open")
    for size in RECORD_SIZES
    for beside in besides
] + [*(f"crypto/record_{size}" for size in RECORD_SIZES), "crypto/handshakes_per_s"]
RULE_SETS = [f"{kind}{size}" for size in ("1k", "10k", "100k") for kind in ("acl", "fw", "ipc")]
RULE_ROWS = ("lookup_uniform", "lookup_zipf", "build", "memory", "updates_per_s", "lookup_at_10k_updates", "lookup_beside_10k_updates",
             "cached_at_10k_updates", "cached_beside_10k_updates", "attacked", "attacked_unbounded")  # fmt: skip
OFFLOAD_ROWS = ("offload_entries", "offload_whole", "offload_priorities", "offload_s")  # of sets that a port could hold


def _rule_rows(name: str) -> list[str]:
    """The rows of a rule set's name, in the order in which they are printed."""
    return [f"rules/{row}_{name}" for row in (RULE_ROWS if name.endswith("100k") else RULE_ROWS + OFFLOAD_ROWS)]


SHARD = [
    *(
        f"shard/reassembly_{under_way}{parts}{verified}"
        for parts in ("", "_of_2")
        for under_way in ("16", "16_uncached", "8192")
        for verified in ("", "_verified", "_verified_beside_bare")
    ),
    "shard/reassembly_16_beside_rte_reorder",
    *(f"shard/whole_path_{row}" for row in ("1400_by_1400", "1400_by_350", "9000_by_1400")),
]
# The rows that each program prints: one of which none is wanted is neither built nor run.
PROGRAMS = {
    "foreflow-bench-cores": ["parse", "tag_seal", "tag_check", "markov_step", "hdf5_rows_per_s", "vm_profile_bytes"],
    "foreflow-bench-path": PATHS,
    "foreflow-bench-flow": [*(f"flow_table_{operation}" for operation in FLOW_OPERATIONS), "flow_table_memory"],
    "foreflow-bench-predict": PREDICT,
    "foreflow-bench-crypto": CRYPTO,
    "foreflow-bench-rules": [row for name in RULE_SETS for row in _rule_rows(name)],
    "foreflow-bench-shard": SHARD,
    "foreflow-bench-sim": ["sim_packets_per_s"],
}
GROUPS = ("predict", "crypto", "rules", "shard", "runner")  # a group's name means its rows, not those that have the word in theirs
LIBTORCH_PEER = "foreflow-libtorch-peer"
RUNNER = "foreflow-dpdk"
KEYS = {"name", "unit", "value", "peer", "peer_value", "ratio"}


def _rows_of(name: str, output: str) -> list[dict[str, Any]]:
    try:
        rows = json.loads(output)
    except ValueError as error:
        raise Failed(f"{name} printed no JSON: {error}") from None
    for row in rows:
        if set(row) != KEYS:
            raise Failed(f"{name}: a row has the keys {', '.join(row)}; expected are {', '.join(sorted(KEYS))}")
    return rows


def _kept(wanted: list[str], names: list[str]) -> list[str]:
    def is_meant(word: str, name: str) -> bool:
        return name.startswith(f"{word}/") if word in GROUPS else word.lower() in name.lower()

    return [name for name in names if not wanted or any(is_meant(word, name) for word in wanted)]


def _peers_of(name: str) -> list[str]:
    """Arguments that tell a program of its peers: libtorch's part, where libtorch is installed."""
    if name != "foreflow-bench-predict":
        return []
    if not has_package("libtorch-dev"):
        print("foreflow: libtorch is not installed (./foreflow train installs it): rows beside it have no peer", file=sys.stderr)
        return []
    return [str(program(build("train", [LIBTORCH_PEER]), LIBTORCH_PEER))]


def _rule_sets(folder: Path, wanted: list[str]) -> tuple[list[str], list[str]]:
    """Writes the rule sets of the wanted rows and traffic for them to `folder`; the sets, and all rows of them."""
    from datasets.generate import classbench

    sets = [name for name in RULE_SETS if _kept(wanted, _rule_rows(name))]
    for name in sets:
        rules = classbench.rule_set(name, seed=1)
        classbench.write_filters(folder / f"{name}.rules", rules)
        for popularity, packets in (("uniform", 200_000), ("zipf", 1_000_000)):
            classbench.headers(rules, packets, 1, popularity).records().tofile(folder / f"{name}.{popularity}")
    return sets, [row for name in sets for row in _rule_rows(name)]


def measure(wanted: list[str]) -> list[dict[str, Any]]:
    """All rows, or those whose name contains one of `wanted`."""
    programs = [name for name, rows in PROGRAMS.items() if _kept(wanted, rows)]
    has_runner = bool(_kept(wanted, runner_bench.row_names()))
    if not programs and not has_runner:
        known = [row for rows in [*PROGRAMS.values(), runner_bench.row_names()] for row in rows]
        raise Refused(f"no benchmark's name contains {' or '.join(wanted)}; there are {', '.join(known)}")
    rows = []
    for name in programs:
        folder = build("all", programs)
        print(f"foreflow: {name}", file=sys.stderr)
        arguments, expected = _peers_of(name), PROGRAMS[name]
        with tempfile.TemporaryDirectory() as scratch:
            if name == "foreflow-bench-rules":
                sets, expected = _rule_sets(Path(scratch), wanted)
                arguments = [scratch, *sets]
            done = subprocess.run([str(program(folder, name)), *arguments], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise Failed(f"{name} ended with exit code {done.returncode}")
        found = _rows_of(name, done.stdout)
        if [row["name"] for row in found] != expected:
            raise Failed(f"{name} printed the rows {', '.join(row['name'] for row in found)}; expected are {', '.join(expected)}")
        rows += found
    if has_runner:
        print(f"foreflow: {RUNNER} and its peers", file=sys.stderr)
        rows += runner_bench.measure(program(build("dpdk", [RUNNER]), RUNNER), wanted)
    return [row for row in rows if row["name"] in _kept(wanted, [row["name"]])]


def table_of(rows: list[dict[str, Any]]) -> str:
    head = ["benchmark", "unit", "ours", "peer", "peer's", "ratio (more is better for us)"]
    return grid(
        [head]
        + [
            [row["name"], row["unit"], number(row["value"]), row["peer"] or "-", number(row["peer_value"]), number(row["ratio"], 3)]
            for row in rows
        ]
    )
