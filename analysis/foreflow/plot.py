# SPDX-License-Identifier: BSD-3-Clause
"""Figures of many runs, `ff.plot.*`: units on the axes, 95 % intervals, n in the caption, colours that colour-blind readers tell apart.

Each function takes what `ff.load` gives (or a path to it) and returns a Plot, which a notebook shows and `save` keeps as PNG, PDF,
CSV and the specification that made it.
"""

from __future__ import annotations

import io
import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import yaml
from matplotlib import pyplot as plt

from foreflow import config as configuration
from foreflow.errors import Refused
from foreflow.judge import stats
from foreflow.judge.metrics import METRICS
from foreflow.judge.plots import COLOURS, DASHES, STYLE, ranks, save
from foreflow.judge.table import number
from foreflow.results.frame import Frame, sorting_key
from foreflow.results.load import frame_of
from foreflow.results.run import Run

__all__ = ["Plot", "line", "heat", "gap", "pareto", "ecdf"]

# Okabe and Ito (2008), for what is no arm.
OTHERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
OTHER_DASHES = ("-", "--", "-.", ":")
CHARACTERS_AN_INCH = 18  # of the small type below a figure

Source = Frame | str | os.PathLike


@dataclass
class Plot:
    """A figure with the numbers drawn in it (`data`), its caption, and the call that made it (`specification`)."""

    figure: Any = field(repr=False)
    data: pandas.DataFrame = field(repr=False)
    caption: str
    specification: dict[str, Any]

    def save(self, folder: str | os.PathLike, name: str | None = None) -> list[Path]:
        """Writes NAME.png, NAME.pdf, NAME.csv and NAME.yaml into `folder`, and returns their paths. [default: the figure's kind]"""
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        stem = name or self.specification["figure"]
        self.data.to_csv(place / f"{stem}.csv", index=False, lineterminator="\n")
        (place / f"{stem}.yaml").write_text(yaml.safe_dump(self.specification, sort_keys=False, allow_unicode=True), encoding="utf-8")
        return [*save(self.figure, place, stem), place / f"{stem}.csv", place / f"{stem}.yaml"]

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
        return buffer.getvalue()


def _frame(source: Source) -> Frame:
    found = source if isinstance(source, Frame) else frame_of(Path(source).absolute())
    rows = found.done()
    if rows.empty:
        raise Refused("plot: no run has finished")
    return rows


def _check(rows: Frame, role: str, name: str, allowed: Sequence[str]) -> None:
    if name not in allowed or name not in rows.columns:
        there = [each for each in allowed if each in rows.columns]
        raise Refused(f"plot: {role} = {name}; allowed is one of {', '.join(there)}")


def _label(name: str) -> str:
    """An axis' words: a metric or a parameter with its unit."""
    if name in METRICS:
        unit = METRICS[name].unit
        return f"{name.removesuffix(f'_{unit}').replace('_', ' ')} [{unit}]".replace("[us]", "[µs]")
    if name == "gap_closed":
        return "share of the oracle's gap closed"
    part: Any = configuration.schema()
    for step in name.split("."):
        part = part.get("properties", {}).get(step, {})
    unit = next((suffix for ending, suffix in (("_ms", "ms"), ("_us", "µs"), ("_mbps", "Mb/s"), ("_per_second", "1/s"), ("_s", "s"), ("_mhz", "MHz")) if name.endswith(ending)), "")
    if name == "traffic.load":
        unit = "share of the link's rate"
    return f"{name} [{unit}]" if unit else name


