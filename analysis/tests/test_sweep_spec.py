# SPDX-License-Identifier: BSD-3-Clause
"""Specifications of sweeps: their points beside numpy's and Python's own, and what is refused in one sentence."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foreflow import places
from foreflow.errors import Refused
from foreflow.sweeps import spec
from foreflow.sweeps.condition import Condition
from foreflow.sweeps.estimate import Durations
from foreflow.sweeps.plan import replications
from foreflow.sweeps.spec import Until


def points(**document: object) -> list[dict[str, object]]:
    return spec.read({"scenario": "tag", **document}).points


def test_ranges_are_numpys() -> None:
    assert [p["traffic.load"] for p in points(vary={"load": {"from": 0.3, "to": 0.9, "points": 7}})] == pytest.approx(np.linspace(0.3, 0.9, 7))
    found = [p["link.delay_us"] for p in points(vary={"link.delay_us": {"from": 0.1, "to": 1000, "points": 9, "scale": "log"}})]
    assert found == pytest.approx(np.geomspace(0.1, 1000, 9))
    assert [p["traffic.load"] for p in points(vary={"load": {"from": 0.1, "to": 0.7, "step": 0.2}})] == [0.1, 0.3, 0.5, 0.7]
    assert [p["device.flow_entries"] for p in points(vary={"capacity": {"from": "5%", "to": "20%", "step": 5}})] == ["5%", "10%", "15%", "20%"]
    whole = [p["device.queue_packets"] for p in points(vary={"device.queue_packets": {"from": 1, "to": 8, "points": 20, "scale": "log"}})]
    assert whole == [1, 2, 3, 4, 5, 6, 7, 8] and all(isinstance(value, int) for value in whole)


def test_grids_zips_and_conditions_are_combined() -> None:
    found = points(
        vary={"load": [0.5, 0.7, 0.9], "capacity": ["5%", "10%"]},
        zip=[{"host.vms": [8, 16], "device.queue_packets": [64, 128]}],
        where=["load < 0.9 or capacity != '5%'", "host.vms * 8 == device.queue_packets"],
    )
    wanted = [
        {"traffic.load": load, "device.flow_entries": capacity, "host.vms": vms, "device.queue_packets": 8 * vms}
        for load, capacity, vms in itertools.product((0.5, 0.7, 0.9), ("5%", "10%"), (8, 16))
        if load < 0.9 or capacity != "5%"
    ]
    assert found == wanted
    assert points() == [{}]
    assert len(points(vary={"load": [0.5, 0.9]}, where="traffic.max_packets == 0 and input == 'recorded'")) == 2  # keys that do not vary


@pytest.mark.parametrize("method", ["sobol", "random"])
def test_samples_lie_within_and_come_from_their_seed(method: str) -> None:
    over = {"load": {"from": 0.2, "to": 0.8}, "host.vms": {"from": 1, "to": 4}, "link.delay_us": {"from": 1, "to": 100, "scale": "log"}, "predictor": ["markov1", "markov2"]}
    first, again, other = (points(sample={"method": method, "count": 128, "seed": seed, "over": over}) for seed in (1, 1, 2))
    assert first == again != other
    assert len(first) == 128
    loads = np.array([p["traffic.load"] for p in first])
    assert loads.min() >= 0.2 and loads.max() <= 0.8
    assert {p["host.vms"] for p in first} == {1, 2, 3, 4}
    assert {p["prediction.predictor"] for p in first} == {"markov1", "markov2"}
    delays = np.array([p["link.delay_us"] for p in first])
    if method == "sobol":  # its property: each of 128 equal parts of every axis holds one point
        for shares in ((loads - 0.2) / 0.6, np.log(delays) / np.log(100)):
            assert sorted(np.clip(shares * 128, 0, 127).astype(int)) == list(range(128))
        assert [sum(p["host.vms"] == n for p in first) for n in (1, 2, 3, 4)] == [32] * 4


NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, 1.5])


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> str:
    """Of comparisons that Python knows too, over the keys load and host.vms."""
    if depth == 0 or draw(st.booleans()):
        def term() -> str:
            one = draw(st.sampled_from(["load", "host.vms"]) | NUMBERS.map(str))
            return one if draw(st.booleans()) else f"({one} {draw(st.sampled_from('+-*'))} {draw(NUMBERS)})"

        kind = draw(st.sampled_from(["two", "three", "in"]))
        if kind == "in":
            return f"{term()} {draw(st.sampled_from(['in', 'not in']))} [{term()}, {term()}]"
        operators = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
        text = f"{term()} {draw(operators)} {term()}"
        return text + (f" {draw(operators)} {term()}" if kind == "three" else "")
    one, other = draw(conditions(depth - 1)), draw(conditions(depth - 1))
    return draw(st.sampled_from([f"({one}) and ({other})", f"({one}) or ({other})", f"not ({one})"]))


@given(conditions(), NUMBERS, NUMBERS)
def test_conditions_hold_where_pythons_do(text: str, load: float, vms: float) -> None:
    class Host:
        pass

    Host.vms = vms  # type: ignore[attr-defined]
    wanted = eval(text, {"__builtins__": {}}, {"load": load, "host": Host})  # noqa: S307
    assert Condition(text, "x").holds({"load": load, "host.vms": vms}.__getitem__) is wanted


REFUSED = [
    ("vary: {loda: [1]}", "vary: unknown key loda; did you mean traffic.load?"),
    ("vary: {load: {from: 1}}", "vary.load = {\"from\": 1}; allowed is a list of values, or a range"),
    ("vary: {load: {from: 0.5, to: 0.9}}", "vary.traffic.load: has neither points nor step"),
    ("vary: {load: {from: 0.5, to: 0.1, points: 3}}", "from = 0.5 is above to = 0.1"),
    ("vary: {load: {from: 0, to: 1, scale: log, points: 4}}", "from = 0; allowed with scale: log is a number above 0"),
    ("vary: {load: {from: 0.1, to: 1, step: 1.0e-9}}", "allowed are up to 1000000"),
    ("vary: {load: {from: 5%, to: 1, points: 4}}", "allowed are two numbers, or two shares"),
    ("vary: {load: []}", "vary.load = []; allowed is a list of values"),
    ("vary: {load: [0.5, -1]}", "traffic.load = -1; allowed is a number from 0.001 to 10"),
    ("vary: {load: [0.5, 2020-01-01]}", "traffic.load = \"2020-01-01\"; allowed is a number"),
    ("vary: {load: [0.5, 0.5]}", "0.5 is there twice"),
    ("vary: {load: [0.5], traffic.load: [0.6]}", "under its short name and its long one"),
    ("vary: {seeds: [1]}", "seeds is no key to vary"),
    ("vary: {load: [0.1]}\nzip: [{load: [0.2]}]", "traffic.load is varied twice"),
    ("vary: 3", "vary = 3; allowed is a mapping"),
    ("set: {load: 0.5}\nvary: {load: [0.1]}", "traffic.load is set and varied"),
    ("set: {load: -1}", "traffic.load = -1; allowed is a number from 0.001 to 10"),
    ("set: {input: recorded}\nvary: {prediction.model: [nowhere], predictor: [gru]}", "prediction.model = nowhere: no such file"),
    ("zip: [{load: [1, 2], capacity: [1]}]", "has 2 values of traffic.load, 1 values of device.flow_entries"),
    ("sample: {count: 3, over: {load: {from: 0.1, to: 1, points: 3}}}", "has points; allowed in a sample are from, to and scale"),
    ("sample: {count: 0, over: {load: [1]}}", "sample.count = 0; allowed is a whole number from 1 to 100000"),
    ("load: 3", "unknown key load; a key of the scenario stands below set, vary, zip or sample.over"),
    ("vray: {}", "unknown key vray; did you mean vary?"),
    ("arms: [foo]", "arms[0] = \"foo\"; allowed is one of off"),
    ("seeds: 0", "seeds = 0; allowed is a whole number from 1 to 1000, or {until"),
    ("seeds: {until: {metric: speed, relative: 0.1}, at_most: 4}", "seeds.until.metric = speed; allowed is one of hit_ratio"),
    ("seeds: {until: {metric: p99_us}, at_most: 4}", "seeds.until has neither absolute and relative; a width is one of them"),
    ("seeds: {until: {metric: p99_us, relative: 0.1}, at_most: 2}", "seeds.at_most = 2; allowed is at_least (3) or more"),
    ("where: load <", "where: load <: is no condition"),
    ("where: lod < 3", "where: unknown key lod; did you mean traffic.load?"),
    ("where: __import__('os')", "holds \"__import__('os')\"; allowed are keys, constants"),
    ("where: load.__class__ == 1", "unknown key load.__class__"),
    ("where: load < 'a'", "compare numbers with numbers"),
    ("where: load + 1", "allowed is what is true or false"),
    ("where: load < 0.1", "where holds for no point"),
    ("cores: 0", "cores = 0; allowed is a whole number from 1 to 256"),
    ("name: A B", "name = \"A B\"; allowed is lower-case letters"),
    ("vary: {load: [0.1]}\nvary: {load: [0.2]}", "line 3 key 'vary' is there twice"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED)
def test_what_is_wrong_is_refused_in_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(f"scenario: tag\n{text}\n")
    with pytest.raises(Refused) as refusal:
        wanted = spec.read(path)
        for point in wanted.points:
            wanted.resolved(point)
    assert str(refusal.value).startswith(f"{path}:") and sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_specification_that_is_not_there_or_is_none(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="no-such.yaml: cannot be read"):
        spec.read(tmp_path / "no-such.yaml")
    (tmp_path / "list.yaml").write_text("[1]")
    with pytest.raises(Refused, match="a sweep is a mapping"):
        spec.read(tmp_path / "list.yaml")
    with pytest.raises(Refused, match="sweep: key scenario is missing"):
        spec.read({"vary": {}})


def test_the_example_of_the_readme(tmp_path: Path) -> None:
    readme = (places.ROOT / "analysis" / "foreflow" / "sweeps" / "README.md").read_text()
    path = tmp_path / "load.yaml"
    path.write_text(readme.split("```yaml\n")[1].split("```")[0])
    wanted = spec.read(path)
    assert (wanted.name, len(wanted.points), wanted.arms, wanted.seeds) == ("load", 10, ["reactive", "predictive"], 5)
    assert wanted.resolved(wanted.points[-1])["traffic"]["load"] == 0.9


def test_replications_go_on_until_every_arm_is_narrow() -> None:
    until = Until("p99_us", None, 0.1, 3, 40)
    assert replications(until, 3, [[100.0, 100.0, 100.0]]) == 3
    # 90, 100, 110: half width 4.303 * 10 / sqrt(3) = 24.8 of 10 allowed, so 3 * 2.48^2 = 18.5 would do; twice as many at most.
    assert replications(until, 3, [[100.0, 100.0, 100.0], [90.0, 100.0, 110.0]]) == 6
    # 97, 100, 103 and again: 2.571 * 2.683 / sqrt(6) = 2.82 of 2 allowed, and 6 * 1.41^2 = 11.9.
    assert replications(Until("p99_us", 2.0, None, 3, 40), 6, [[97.0, 100.0, 103.0] * 2]) == 12
    assert replications(Until("p99_us", 2.0, None, 3, 8), 6, [[97.0, 100.0, 103.0] * 2]) == 8
    assert replications(until, 3, [[None, None, 5.0]]) == 4
    assert replications(Until("hit_ratio", None, 0.1, 3, 40), 3, [[-1.0, 0.0, 1.0]]) == 6  # a mean of 0 has no width


def test_durations_are_those_of_the_most_alike() -> None:
    def row(arm: str, seconds: float, **parameters: object) -> dict[str, object]:
        return {"status": "done", "scenario": "tag", "arm": arm, "seconds": seconds, "parameters": parameters}

    past = Durations([row("off", 1, n=100), row("off", 3, n=100), row("off", 10, n=1000), row("off", 90, n=100, m=2), row("oracle", 7), {**row("off", 99, n=10), "status": "failed"}])
    assert past.expected("tag", "off", {"n": 100}) == 2
    assert past.expected("tag", "off", {"n": 150}) == 2
    assert past.expected("tag", "off", {"n": 900}) == 10
    assert past.expected("tag", "oracle", {"n": 5}) == 7
    assert past.expected("tag", "reactive", {}) is None
    assert past.expected("quickstart", "off", {}) is None
