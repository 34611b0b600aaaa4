# SPDX-License-Identifier: BSD-3-Clause
"""ff.plot: the numbers drawn against pandas and scipy, what is kept beside a figure, and what is refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas
import pytest
import yaml
from scipy import stats as reference

import foreflow as ff
from foreflow.errors import Refused
from foreflow.results import frame
from tools import trace_events


def runs(loads: tuple[float, ...] = (0.3, 0.6, 0.9), capacities: tuple[str, ...] = ("10%",), seeds: int = 4) -> frame.Frame:
    numbers = np.random.default_rng(7)
    level = {"reactive": 300.0, "predictive": 150.0, "oracle": 100.0}
    rows: list[dict[str, Any]] = []
    for load, capacity, arm, seed in itertools.product(loads, capacities, level, range(1, seeds + 1)):
        values = {"punts_per_thousand": level[arm] * load + numbers.normal(0, 3), "prediction_cycles_per_packet": 800.0 * (arm == "predictive") + numbers.normal(0, 1)}
        rows.append({
            "key": f"{len(rows):016x}", "scenario": "tag", "arm": arm, "seed": seed, "parameters": {"traffic.load": load, "device.flow_entries": capacity},
            "status": "done", "started": "", "seconds": 1.0, "fingerprint": "", "metrics": values, "sentence": "",
        })  # fmt: skip
    return frame.of_rows(rows)


def test_a_line_has_the_means_and_intervals_of_its_runs() -> None:
    rows = runs()
    drawn = ff.plot.line(rows, "punts_per_thousand", "traffic.load")
    assert len(drawn.data) == 9
    for cell in drawn.data.itertuples():
        own = pandas.DataFrame(rows)[(rows["arm"] == cell.arm) & (rows["traffic.load"] == cell._2)]["punts_per_thousand"]
        low, high = reference.t.interval(0.95, len(own) - 1, loc=own.mean(), scale=reference.sem(own))
        assert (cell.mean, cell.low, cell.high, cell.n) == (pytest.approx(own.mean()), pytest.approx(low), pytest.approx(high), 4)
    axes = drawn.figure.axes[0]
    assert axes.get_ylabel() == "punts per thousand [packets/1000]"
    assert "n = 4 seeds" in drawn.caption and "95 % t-interval" in drawn.caption and "scenario tag" in drawn.caption
    drawn_lines = {line.get_label(): line.get_ydata() for line in axes.get_lines()}
    assert drawn_lines["oracle"] == pytest.approx(drawn.data[drawn.data["arm"] == "oracle"]["mean"].to_numpy())


def test_a_figure_is_kept_with_its_numbers_and_what_made_it(tmp_path: Path) -> None:
    drawn = ff.plot.line(runs(), "punts_per_thousand", "traffic.load")
    paths = drawn.save(tmp_path / "new", "punts")
    assert {path.name for path in paths} == {"punts.png", "punts.pdf", "punts.csv", "punts.yaml"}
    kept = pandas.read_csv(tmp_path / "new" / "punts.csv")
    assert kept["mean"].tolist() == drawn.data["mean"].tolist()  # to the last digit
    words = yaml.safe_load((tmp_path / "new" / "punts.yaml").read_text())
    words.pop("of")
    again = getattr(ff.plot, words.pop("figure"))(runs(), **words)
    assert again.data.equals(drawn.data)
    before = [path.read_bytes() for path in paths]
    ff.plot.line(runs(), "punts_per_thousand", "traffic.load").save(tmp_path / "new", "punts")
    assert [path.read_bytes() for path in paths] == before
    assert drawn._repr_png_()[:4] == b"\x89PNG"


def test_heat_has_a_cell_a_point() -> None:
    rows = runs(capacities=("5%", "50%", "10%"))
    drawn = ff.plot.heat(rows, "punts_per_thousand", "traffic.load", "device.flow_entries")
    assert len(drawn.data) == 9
    (image,) = drawn.figure.axes[0].get_images()
    own = rows[(rows["arm"] == "predictive") & (rows["device.flow_entries"] == "50%") & (rows["traffic.load"] == 0.3)]
    assert image.get_array()[2, 0] == pytest.approx(own["punts_per_thousand"].mean())
    assert [label.get_text() for label in drawn.figure.axes[0].get_yticklabels()] == ["5%", "10%", "50%"]


def test_the_gap_is_paired_by_seed() -> None:
    rows = runs()
    drawn = ff.plot.gap(rows, "punts_per_thousand", "traffic.load")
    for cell in drawn.data.itertuples():
        table = pandas.DataFrame(rows)[rows["traffic.load"] == cell._1].pivot(index="seed", columns="arm", values="punts_per_thousand")
        assert cell.mean == pytest.approx((table["reactive"] - table["predictive"]).mean() / (table["reactive"] - table["oracle"]).mean())
        assert cell.low < cell.mean < cell.high and cell.n == 4


def test_the_front_is_what_no_point_beats() -> None:
    drawn = ff.plot.pareto(runs(loads=(0.6,)), "prediction_cycles_per_packet", "punts_per_thousand")
    on = dict(zip(drawn.data["arm"], drawn.data["on_front"]))
    assert not on["predictive"]  # the oracle punts less for nothing
    x, y = (drawn.data.set_index("arm")[f"{axis}_mean"] for axis in "xy")
    for arm, front in on.items():
        assert front == (not any(x[other] <= x[arm] and y[other] <= y[arm] for other in on if other != arm))


@pytest.mark.parametrize("tail", [False, True])
def test_the_distribution_is_that_of_the_traces(tmp_path: Path, tail: bool) -> None:
    numbers = np.random.default_rng(3)
    every = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        (folder / "RESOLVED.json").write_text(json.dumps({"arm": "predictive"}))
        rows = np.zeros(5000, trace_events.dtype("packets"))
        rows["truth"] = numbers.integers(0, 4, 5000)
        rows["departure_ns"] = numbers.lognormal(10, 1, 5000).astype(int) + 1
        rows["departure_ns"][:100] = -1
        with h5py.File(folder / "trace.h5", "w") as file:
            file["packets"] = rows
        every.append(rows["departure_ns"][(rows["departure_ns"] >= 0) & np.isin(rows["truth"], (1, 2))] / 1000)
    values = np.sort(np.concatenate(every))
    drawn = ff.plot.ecdf([tmp_path / "1", tmp_path / "2"], tail=tail)
    assert 300 < len(drawn.data) <= 600 and f"{len(values)} packets" in drawn.caption
    for row in drawn.data.itertuples():
        share = np.count_nonzero(values <= row.latency_us) / len(values)
        assert row[3] == pytest.approx(1 - share if tail else share, abs=1e-12)
    assert drawn.data["latency_us"].max() == values[-1]


def test_what_cannot_be_drawn_is_refused() -> None:
    rows = runs(capacities=("5%", "10%"))
    for call, part in (
        (lambda: ff.plot.line(rows, "punts", "traffic.load"), "metric = punts; allowed is one of"),
        (lambda: ff.plot.line(rows, "punts_per_thousand", "load"), "over = load; allowed is one of"),
        (lambda: ff.plot.line(rows, "punts_per_thousand", "traffic.load"), r"also differ in device.flow_entries \(5%, 10%\)"),
        (lambda: ff.plot.heat(rows, "punts_per_thousand", "traffic.load", "device.flow_entries", arm="off"), "arm = off; allowed is one of reactive, predictive, oracle"),
        (lambda: ff.plot.gap(rows[rows["arm"] != "oracle"], "punts_per_thousand", "traffic.load"), "no run of the arm oracle"),
        (lambda: ff.plot.line(rows[rows["seed"] > 100], "punts_per_thousand", "traffic.load"), "no run has finished"),
    ):
        with pytest.raises(Refused, match=part):
            call()


def test_arms_have_their_colours_and_others_are_told_apart() -> None:
    lines = ff.plot.line(runs(capacities=("5%", "10%", "50%"))[lambda rows: rows["arm"] == "predictive"], "punts_per_thousand", "traffic.load", by="device.flow_entries").figure.axes[0].get_lines()
    assert len({line.get_color() for line in lines}) == 3
    from foreflow.judge.plots import COLOURS

    for line in ff.plot.line(runs(), "punts_per_thousand", "traffic.load").figure.axes[0].get_lines():
        assert line.get_color() == COLOURS[line.get_label()]
