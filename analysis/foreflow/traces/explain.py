# SPDX-License-Identifier: BSD-3-Clause
"""One packet's way through a run: decided again, and checked against what the run recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from foreflow.traces import kept, lives
from foreflow.traces.kept import Kept, span


def document_of(run: Kept, packet: int) -> dict[str, Any]:
    """foreflow-explain's document, with what the run recorded beside it and `check`: what differs."""
    if run.has_units:
        return lives.document_of(run, packet)
    (told,) = kept.explained(run, [packet])
    row = kept.rows_of(run, "packets", packet, packet + 1)[0]
    decision = kept.rows_of(run, "decisions", packet, packet + 1)[0]
    again = told["verdict"]["row"]
    differing = [
        f"{name}: recorded {kept.in_words('decisions', name, decision[name])}, decided again {kept.in_words('decisions', name, again[name])}"
        for name in again
        if int(decision[name]) != again[name]
    ]
    prediction = kept.prediction_of(run, packet)
    valid = told["verdict"]["tag_status"] == "valid"
    if valid != (prediction is not None):
        differing.append(f"prediction: recorded {'none' if prediction is None else 'one'}, decided again {'one' if valid else 'none'}")
    elif prediction is not None:
        said = (kept.in_words("predictions", "predicted", prediction["predicted"]), int(prediction["confidence"]))
        now = (told["verdict"]["predicted"], round(told["verdict"]["confidence"] * 65535))
        if said != now:
            differing.append(f"prediction: recorded {said[0]} at {said[1]}, decided again {now[0]} at {now[1]}")
    arrival = told["arrival"]
    for name, value in (("arrival_ns", arrival["time_ns"]), ("vm", arrival["vm"]), ("wire_bytes", arrival["wire_bytes"])):
        if int(row[name]) != value:
            differing.append(f"{name}: recorded {row[name]}, offered again {value}")
    recorded_flow, flow = _flow(run, decision), _key(told["flow_key"]) if told["flow_key"] else "none"
    if recorded_flow != flow:
        differing.append(f"flow: recorded {recorded_flow}, decided again {flow}")
    if run.door == "ns3":
        for name, cycles in _cycles(told).items():
            if int(row[name]) != cycles:
                differing.append(f"{name}: recorded {row[name]}, priced again {cycles}")
    recorded = {name: int(row[name]) for name in ("arrival_ns", "departure_ns", "host_cycles", "device_cycles", "prediction_cycles")}
    return {
        "run": str(run.folder),
        "door": run.door,
        "times": run.times,
        **told,
        "rule": _rule(run, "rules", told["verdict"]["rule"]),
        "tag_rule": _rule(run, "tag_rules", told["verdict"]["tag_rule"]),
        "recorded": recorded,
        "check": differing,
    }


def _flow(run: Kept, decision: Any) -> str:
    """The flow that the trace gives a decision, in words."""
    number = int(decision["flow"])
    if number == kept.NONE:
        return "none"
    rows = kept.rows_of(run, "flows", number, number + 1)
    return _key(kept.key_of(rows[0])) if len(rows) else f"row {number}, which the table flows has not"


def _cycles(told: dict[str, Any]) -> dict[str, int]:
    """The sums that the packets table has: the check of the tag is the device's work, and prediction's."""
    predicting = ("profile", "predict", "tag_seal", "preinstall", "tag_check")
    stages = told["stages"]
    return {
        "host_cycles": sum(stage["cycles"] for stage in stages if stage["on"] == "host" and stage["stage"] not in predicting),
        "device_cycles": sum(stage["cycles"] for stage in stages if stage["on"] == "device"),
        "prediction_cycles": sum(stage["cycles"] for stage in stages if stage["stage"] in predicting),
    }


def _rule(run: Kept, kind: str, number: int | None) -> dict[str, Any] | None:
    """A rule as the configuration has it; of a file of filters, its line."""
    if isinstance(run.resolved[kind], str) and number is not None:
        filters = [line for line in Path(run.resolved[kind]).read_text(encoding="ascii").splitlines() if line.strip()]
        if number >= len(filters):
            return None
        return {"id": number, "priority": -number, "filter": " ".join(filters[number].split()), "action": {"verb": "forward"}}
    return next((rule for rule in run.resolved[kind] if rule["id"] == number), None)


