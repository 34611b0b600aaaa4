# SPDX-License-Identifier: BSD-3-Clause
"""Why one flow's packets went where they went: from the trace, and decided again at each change."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import h5py
import numpy as np

from foreflow.errors import Refused
from foreflow.traces import kept, lives
from foreflow.traces.explain import rule_in_words
from foreflow.traces.kept import Kept, span

ROWS = 1 << 18  # of decisions read at once
CHANGES = 64  # decided again at the most: the first ones and the last
SAME = ("verb", "reason", "rule", "tag_rule", "queue", "punted", "mirrored", "tag_status")  # what makes a decision another
PROTOCOLS = {"icmp": 1, "tcp": 6, "udp": 17, "icmpv6": 58, "sctp": 132}
FAST = ("cache_hit", "rule_hit", "tag_rule")

# Every reason code of a decision, as a sentence. `{}` are the decision's rule and tag rule.
REASONS = {
    "cache_hit": "on the fast path: the device held the flow entry of rule {rule}",
    "cache_miss": "off the fast path: the device held no entry that was ready, and the host's table decided by rule {rule}",
    "not_offloaded": "off the fast path: this arm keeps no entries on the device, so the host's table decides every packet",
    "trap_rule": "off the fast path: rule {rule} sends this traffic to the host",
    "tag_rule": "on the fast path: tag rule {tag_rule} ended the search (tag_authority=literal)",
    "deny_rule": "dropped: rule {rule} says so",
    "default_drop": "dropped: no rule matches",
    "meter_red": "dropped: the meter of rule {rule} marked the packet red, above its peak rate",
    "malformed": "dropped: a header contradicts itself or the lengths",
    "truncated": "dropped: the capture ends inside a header that the decision needs",
    "unknown_link": "dropped: the link type carries no frames that can be decided on",
    "queue_full": "dropped: the egress queue was full",
    "station_full": "dropped: a station of the device, or the slow path, was full",
    "same_port": "dropped by the switch: the destination is behind the port that the packet came from",
    "rule_hit": "on the fast path: the device's rule table held rule {rule}",
    "rule_miss": "off the fast path: the device's rule table held nothing for the packet, and the host's table decided by rule {rule}",
    "rule_cover": "off the fast path: the device's rule table held a cover, which traps to the host's table, and that decided by rule {rule}",
    "ttl_expired": "dropped: rule {rule} decrements the time to live, which would reach 0",
    "too_long": "dropped: rule {rule} puts the packet into a tunnel, and it is too long for the tunnel's MTU",
    "no_frame": "dropped: rule {rule} asks for a VLAN or a tunnel, and the link carries no Ethernet frames",
    "unit_refused": "dropped: the packet dynamics unit did not take it",
    "not_whole": "dropped: some of it was lost between packet dynamics units, and not made good",
    "marked": "dropped: congestion was marked on the way, and its sender does not heed that",
}
TAGS = {
    "absent": "no tag came with the packet",
    "valid": "its tag verified",
    "forged": "its tag did not verify and was ignored",
    "replayed": "its tag had been seen before and was ignored",
    "stale": "its tag was of an epoch that is over and was ignored",
    "wrong_vm": "its tag named another VM and was ignored",
}
KEY = re.compile(
    r"(?P<source>\[[^]]+\]|[0-9.]+)(?::(?P<source_port>\d+|\*))?>(?P<destination>\[[^]]+\]|[0-9.]+)(?::(?P<destination_port>\d+|\*))?"
    r"(?:/(?P<protocol>\w+))?(?:@(?P<vm>\d+))?"
)
FORM = "10.0.0.1:1234>10.0.0.2:80/tcp@3 (IPv6 addresses in brackets; port, protocol and @VM may be left out)"


def _number(text: str | None, key: str, high: int) -> int | None:
    if text is None or text == "*":
        return None
    if int(text) > high:
        raise Refused(f"command line: --flow: {key} is {text}, allowed: 0..{high}")
    return int(text)


def parse_key(text: str) -> dict[str, Any]:
    """A flow as people write it: its parts, None for any."""
    found = KEY.fullmatch(text)
    if found is None:
        raise Refused(f"command line: --flow is {text!r}, allowed: {FORM}")
    parts: dict[str, Any] = {}
    for end in ("source", "destination"):
        try:
            parts[end] = ipaddress.ip_address(found[end].strip("[]"))
        except ValueError:
            raise Refused(f"command line: --flow: {end} is {found[end]}, allowed: an IPv4 address, or an IPv6 address in brackets") from None
        parts[f"{end}_port"] = _number(found[f"{end}_port"], f"{end} port", 65535)
    if parts["source"].version != parts["destination"].version:
        raise Refused(f"command line: --flow: {found['source']} and {found['destination']} are of two families, allowed: one")
    protocol = found["protocol"]
    if protocol is not None and not protocol.isdigit() and protocol not in PROTOCOLS:
        raise Refused(f"command line: --flow: protocol is {protocol}, allowed: {', '.join(PROTOCOLS)} or 0..255")
    parts["protocol"] = PROTOCOLS.get(protocol or "") or _number(protocol, "protocol", 255)
    parts["vm"] = _number(found["vm"], "VM", 65535)
    return parts


def _bytes(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> np.ndarray:
    return np.frombuffer(address.packed.ljust(16, b"\0"), dtype=np.uint8)


def key_text(row: Any) -> str:
    """A row of flows in the form that --flow takes."""
    return _key_text(kept.key_of(row))


def _key_text(key: dict[str, Any]) -> str:
    """foreflow-explain's flow_key in that form."""
    source, destination = (f"[{key[end]}]" if key["l3"] == "ipv6" else key[end] for end in ("source", "destination"))
    protocol = next((name for name, number in PROTOCOLS.items() if number == key["ip_protocol"]), str(key["ip_protocol"]))
    return f"{source}:{key['source_port']}>{destination}:{key['destination_port']}/{protocol}@{key['vm']}"