def _style(by: str, value: Any, place: int) -> dict[str, Any]:
    if by == "arm" and value in COLOURS:
        return {"color": COLOURS[value], "linestyle": DASHES[value]}
    return {"color": OTHERS[place % len(OTHERS)], "linestyle": OTHER_DASHES[place // len(OTHERS) % len(OTHER_DASHES)]}


def _name(value: Any) -> str:
    return str(value).replace("_", "-") if value in COLOURS else str(value)


def _fixed(rows: Frame, used: Sequence[str]) -> None:
    """Refuses to mix points that differ in more than what is drawn."""
    loose = [name for name in ("scenario", *rows.varying, "arm") if name not in used and rows[name].nunique(dropna=False) > 1]
    if loose:
        kinds = ", ".join(f"{name} ({', '.join(map(str, sorted(rows[name].unique(), key=sorting_key)[:6]))})" for name in loose)
        raise Refused(f"plot: the runs also differ in {kinds}; choose one value of each, as in frame[frame[\"{loose[0]}\"] == ...]")


def _caption(rows: Frame, counts: Sequence[int], what: str) -> str:
    n = f"n = {min(counts)}" if min(counts) == max(counts) else f"n = {min(counts)} to {max(counts)}"
    spread = f"{what} {n} seeds" if max(counts) > 1 else f"{what} n = 1 seed: no interval"
    constant = [f"{name} {rows[name].iloc[0]}" for name in rows.parameters if name not in rows.varying]
    return "; ".join([spread, f"scenario {', '.join(rows['scenario'].unique())}", *constant])


def _draw_caption(figure: Any, label: str, caption: str) -> None:
    figure.axes[0].set_xlabel(label)
    width = int(CHARACTERS_AN_INCH * figure.get_figwidth())
    figure.supxlabel("\n".join(textwrap.wrap(caption, width)), fontsize=7.5)


def _axis(axes: Any, values: list[Any]) -> tuple[np.ndarray, bool]:
    """Positions of a parameter's values: themselves where they are numbers, on a logarithmic axis where they span decades."""
    if all(isinstance(value, (int, float, np.number)) and not isinstance(value, bool) for value in values):
        positions = np.array(values, dtype=float)
        if positions.min() > 0 and positions.max() / positions.min() >= 50:
            axes.set_xscale("log")
        return positions, True
    axes.set_xticks(range(len(values)), [_name(value) for value in values])
    return np.arange(len(values), dtype=float), False


def _band(axes: Any, x: np.ndarray, estimates: list[stats.Estimate], label: str, style: dict[str, Any]) -> None:
    y = np.array([np.nan if e.mean is None else e.mean for e in estimates], dtype=float)
    low = np.array([np.nan if e.low is None else e.low for e in estimates], dtype=float)
    high = np.array([np.nan if e.high is None else e.high for e in estimates], dtype=float)
    axes.plot(x, y, marker="o", markersize=3.5, linewidth=1.4, label=label, **style)
    if len(x) > 1:
        axes.fill_between(x, low, high, color=style["color"], alpha=0.18, linewidth=0)
    elif not np.isnan(low).any():
        axes.errorbar(x, y, [y - low, high - y], fmt="none", capsize=4, color=style["color"])


def _of(source: Source) -> str | None:
    place = source.attrs.get("folder") if isinstance(source, Frame) else str(Path(source).absolute())
    return None if place is None else str(place)


def _estimates(rows: Frame, metric: str, keys: list[str]) -> list[dict[str, Any]]:
    """A document a cell of `keys`, in their order: the mean over its seeds with its interval and n."""
    values = {name: sorted(rows[name].unique(), key=sorting_key) for name in keys}
    found = []
    for cell, part in rows.groupby(keys if len(keys) > 1 else keys[0], sort=False):
        own = dict(zip(keys, cell if isinstance(cell, tuple) else (cell,)))
        estimate = stats.mean(part[metric].tolist())
        found.append({**own, "mean": estimate.mean, "low": estimate.low, "high": estimate.high, "n": estimate.n, "estimate": estimate})
    return sorted(found, key=lambda each: [values[name].index(each[name]) for name in keys])


def _data(cells: list[dict[str, Any]]) -> pandas.DataFrame:
    return pandas.DataFrame([{key: value for key, value in cell.items() if key != "estimate"} for cell in cells])


def line(source: Source, metric: str, over: str, by: str = "arm") -> Plot:
    """Mean of `metric` over the parameter `over`, a line with its band (95 % t-interval over seeds) for each value of `by`.

    `over` and `by` are columns: a dotted parameter, `arm` or `scenario`. All else the runs must have in common.
    """
    rows = _frame(source)
    _check(rows, "metric", metric, rows.metrics)
    for role, name in (("over", over), ("by", by)):
        _check(rows, role, name, [*rows.parameters, "arm", "scenario"])
    _fixed(rows, (over, by))
    cells = _estimates(rows, metric, [by, over])
    values = sorted(rows[over].unique(), key=sorting_key)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.6, 3.8))
        positions, _ = _axis(axes, values)
        for place, value in enumerate(sorted(rows[by].unique(), key=_order(by))):
            own = [cell for cell in cells if cell[by] == value]
            _band(axes, np.array([positions[values.index(cell[over])] for cell in own]), [cell["estimate"] for cell in own], _name(value), _style(by, value, place))
        axes.set_ylabel(_label(metric))
        axes.legend(frameon=False, fontsize=8, title=None if by == "arm" else by, title_fontsize=8)
        caption = _caption(rows, [cell["n"] for cell in cells], "mean and 95 % t-interval over")
        _draw_caption(figure, _label(over), caption)
    return Plot(figure, _data(cells), caption, {"figure": "line", "metric": metric, "over": over, "by": by, "of": _of(source)})