def _key(key: dict[str, Any]) -> str:
    def end(name: str) -> str:
        address = f"[{key[name]}]" if key["l3"] == "ipv6" else key[name]
        return f"{address}:{key[f'{name}_port']}"

    protocol = f" protocol {key['ip_protocol']}" if key["ip_protocol"] else ""
    return f"VM {key['vm']} {key['l3']}{protocol} {end('source')} -> {end('destination')}"


def _governor(governor: dict[str, Any]) -> str:
    relation = ">" if governor["hit_rate"] > governor["break_even"] else "<="
    return f"h {governor['hit_rate']:.4f} {relation} h* {governor['break_even']:.4f}, {'open' if governor['is_open'] else 'shut'}"


def rule_in_words(rule: dict[str, Any] | None) -> str:
    """What differs from `any`, then the action."""
    if rule is None:
        return "none"
    action = rule["action"]
    anything = {"l3": "any", "vm": "any", "protocol": "any", "source": "any", "destination": "any", "source_port": [0, 65535], "destination_port": [0, 65535]}
    match = [f"{key} {value}" for key, value in rule.items() if key not in ("id", "priority", "action") and value != anything.get(key)]
    does = [action["verb"]] + [f"{key} {action[key]}" for key in ("queue", "meter", "change") if action.get(key) is not None] + [key for key in ("mirror", "shard") if action.get(key)]
    return f"{rule['id']} (priority {rule['priority']}): {', '.join(match) or 'anything'} => {', '.join(does)}"


def inputs_of(told: dict[str, Any]) -> list[str]:
    """Every input of the decision, a line each."""
    arrival, dissected = told["arrival"], told["dissected"]
    shown = {name: value for name, value in dissected.items() if value not in (0, False, "none", "", "00:00:00:00:00:00")}
    lines = [
        f"record     {told['record']} of {Path(told['capture']).name}; lane {told['lane']}, packet {told['number_on_lane']} there",
        f"arrived    {arrival['time_ns']} ns after the first; on the sender's clock {arrival['sent_ns']} ns",
        f"from       VM {arrival['vm']}; {arrival['wire_bytes']} bytes on the wire, {arrival['captured_bytes']} captured, link {arrival['link']}",
        "dissected  " + ", ".join(f"{name} {value}" for name, value in shown.items()),
        f"bytes      {arrival['hex']}{'...' if arrival['captured_bytes'] > len(arrival['hex']) // 2 else ''}",
    ]
    if told["decidable"]:
        lines += [
            f"flow       {_key(told['flow_key'])}",
            f"entry      {_key(told['entry_key'])} (ports: the lowest of their class)",
            f"rules      {', '.join(map(str, told['rules'])) or 'none'} match, the first decides",
        ]
        if told["tag_rules"] is not None:
            lines.append(f"tag rules  {', '.join(map(str, told['tag_rules'])) or 'none'} match, the first decides")
    return lines


def _cache_lines(told: dict[str, Any]) -> list[str]:
    cache = told["cache"]
    full = f"{cache['entries']} of {cache['capacity']} entries, {cache['unused_predictions']} of {cache['unused_prediction_limit']} unused predictions"
    resident, last = cache["resident"], cache["last_use"]
    if resident is None:
        lines = [f"no entry ({full})"]
        if last is None:
            lines.append("it was never wanted before")
        else:
            lines.append(
                f"it was last wanted by packet {last['packet']}, {span(last['ns_ago'])} before; {last['other_entries_since']} other entries were wanted since"
            )
        return lines
    age = resident["ready_for_ns"]
    ready = f"ready for {span(age)}" if age >= 0 else f"on its way for another {span(-age)}"
    why = "a prediction" if resident["cause"] == "predicted" else "a miss"
    unused = ", not used yet" if resident["unused_prediction"] else ""
    return [f"entry of rule {'none' if resident['rule'] is None else resident['rule']}, {ready}, installed by {why}{unused} ({full})"]


def _shares(probabilities: dict[str, float] | None) -> str:
    """Likeliest first."""
    if probabilities is None:
        return "not asked"
    return ", ".join(f"{name} {share:.4f}" for name, share in sorted(probabilities.items(), key=lambda item: -item[1]))


