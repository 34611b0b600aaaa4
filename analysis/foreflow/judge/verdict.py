# SPDX-License-Identifier: BSD-3-Clause
"""Says in plain words whether prediction paid, and why."""

from __future__ import annotations

from typing import Any

from foreflow.judge import judgement, stats
from foreflow.judge.table import number
from foreflow.runs.runner import Result

JUDGED = {"punts_per_thousand": "slow-path punts per thousand packets", "request_response_p99_us": "p99 latency of requests and responses"}


def _short(percent: float) -> str:
    return f"{percent:.0f}" if abs(percent) >= 10 else f"{percent:.2g}"


def _percent(estimate: stats.Estimate) -> str:
    """How much it moved, as a size: a cost below 0 is a fall."""
    sign = -1 if estimate.mean < 0 else 1
    text = f"{_short(abs(100 * estimate.mean))} %"
    if estimate.low is None:
        return text
    low, high = sorted((100 * sign * estimate.low, 100 * sign * estimate.high))
    return f"{text} (95 % interval {_short(low)} to {_short(high)} %, n = {estimate.n})"


def _paid(metric: str, cost: stats.Estimate) -> str:
    name = JUDGED[metric]
    if cost.mean is None:
        return f"Nothing can be said of {name}: {cost.why}."
    if cost.low is None or cost.low <= 0 <= cost.high:
        sure = "one seed cannot tell" if cost.low is None else "the interval holds 0"
        if cost.low is not None and cost.low == cost.high == 0:
            return f"Prediction changed nothing in the {name}."
        return f"Whether prediction changed the {name} cannot be told: {'better' if cost.mean < 0 else 'worse'} by {_percent(cost)}; {sure}."
    if cost.mean < 0:
        return f"Prediction paid: {name} fell by {_percent(cost)} against reactive."
    return f"Prediction cost: {name} rose by {_percent(cost)} against reactive."


def _mean_counter(results: list[Result], arm: str, name: str) -> float | None:
    found = [r.summary.get("counters", {}).get(name) for r in results if r.ok and r.run.arm == arm]
    return stats.mean([value for value in found if value is not None]).mean


def sentences(document: dict[str, Any], values: judgement.Values, results: list[Result]) -> list[str]:
    """The finding, one sentence a line: what changed, the share of the oracle gap, and the break-even behind it."""
    said = []
    for metric, cost in judgement.costs(values, "predictive").items():
        if metric in JUDGED:
            said.append(_paid(metric, cost))
    for metric in JUDGED:
        gap = document["gap_closed"].get(metric)
        if gap is None:
            continue
        if gap["mean"] is None:
            said.append(f"No share of the oracle gap in {JUDGED[metric]}: {gap['why']}.")
        else:
            low, high = gap["ci95"]
            interval = "" if low is None else f" (95 % interval {100 * low:.1f} to {100 * high:.1f} %)"
            said.append(f"Of the oracle's gain in {JUDGED[metric]}, prediction reaches {100 * gap['mean']:.1f} %{interval}.")
    said += _why(results) + _models(results) + _in_cycles(values)
    harm = judgement.costs(values, "anti_oracle")
    if harm:
        worst = max((m for m in JUDGED if harm[m].mean is not None), key=lambda m: harm[m].mean, default=None)
        if worst:
            said.append(
                f"Predictions that are always wrong cost at most {_short(max(0.0, 100 * harm[worst].mean))} % ({JUDGED[worst]})."
            )
    return said


def _models(results: list[Result]) -> list[str]:
    """Whose word on types weighed most where trained models are mixed with what learns, a run."""
    counters = [r.summary["counters"] for r in results if r.ok and r.run.arm == "predictive" and r.summary.get("models")]
    if not counters:
        return []
    tiers = {tier: stats.mean([c["types_by_tier"][tier] for c in counters]).mean or 0.0 for tier in ("network", "table", "learned")}
    asked, alarms = (stats.mean([c[key] for c in counters]).mean or 0.0 for key in ("fallback_asked", "drift_alarms"))
    outcomes = sum(tiers.values())
    if not outcomes:
        return []
    shares = ", ".join(f"{100 * count / outcomes:.1f} % by {'what learns on' if tier == 'learned' else f'the {tier}'}" for tier, count in tiers.items() if count)
    return [
        f"Types were predicted {shares}, by whose word weighed most; what learns on was asked for {100 * asked / outcomes:.1f} %,"
        f" and a run saw {number(alarms, 3)} drift alarms."
    ]


def _in_cycles(values: judgement.Values) -> list[str]:
    """What prediction took from the host's cores, and what it gave back."""
    if not {"reactive", "predictive"} <= set(values):
        return []
    spent = stats.mean(values["predictive"]["prediction_cycles_per_packet"]).mean
    before, after = (stats.mean(values[arm]["host_cycles_per_packet"]).mean for arm in ("reactive", "predictive"))
    if spent is None or before is None or after is None:
        return []
    net = before - after - spent
    balance = f"a net gain of {number(net, 3)}" if net > 0 else f"a net cost of {number(-net, 3)}"
    return [
        f"In cycles of the host's cores a packet: prediction took {number(spent, 3)} and saved {number(before - after, 3)}, {balance}."
    ]


def _why(results: list[Result]) -> list[str]:
    said = []
    for kind, what in (
        ("destination", "next destinations"),
        ("promotion", "types that move a packet ahead of its header's queue"),
        ("demotion", "types that move it back"),
    ):
        hit = _mean_counter(results, "predictive", f"{kind}_hit_rate")
        even = _mean_counter(results, "predictive", f"{kind}_break_even")
        if hit is None or even is None:
            continue
        relation = "above" if hit > even else "not above"
        said.append(
            f"Why: predictions of {what} came true with h = {hit:.3f}, {relation} the break-even h* = {even:.3f}."
        )
    asked = _mean_counter(results, "predictive", "installs_predicted")
    used = _mean_counter(results, "predictive", "predicted_used")
    if asked is not None and used is not None:
        if asked == 0:
            said.append("The governor let no entry be installed ahead.")
        else:
            said.append(f"Of {number(asked)} entries installed ahead a run, {100 * used / asked:.1f} % were used.")
    return said