def _order(by: str) -> Any:
    arms = list(COLOURS)
    return (lambda value: arms.index(value) if value in arms else len(arms)) if by == "arm" else sorting_key


def heat(source: Source, metric: str, x: str, y: str, arm: str = "predictive") -> Plot:
    """Mean of `metric` in one arm over two parameters, a coloured cell a point, with its number; grey where no run is."""
    rows = _frame(source)
    _check(rows, "metric", metric, rows.metrics)
    for role, name in (("x", x), ("y", y)):
        _check(rows, role, name, [*rows.parameters, "scenario"])
    if arm not in set(rows["arm"]):
        raise Refused(f"plot: arm = {arm}; allowed is one of {', '.join(sorted(rows['arm'].unique(), key=_order('arm')))}")
    rows = rows[rows["arm"] == arm]
    _fixed(rows, (x, y))
    cells = _estimates(rows, metric, [y, x])
    columns, lines = (sorted(rows[name].unique(), key=sorting_key) for name in (x, y))
    grid = np.full((len(lines), len(columns)), np.nan)
    for cell in cells:
        grid[lines.index(cell[y]), columns.index(cell[x])] = np.nan if cell["mean"] is None else cell["mean"]
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(max(5.0, 2.2 + 0.8 * len(columns)), max(3.4, 1.8 + 0.5 * len(lines))))
        axes.set_facecolor("#dddddd")
        drawn = axes.imshow(grid, cmap="cividis", aspect="auto", origin="lower")
        low, high = drawn.get_clim()
        for (line_number, column), value in np.ndenumerate(grid):
            if np.isfinite(value):
                dark = high > low and (value - low) / (high - low) < 0.5
                axes.text(column, line_number, number(float(value), 3), ha="center", va="center", fontsize=7.5, color="white" if dark else "black")
        axes.set_xticks(range(len(columns)), [_name(value) for value in columns])
        axes.set_yticks(range(len(lines)), [_name(value) for value in lines])
        axes.grid(visible=False)
        axes.set_ylabel(_label(y))
        figure.colorbar(drawn, label=_label(metric))
        caption = _caption(rows, [cell["n"] for cell in cells], f"arm {arm}, mean over")
        _draw_caption(figure, _label(x), caption)
    return Plot(figure, _data(cells), caption, {"figure": "heat", "metric": metric, "x": x, "y": y, "arm": arm, "of": _of(source)})


def _gaps(rows: Frame, metric: str, keys: list[str]) -> list[dict[str, Any]]:
    """The share of the oracle's gap closed at each cell of `keys`, arms paired by seed."""
    found = []
    groups = rows.groupby(keys if len(keys) > 1 else keys[0], sort=False) if keys else [((), rows)]
    for cell, part in groups:
        own = dict(zip(keys, cell if isinstance(cell, tuple) else (cell,)))
        table = part.pivot_table(index="seed", columns="arm", values=metric, aggfunc="last", dropna=False)
        columns = [table[arm].tolist() if arm in table else [float("nan")] * len(table) for arm in ("reactive", "predictive", "oracle")]
        estimate = stats.gap_closed(*columns, higher_is_better=METRICS[metric].higher_is_better)
        found.append({**own, "mean": estimate.mean, "low": estimate.low, "high": estimate.high, "n": estimate.n, "why": estimate.why, "estimate": estimate})
    return found