def _prediction_lines(prediction: dict[str, Any] | None) -> list[str]:
    if prediction is None:
        return ["nothing: the arm does not predict, or the sender is no profiled VM"]
    context, governor = prediction["context"], prediction["governor"]
    lines = [
        f"{prediction['type']} at {prediction['confidence']:.4f} ({_shares(prediction['probabilities'])})",
        f"truth {prediction['truth']}; from symbols {context['symbols']} (newest first), last known type {context['last_label']}",
        f"queue {prediction['header_queue']} by header, {prediction['tag_queue']} by tag; governor of the {governor['of']}: {_governor(governor)}; tag {'written' if prediction['tag_written'] else 'not written'}",
    ]
    if (models := prediction["models"]) is not None:
        lines.append(
            f"{models['read']} as trained: {_shares(models['probabilities_as_trained'])}; what learns on: {_shares(models['probabilities_as_learnt'])};"
            f" mixed {models['weight']:.4f} to {1 - models['weight']:.4f}, sharpness {models['sharpness']:.3g}, drift pressure {models['drift_pressure']:.3f}"
        )
    destinations = prediction["destinations"]
    for place in destinations["next"]:
        where = ", on the device" if place["is_resident"] else ""
        lines.append(f"next, {place['step']} ahead, at {place['confidence']:.4f}: {_key(place['key'])}{where}")
    lines.append(
        f"governors: successors {_governor(destinations['successor_governor'])}; replies {_governor(destinations['reply_governor'])};"
        f" rehearsal {'allows' if destinations['rehearsal_allows'] else 'forbids'}"
    )
    lines += [f"asked for: {_key(key)}" for key in destinations["asked_for"]]
    return lines


def text_of(document: dict[str, Any]) -> str:
    """The document as people read it."""
    if "datagrams" in document:
        return lives.text_of(document)
    verdict, recorded = document["verdict"], document["recorded"]
    lines = [f"Packet {document['packet']} of {document['run']} (door {document['door']}, {'recorded times' if document['times'] == 'recorded' else 'times scaled to the load'})"]
    lines += ["  " + line for line in inputs_of(document)]
    details = {"predict": _prediction_lines(document["prediction"])} if document["decidable"] else {}
    if document["decidable"]:
        details["flow_cache"] = details["slow_path"] = _cache_lines(document)
    side = ""
    seen = set()
    for stage in document["stages"]:
        if stage["on"] != side:
            side = stage["on"]
            lines.append(side)
        work = ", ".join(f"{name} {count}" for name, count in stage["work"].items())
        lines.append(f"  {stage['stage']:<11}{stage['cycles']:>6} cycles {span(stage['ns']):>12}  {work}")
        told = details.get(stage["stage"], [])
        if tuple(told) not in seen:
            lines += [" " * 13 + line for line in told]
            seen.add(tuple(told))
    lines.append(
        f"verdict  {verdict['verb']}, {verdict['reason']}; queue {verdict['queue']}, colour {verdict['colour']}, tag {verdict['tag_status']}"
        + ", punted" * verdict["row"]["punted"] + ", mirrored" * verdict["row"]["mirrored"]
        + ", first use of a predicted entry" * verdict["row"]["used_prediction"]
    )  # fmt: skip
    lines.append(f"rule     {rule_in_words(document['rule'])}")
    if document["tag_rule"] is not None:
        lines.append(f"tag rule {rule_in_words(document['tag_rule'])}")
    charged = sum(stage["ns"] for stage in document["stages"])
    cycles = sum(stage["cycles"] for stage in document["stages"])
    lines.append(f"charged  {cycles} cycles, {span(charged)}")
    if document["door"] != "ns3":
        lines.append("way out  this door simulates no device: no time passes")
    elif recorded["departure_ns"] < 0:
        lines.append("way out  none: dropped" + ("" if verdict["verb"] == "drop" else " by a station or queue that was full"))
    else:
        latency = recorded["departure_ns"] - recorded["arrival_ns"]
        lines.append(f"way out  last bit {span(latency)} after arrival: the time charged, and {span(latency - charged)} of bus, queues and link")
    if document["check"]:
        lines.append("check    DIFFERS from what the run recorded: " + "; ".join(document["check"]))
    else:
        lines.append("check    decided again as the run recorded it")
    return "\n".join(lines)