def flows_of(run: Kept, key: dict[str, Any]) -> list[tuple[int, Any]]:
    """(number, row) of the flows that the key names. Refuses one that names none, with those that come near."""
    table = kept.rows_of(run, "flows", 0, None)
    layer = kept.value_of("flows", "l3", f"ipv{key['source'].version}")
    is_near = table["l3"] == layer
    for end in ("source", "destination"):
        is_near = is_near & (table[f"{end}_address"] == _bytes(key[end])).all(axis=1)
    is_it = is_near.copy()
    for column, value in (("source_port", key["source_port"]), ("destination_port", key["destination_port"]), ("ip_protocol", key["protocol"]), ("vm", key["vm"])):
        if value is not None:
            is_it &= table[column] == value
    if not is_it.any():
        near = [key_text(table[i]) for i in np.flatnonzero(is_near)[:5]]
        step = f"its flows between these addresses: {', '.join(near)}" if near else f"{len(table)} flows are in {run.trace}, none between these addresses"
        raise Refused(f"{run.folder}: no packet of that flow; {step}")
    return [(int(i), table[i]) for i in np.flatnonzero(is_it)]


def _decisions(run: Kept, flow: int) -> Any:
    """The flow's rows of decisions, in order."""
    found = []
    with h5py.File(run.trace) as file:
        table = file["decisions"]
        for start in range(0, len(table), ROWS):
            rows = table[start : start + ROWS]
            found.append(rows[rows["flow"] == flow])
    return np.concatenate(found) if found else np.empty(0)


def _configured(run: Kept, kind: str, number: int) -> dict[str, Any] | None:
    return next((rule for rule in run.resolved.get(kind, []) if rule["id"] == number), None)


def entry_in_words(told: dict[str, Any]) -> str | None:
    """What the device had of the flow before the packet came."""
    cache = told["cache"]
    if cache is None or told["verdict"]["reason"] == "not_offloaded":
        return None
    resident, last = cache["resident"], cache["last_use"]
    if resident is None:
        if last is None:
            return "the entry had never been wanted before"
        return (
            f"the entry is gone: last wanted {span(last['ns_ago'])} before by packet {last['packet']}; {last['other_entries_since']} other entries"
            f" were wanted since, the device holds {cache['capacity']} (evicted, or refused when it came)"
        )
    installed = "a prediction" if resident["cause"] == "predicted" else "a miss"
    if resident["ready_for_ns"] < 0:
        return f"the entry that {installed} asked for is on its way, ready in {span(-resident['ready_for_ns'])}"
    first = ", ahead of its first packet" if resident["unused_prediction"] else ""
    return f"the entry was installed by {installed}{first}, and has been ready for {span(resident['ready_for_ns'])}"