def gap(source: Source, metric: str = "request_response_p99_us", over: str | None = None, by: str | None = None) -> Plot:
    """Share of the oracle's gap closed, (reactive - predictive) / (reactive - oracle), over a parameter, a line for each value of `by`.

    Where the oracle gains nothing there is no share, and no point; the data say why.
    """
    rows = _frame(source)
    _check(rows, "metric", metric, rows.metrics)
    lacking = [arm for arm in ("reactive", "predictive", "oracle") if arm not in set(rows["arm"])]
    if lacking:
        raise Refused(f"plot: no run of the arm {lacking[0]}; a gap needs reactive, predictive and oracle")
    over = over or next(iter(rows.varying), "scenario")
    names = [name for name in (by, over) if name is not None]
    for role, name in zip(("over", "by"), (over, by)):
        if name is not None:
            _check(rows, role, name, [*rows.parameters, "scenario"])
    _fixed(rows, (*names, "arm"))
    cells = _gaps(rows, metric, names)
    values = sorted(rows[over].unique(), key=sorting_key)
    cells.sort(key=lambda cell: [sorting_key(cell[name]) for name in names])
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.6, 3.8))
        positions, _ = _axis(axes, values)
        for level in (0, 1):
            axes.axhline(level, color="#999999", linewidth=0.8)
        for place, value in enumerate([None] if by is None else sorted(rows[by].unique(), key=sorting_key)):
            own = [cell for cell in cells if by is None or cell[by] == value]
            style = {"color": COLOURS["predictive"], "linestyle": "-"} if by is None else _style(by, value, place)
            _band(axes, np.array([positions[values.index(cell[over])] for cell in own]), [cell["estimate"] for cell in own], "predictive" if by is None else _name(value), style)
        axes.set_ylabel(f"gap closed in {_label(metric).rpartition(' [')[0]}")
        if by is not None:
            axes.legend(frameon=False, fontsize=8, title=by, title_fontsize=8)
        caption = _caption(rows, [cell["n"] for cell in cells], "0: reactive, 1: oracle; ratio estimate and 95 % t-interval over")
        _draw_caption(figure, _label(over), caption)
    return Plot(figure, _data(cells), caption, {"figure": "gap", "metric": metric, "over": over, "by": by, "of": _of(source)})


