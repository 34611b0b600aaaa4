# SPDX-License-Identifier: BSD-3-Clause
"""What is judged of each system: its arms, its metrics, and the arms between which the share of a gap is told.

A scenario names its system. How its runs are measured and drawn is in judge/of_SYSTEM.py.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class System:
    """`reactive` to `oracle` is the gap, `predictive` what closes a share of it; `wrong` predicts wrongly, where there is such an arm."""

    name: str
    arms: tuple[str, ...]
    reactive: str
    predictive: str
    oracle: str
    sections: tuple[str, ...]  # of a configuration, that its runs read
    keys: Mapping[str, tuple[str, ...]]  # of further sections, of which they read no others
    metrics: tuple[str, ...]  # of judge.metrics.METRICS
    headline: tuple[str, ...]  # of these, what `run` prints
    gap_metrics: tuple[str, ...]  # where a share of the oracle's gap is a sensible question

    @property
    def judge(self) -> Any:
        """The module with `measure`, `draw` and `sentences`; slow to import."""
        return importlib.import_module(f"foreflow.judge.of_{self.name}")


TAG = System(
    name="tag",
    arms=("off", "reactive", "predictive", "oracle", "anti_oracle"),
    reactive="reactive", predictive="predictive", oracle="oracle",
    sections=("traffic", "host", "device", "link", "control", "prediction", "tags", "rules", "tag_rules", "meters", "changes", "models", "hw"),
    keys={},
    metrics=(
        "hit_ratio", "punts_per_thousand", "request_response_p99_us", "request_response_p50_us", "p99_us", "lost_per_thousand",
        "device_cycles_per_packet", "host_cycles_per_packet", "prediction_cycles_per_packet", "type_accuracy", "rule_writes_per_second",
        "predicted_first_uses_per_thousand",
    ),
    headline=("hit_ratio", "punts_per_thousand", "request_response_p99_us", "device_cycles_per_packet", "prediction_cycles_per_packet"),
    gap_metrics=("hit_ratio", "punts_per_thousand", "request_response_p99_us", "request_response_p50_us", "p99_us", "lost_per_thousand"),
)  # fmt: skip
SHARD = System(
    name="shard",
    arms=("off", "timeout", "fixed", "three", "ewma", "rack", "rack_repair", "learned", "learned_repair", "bayes", "clairvoyant", "naive"),
    reactive="rack", predictive="learned", oracle="clairvoyant",
    sections=("system", "traffic", "link", "network", "recovery"),
    keys={"host": ("bus",), "device": ("profile",)},
    metrics=(
        "completion_p50_ms", "completion_p99_ms", "hurt_mean_ms", "delivered_percent", "extra_wire_percent", "spurious_percent",
        "requests_per_thousand", "offered_share", "goodput_share", "in_units_p99_us",
    ),
    headline=("completion_p50_ms", "completion_p99_ms", "hurt_mean_ms", "delivered_percent", "extra_wire_percent", "spurious_percent", "in_units_p99_us"),
    gap_metrics=("completion_p99_ms", "hurt_mean_ms"),
)  # fmt: skip
SYSTEMS = {system.name: system for system in (TAG, SHARD)}


def of(config: Mapping[str, Any]) -> System:
    """Of a configuration, or of the parameters of a run, which leave the default out."""
    return SYSTEMS[config.get("system", TAG.name)]