def gates_in_words(told: dict[str, Any]) -> list[str]:
    """Which gates stood between the prediction and the device, and whether they were open."""
    prediction = told["prediction"]
    if prediction is None:
        return []
    governor, destinations = prediction["governor"], prediction["destinations"]
    lines = [
        f"predicted {prediction['type']} at {prediction['confidence']:.2f}; the governor of the {governor['of']} is {'open' if governor['is_open'] else 'shut'}"
        f" (h {governor['hit_rate']:.3f}, h* {governor['break_even']:.3f}), so the tag was {'written' if prediction['tag_written'] else 'not written'}"
    ]
    held = [f"the governor of {names} is shut" for name, names in (("successor", "successors"), ("reply", "replies")) if not destinations[f"{name}_governor"]["is_open"]]
    held += [] if destinations["rehearsal_allows"] else ["rehearsal forbids them"]
    lines.append("entries ahead of packets: " + ("; ".join(held) if held else "all gates are open"))
    return lines


def _change(run: Kept, rows: Any, start: int, end: int, arrivals: dict[int, int]) -> dict[str, Any]:
    """Rows start to end - 1 were decided alike."""
    row = rows[start]
    reason = kept.in_words("decisions", "reason", row["reason"])
    numbers = {kind: None if int(row[kind]) == kept.NONE else int(row[kind]) for kind in ("rule", "tag_rule")}
    sentence = REASONS[reason].format(**{kind: "none" if value is None else value for kind, value in numbers.items()})
    if reason == "cache_hit" and row["used_prediction"]:
        sentence += ", which a prediction had installed"
    return {
        "packet": int(row["packet"]),
        "time_ns": arrivals[int(row["packet"])],
        "packets": end - start,
        "verb": kept.in_words("decisions", "verb", row["verb"]),
        "reason": reason,
        "on_fast_path": reason in FAST and not row["punted"],
        "why": sentence,
        "tag": kept.in_words("decisions", "tag_status", row["tag_status"]),
        "tag_why": TAGS[kept.in_words("decisions", "tag_status", row["tag_status"])],
        "queue": int(row["queue"]),
        **{kind: value if value is None else {"id": value, "says": rule_in_words(_configured(run, f"{kind}s", value))} for kind, value in numbers.items()},
        "entry": None,
        "gates": [],
    }


def _arrivals(run: Kept, packets: list[int]) -> dict[int, int]:
    with h5py.File(run.trace) as file:
        table = file["packets"]
        return {packet: int(table[packet]["arrival_ns"]) for packet in packets}