def pareto(source: Source, x: str, y: str, by: str = "arm") -> Plot:
    """Two metrics against each other, a point with both intervals for each value of `by` and of what else varies; joined: what no point beats."""
    rows = _frame(source)
    for role, name in (("x", x), ("y", y)):
        _check(rows, role, name, [metric for metric in rows.metrics if metric in METRICS])
    _check(rows, "by", by, [*rows.parameters, "arm", "scenario"])
    keys = [by, *(name for name in ("scenario", *rows.varying, "arm") if name != by and rows[name].nunique(dropna=False) > 1)]
    cells = [
        {**{name: one[name] for name in keys}, **{f"{axis}_{part}": cell[part] for axis, cell in (("x", one), ("y", other)) for part in ("mean", "low", "high")}, "n": min(one["n"], other["n"])}
        for one, other in zip(_estimates(rows, x, keys), _estimates(rows, y, keys))
    ]
    cells = [cell for cell in cells if cell["x_mean"] is not None and cell["y_mean"] is not None]
    if not cells:
        raise Refused(f"plot: no run has both {x} and {y}")
    signs = [-1.0 if METRICS[name].higher_is_better else 1.0 for name in (x, y)]

    def beaten(cell: dict[str, Any]) -> bool:
        own = [sign * cell[f"{axis}_mean"] for sign, axis in zip(signs, "xy")]
        for each in cells:
            other = [sign * each[f"{axis}_mean"] for sign, axis in zip(signs, "xy")]
            if other != own and all(o <= s for o, s in zip(other, own)):
                return True
        return False

    for cell in cells:
        cell["on_front"] = not beaten(cell)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.6, 3.8))
        for place, value in enumerate(sorted(rows[by].unique(), key=_order(by))):
            colour = _style(by, value, place)["color"]
            for index, cell in enumerate(each for each in cells if each[by] == value):
                errors = {
                    f"{axis}err": None if cell[f"{axis}_low"] is None else [[cell[f"{axis}_mean"] - cell[f"{axis}_low"]], [cell[f"{axis}_high"] - cell[f"{axis}_mean"]]]
                    for axis in "xy"
                }
                axes.errorbar(cell["x_mean"], cell["y_mean"], fmt="o", markersize=5, capsize=3, elinewidth=1, color=colour, label=None if index else _name(value), **errors)
        front = sorted((cell["x_mean"], cell["y_mean"]) for cell in cells if cell["on_front"])
        axes.plot(*zip(*front), color="#555555", linewidth=0.9, linestyle=(0, (4, 2)), zorder=0, label="front")
        axes.set_ylabel(_label(y))
        axes.legend(frameon=False, fontsize=8, title=None if by == "arm" else by, title_fontsize=8)
        better = [f"{name.replace('_', ' ')}: {'more' if METRICS[name].higher_is_better else 'less'} is better" for name in (x, y)]
        caption = _caption(rows, [cell["n"] for cell in cells], f"{'; '.join(better)}; means and 95 % t-intervals over")
        _draw_caption(figure, _label(x), caption)
    return Plot(figure, pandas.DataFrame(cells), caption, {"figure": "pareto", "x": x, "y": y, "by": by, "of": _of(source)})


def ecdf(runs: Run | str | os.PathLike | Sequence[Run | str | os.PathLike], tail: bool = False, truth: Sequence[str] | None = ("request", "response")) -> Plot:
    """Distribution of latency from the traces of runs, a curve an arm (its seeds together): the share of packets at most as slow, or, with
    `tail`, the share above on a logarithmic axis. `truth`: true types that count; None: all packets that left.
    """
    several = [runs] if isinstance(runs, (Run, str, os.PathLike)) else list(runs)
    opened = [each if isinstance(each, Run) else Run(Path(each).absolute()) for each in several]
    by_arm: dict[str, list[np.ndarray]] = {}
    for run in opened:
        by_arm.setdefault(run.config["arm"], []).append(run.latencies(None if truth is None else tuple(truth)).to_numpy())
    parts = []
    for arm in sorted(by_arm, key=_order("arm")):
        values = np.sort(np.concatenate(by_arm[arm]))
        if not len(values):
            raise Refused(f"plot: no packet of {', '.join(truth or ())} left in the runs of the arm {arm}")
        drawn = np.unique(values[ranks(len(values))])
        share = np.searchsorted(values, drawn, side="right") / len(values)
        parts.append(pandas.DataFrame({"arm": arm, "latency_us": drawn, "share_above" if tail else "share": 1 - share if tail else share}))
    data = pandas.concat(parts, ignore_index=True)
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.6, 3.8))
        for arm, part in data.groupby("arm", sort=False):
            axes.step(part["latency_us"], part.iloc[:, 2], where="post", linewidth=1.4, label=_name(arm), **_style("arm", arm, 0))
        axes.set_xscale("log")
        if tail:
            axes.set_yscale("log")
        axes.set_ylabel("share of packets above" if tail else "share of packets")
        axes.legend(frameon=False, fontsize=8)
        counts = [sum(map(len, by_arm[arm])) for arm in by_arm]
        which = "all packets that left" if truth is None else f"true types {', '.join(truth)}"
        packets = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
        caption = f"{which}; {packets} packets an arm; {len(opened)} run{'s' if len(opened) > 1 else ''}, seeds of an arm together"
        _draw_caption(figure, "arrival to last bit out [µs]", caption)
    specification = {"figure": "ecdf", "tail": tail, "truth": None if truth is None else list(truth), "of": [str(run.folder) for run in opened]}
    return Plot(figure, data, caption, specification)
