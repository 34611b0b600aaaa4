#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Stands in for foreflow-run: reads RESOLVED.json, writes a small trace whose numbers are known.

The input file holds JSON: {"fail": {"ARM-SEED": exit code}, "silent": bool}. 1000 packets; arms off, reactive,
predictive, oracle, anti_oracle punt 1000, 200, 100 + seed, 50, 201 of them.
"""

import hashlib
import json
import sys
from pathlib import Path

import h5py
import numpy as np

from tools import trace_events

PUNTS = {"off": 1000, "reactive": 200, "predictive": 100, "oracle": 50, "anti_oracle": 201}
PACKETS = 1000


def main() -> int:
    config = json.loads(Path(sys.argv[1]).read_text())
    orders = json.loads(Path(config["input"]).read_text())
    arm, seed = config["arm"], config["seed"]
    print(f"progress 0 {PACKETS}", file=sys.stderr, flush=True)
    if code := orders.get("fail", {}).get(f"{arm}-{seed}"):
        print("capture.pcap: record 7: length = 0; allowed is 1 or more", file=sys.stderr)
        return code
    print("a line on standard output that must not spoil JSON")
    out = Path(config["out"])
    punted = PUNTS[arm] + (seed if arm == "predictive" else 0)
    rows = {name: np.zeros(PACKETS, trace_events.dtype(name)) for name in ("packets", "decisions", "predictions")}
    rows["packets"]["packet"] = rows["decisions"]["packet"] = rows["predictions"]["packet"] = np.arange(PACKETS)
    rows["packets"]["departure_ns"] = np.where(np.arange(PACKETS) < punted, 9000, 1000) + np.arange(PACKETS)
    rows["packets"]["arrival_ns"] = np.arange(PACKETS)
    rows["packets"]["device_cycles"] = 40
    rows["decisions"]["punted"][:punted] = 1
    rows["decisions"]["reason"][:punted] = 1
    rows["packets"]["truth"] = rows["predictions"]["truth"] = 1
    rows["predictions"]["predicted"] = 1
    if arm in ("off", "reactive"):
        rows["predictions"] = rows["predictions"][:0]
    with h5py.File(out / "trace.h5", "w") as file:
        for name, table in rows.items():
            file[name] = table
    if orders.get("silent"):
        return 0
    summary = {
        "packets": {"in": PACKETS, "out": PACKETS, "held": 0, "dropped": {}},
        "fingerprint": hashlib.sha256(f"{arm} {seed}".encode()).hexdigest(),
        "notes": ["2 silences were cut."] + ["packets from 500 on are those of traffic.shift_input"] * bool(config["traffic"]["shift_input"]),
        "simulated_s": 0.001,
        "wall_s": 0.01,
        "counters": {
            "installs_predicted": 10, "predicted_used": 4,
            "promotion_hit_rate": 0.9, "promotion_break_even": 0.02,
            "types_by_tier": {"learned": 100, "table": 0, "network": 900}, "fallback_asked": 250, "drift_alarms": 2,
            "destination_hit_rate": 0.4, "destination_break_even": 0.1, "demotion_hit_rate": None, "demotion_break_even": 0.5,
        },
    }  # fmt: skip
    if arm == "predictive" and any(config["models"].values()):
        cell = {"outcomes": {"learned": 10, "table": 0, "network": 90}, "bits": 0.5, "model_bits": 0.6, "fallback_bits": None, "compared": 0, "alarms": 1}
        history = {"start_ns": 0, "cell_ns": 1000000, "cells": [cell] * 10}
        summary["models"] = [{"history": history}]
    (out / "summary.json").write_text(json.dumps(summary))
    print(f"progress {PACKETS} {PACKETS}", file=sys.stderr, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
