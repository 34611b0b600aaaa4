# SPDX-License-Identifier: BSD-3-Clause
"""Gradient-boosted trees, fitted by scikit-learn and laid out as model files hold them: complete, depth DEPTH.

All heads together have at most TREES trees: what a host at a NIC can afford on flow events. So real values get the
levels below alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

TREES, DEPTH = 64, 6
LEVELS = (0.1, 0.5, 0.9)
GOLDEN_ROWS = 64
INNER, LEAVES = 2**DEPTH - 1, 2**DEPTH


def _complete(nodes: np.ndarray) -> tuple[list[int], list[float], list[float]]:
    """One of scikit-learn's trees as (feature, threshold, leaf) of a complete tree; a leaf above fills those below it."""
    feature, threshold, leaf = [0] * INNER, [0.0] * INNER, [0.0] * LEAVES

    def fill(place: int, node: int) -> None:
        if place >= INNER:
            leaf[place - INNER] = float(np.float32(nodes["value"][node]))
            return
        if nodes["is_leaf"][node]:
            left = right = node
        else:
            left, right = int(nodes["left"][node]), int(nodes["right"][node])
            feature[place] = int(nodes["feature_idx"][node])
            exact = float(nodes["num_threshold"][node])
            rounded = np.float32(exact)
            # The greatest float that is not above: the same floats go left.
            threshold[place] = float(rounded if rounded <= exact else np.nextafter(rounded, np.float32(-np.inf)))
        fill(2 * place + 1, left)
        fill(2 * place + 2, right)

    fill(0, 0)
    return feature, threshold, leaf


def _options(rounds: int, seed: int) -> dict[str, Any]:
    # Few trees: each takes a large step.
    rate = min(0.5, 1 - 0.05 ** (1 / rounds))
    return {
        "max_iter": rounds, "learning_rate": rate, "max_depth": DEPTH, "max_leaf_nodes": LEAVES, "min_samples_leaf": 20,
        "early_stopping": False, "random_state": seed,
    }  # fmt: skip


def fit(path: Path, seed: int) -> dict[str, Any]:
    """The ensemble of a dataset file's training rows, as foreflow-train --fitted reads it."""
    with h5py.File(path) as file:
        split, symbol, inputs = file["rows/split"][:], file["rows/symbol"][:], file["rows/inputs"][:]
        targets = [(name, len(file["targets"][name].attrs["classes"]), file["targets"][name][:]) for name in file.attrs["targets"]]
    rows = np.column_stack([inputs, symbol]).astype(np.float32)
    width = sum(classes or len(LEVELS) for _, classes, _ in targets)
    rounds = max(1, TREES // width)
    document: dict[str, Any] = {"depth": DEPTH, "levels": LEVELS, "base": [], "tree_output": [], "feature": [], "threshold": [], "leaf": []}
    document["temperature"] = [1.0] * len(targets)
    golden = np.sort(np.random.default_rng(seed).choice(len(rows), min(GOLDEN_ROWS, len(rows)), replace=False))
    expected = []

    def add(model: Any, outputs: list[int], base: np.ndarray) -> None:
        document["base"] += [float(each) for each in base]
        for round_ in model._predictors:
            for predictor, output in zip(round_, outputs):
                feature, threshold, leaf = _complete(predictor.nodes)
                for name, value in (("tree_output", output), ("feature", feature), ("threshold", threshold), ("leaf", leaf)):
                    document[name].append(value)

    for _, classes, value in targets:
        first = len(document["base"])
        if classes:
            learnt = (split == 0) & (value >= 0)
            present = np.unique(value[learnt])
            model = HistGradientBoostingClassifier(**_options(rounds, seed)).fit(rows[learnt], value[learnt])
            base = np.full(classes, -30.0)  # a class that training never shows
            raw = np.atleast_1d(np.ravel(model._baseline_prediction))
            base[present] = [0.0, raw[0]] if len(present) == 2 else raw
            trees_of = [first + int(present[1])] if len(present) == 2 else [first + int(each) for each in present]
            add(model, trees_of, base)
            probability = np.zeros((len(golden), classes))
            probability[:, present] = model.predict_proba(rows[golden])
            expected.append(probability)
        else:
            learnt = (split == 0) & ~np.isnan(value)
            columns = []
            for position, level in enumerate(LEVELS):
                model = HistGradientBoostingRegressor(loss="quantile", quantile=level, **_options(rounds, seed)).fit(rows[learnt], value[learnt])
                add(model, [first + position], np.ravel(model._baseline_prediction))
                columns.append(model.predict(rows[golden]))
            expected.append(np.maximum.accumulate(np.column_stack(columns), axis=1))
    document["golden"] = {
        "symbol": symbol[golden].tolist(),
        "input": inputs[golden].astype(float).tolist(),
        "expected": np.column_stack(expected).astype(np.float32).astype(float).tolist(),
    }
    return document
