# SPDX-License-Identifier: BSD-3-Clause
"""Where things lie in the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
LOGS = BUILD / "log"
RULE_SETS = BUILD / "rulesets"
RUNS = ROOT / "runs"
SCENARIOS = ROOT / "scenarios"
FIGURES = SCENARIOS / "figures"
SCHEMA = SCENARIOS / "schema" / "scenario.schema.json"
SWEEP_SCHEMA = SCENARIOS / "schema" / "sweep.schema.json"
TRAINED = ROOT / "models" / "trained"
RECORDED = ROOT / "datasets" / "recorded"
PROFILES = ROOT / "hw-models" / "profiles"
MEASURED_PROFILES = RUNS / "profiles"
FIT = ROOT / "hw-models" / "calibrate" / "fit.py"
DISSECTOR = ROOT / "bindings" / "wireshark" / "foreflow_shard.lua"
PACKAGES = ROOT / "packages.txt"