def _flow_document(run: Kept, number: int, row: Any, causes: bool) -> dict[str, Any]:
    rows = _decisions(run, number)
    differs = np.zeros(len(rows), dtype=bool)
    differs[0] = True
    for column in SAME:
        differs[1:] |= rows[column][1:] != rows[column][:-1]
    starts = np.flatnonzero(differs).tolist()
    arrivals = _arrivals(run, [int(rows["packet"][start]) for start in starts])
    changes = [_change(run, rows, start, end, arrivals) for start, end in zip(starts, [*starts[1:], len(rows)])]
    counts = {name: 0 for name in REASONS}
    for value, count in zip(*np.unique(rows["reason"], return_counts=True)):
        counts[kept.in_words("decisions", "reason", value)] += int(count)
    told_of = changes if len(changes) <= CHANGES else [*changes[: CHANGES // 2], *changes[-CHANGES // 2 :]]
    if causes:
        for change, told in zip(told_of, kept.explained(run, [change["packet"] for change in told_of])):
            change["entry"] = entry_in_words(told)
            change["gates"] = gates_in_words(told)
    since = next((i for i in range(len(changes) - 1, -1, -1) if changes[i]["on_fast_path"] != changes[-1]["on_fast_path"]), -1) + 1
    return {
        "flow": key_text(row),
        "vm": int(row["vm"]),
        "packets": int(row["packets"]),
        "bytes": int(row["bytes"]),
        "first_ns": int(row["first_ns"]),
        "last_ns": int(row["last_ns"]),
        "punted": int(rows["punted"].sum()),
        "used_predictions": int(rows["used_prediction"].sum()),
        "reasons": {name: count for name, count in counts.items() if count},
        "on_fast_path": changes[-1]["on_fast_path"],
        "since_ns": changes[since]["time_ns"],
        "since_packet": changes[since]["packet"],
        "changes": changes,
    }


def _carried_flows(run: Kept, key: dict[str, Any]) -> list[dict[str, Any]]:
    """What it came to, by flow that the key names, for packets that units carried. Refuses a key that names none."""
    flows: dict[str, list[dict[str, Any]]] = {}
    near: dict[str, None] = {}
    for packet in kept.carried(run, [], everything=True)["packets"]:
        told = packet["flow_key"]
        if told is None or told["l3"] != f"ipv{key['source'].version}" or any(ipaddress.ip_address(told[end]) != key[end] for end in ("source", "destination")):
            continue
        name = _key_text(told)
        near[name] = None
        wanted = (("source_port", key["source_port"]), ("destination_port", key["destination_port"]), ("ip_protocol", key["protocol"]), ("vm", key["vm"]))
        if all(value is None or told[part] == value for part, value in wanted):
            flows.setdefault(name, []).append(packet)
    if not flows:
        step = f"its flows between these addresses: {', '.join(list(near)[:5])}" if near else "none of its flows is between these addresses"
        raise Refused(f"{run.folder}: no packet of that flow; {step}")
    arrivals = kept.rows_of(run, "packets", 0, None)["arrival_ns"]
    return [lives.flow_document(name, packets, arrivals) for name, packets in flows.items()]


def document_of(run: Kept, flow: str) -> dict[str, Any]:
    """The document of `why --json`."""
    if run.has_units:
        return {"run": str(run.folder), "door": run.door, "causes_missing": None, "flows": _carried_flows(run, parse_key(flow))}
    found = flows_of(run, parse_key(flow))
    try:
        kept.check_inputs(run)
        causes = None
    except Refused as refused:
        causes = str(refused)
    return {
        "run": str(run.folder),
        "door": run.door,
        "causes_missing": causes,
        "flows": [_flow_document(run, number, row, causes is None) for number, row in found],
    }


def text_of(document: dict[str, Any]) -> str:
    """The document as people read it."""
    lines = []
    for flow in document["flows"]:
        if "stories" in flow:
            lines += [*lives.flow_text(flow, CHANGES), ""]
            continue
        state = "on the fast path" if flow["on_fast_path"] else "off the fast path"
        lines += [
            f"{flow['flow']}: {flow['packets']} packets, {flow['bytes']} bytes in {span(flow['last_ns'] - flow['first_ns'])}",
            f"  {state} since packet {flow['since_packet']} ({span(flow['since_ns'])}); {flow['punted']} of {flow['packets']} packets punted,"
            f" {flow['used_predictions']} first uses of predicted entries",
            "",
        ]
        lines += [f"  {count:>8}  {reason:<14} {REASONS[reason].format(rule='N', tag_rule='N')}" for reason, count in sorted(flow["reasons"].items(), key=lambda item: -item[1])]
        changes = flow["changes"]
        lines += ["", f"  {len(changes)} changes:"]
        shown = changes if len(changes) <= CHANGES else [*changes[: CHANGES // 2], None, *changes[-CHANGES // 2 :]]
        for change in shown:
            if change is None:
                lines.append(f"  ... {len(changes) - CHANGES} more (--json has all)")
                continue
            alike = f" (and {change['packets'] - 1} more alike)" if change["packets"] > 1 else ""
            lines.append(f"  packet {change['packet']}, {span(change['time_ns'])}{alike}: {change['why']}; queue {change['queue']}")
            for kind, name in (("rule", "rule"), ("tag_rule", "tag rule")):
                if change[kind] is not None:
                    lines.append(f"      {name} {change[kind]['says']}")
            if change["tag"] != "absent":
                lines.append(f"      {change['tag_why']}")
            lines += [f"      {line}" for line in ([change["entry"]] if change["entry"] else []) + change["gates"]]
        lines.append("")
    if document["causes_missing"]:
        lines.append(f"What the device and the predictor held is not told: {document['causes_missing']}")
    return "\n".join(lines).rstrip()
