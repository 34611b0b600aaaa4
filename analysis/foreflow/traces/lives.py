# SPDX-License-Identifier: BSD-3-Clause
"""What happened to packets between two packet dynamics units: carried again, and told in words."""

from __future__ import annotations

from typing import Any

import numpy as np

from foreflow.traces import kept
from foreflow.traces.kept import Kept, span

# Every verdict of a unit on a packet or a datagram, as the end of a sentence.
VERDICTS = {
    "sent": "taken",
    "empty": "refused: it has no bytes",
    "too_long": "refused: longer than is allowed",
    "no_session": "refused: the unit had no key for its peer",
    "key_spent": "refused: the key had sealed as much as it may",
    "delivered": "opened, and its packet was whole",
    "held": "opened, and kept until its packet is whole",
    "feedback": "opened: feedback",
    "old_feedback": "opened: feedback that a newer one had overtaken",
    "probe": "opened: a probe",
    "malformed": "refused: its headers contradict themselves",
    "unknown_session": "refused: of no session that is known",
    "unknown_epoch": "refused: of a key that is not there",
    "replayed": "refused: its number had come before",
    "stale": "refused: its number is older than what is remembered",
    "forged": "refused: its tag does not verify",
    "wrong_feedback": "opened: feedback that says what cannot be",
    "wrong_probe": "opened: a probe that says what cannot be",
    "duplicate": "opened, and not needed: this part was there",
    "already_whole": "opened, and not needed: its packet was whole before",
    "repair_unused": "opened, and not needed: a repair of a packet that was whole",
    "too_late": "opened, too late: its packet had been given up",
    "old_packet": "opened, too late: its packet is older than the ring",
    "conflict": "opened and refused: it contradicts its packet's first fragment",
    "mixed_epoch": "opened and refused: sealed by another key than its packet's first fragment",
    "too_many": "opened and refused: its packet has more fragments than are allowed",
    "too_small": "opened and refused: its packet's fragments are smaller than is allowed",
    "ecn_mixed": "opened, and its packet given up: some fragments are marked, some were sent without ECN",
}
# Every fate of a datagram in the network.
FATES = {
    "passed": "it passed",
    "too_large": "lost: larger than the path carries",
    "queue_full": "lost: the queue was full",
    "random_loss": "lost, by chance",
    "burst_loss": "lost, in a burst",
    "bit_errors": "lost: bit errors",
}
# Every way in which a frame ends.
ENDS = {
    "out": "came out whole",
    "refused": "was refused by the first unit",
    "marked": "was whole, and dropped: congestion was marked on the way, and its sender does not heed that",
    "lost": "never came out: some of it was lost and not made good in time",
}
EARLY = {
    "unknown_link": "never came to a unit: the link type carries no Ethernet frames",
    "truncated": "never came to a unit: the capture cut it short",
}
ASKS = {
    "gap": "asked for by rule {rule}: later numbers had come for {missing}",
    "early": "asked for by rule {rule}: later numbers had come for {missing}, and the predictor did not wait for the window of {window}",
    "tail": "asked for by rule {rule}: it was the last that its packet has, and nothing came after it",
    "again": "asked for again, time {nth}",
}
SENT = {
    "cut": "part {part} as number {number}",
    "asked": "part {part} again as number {number}, since it was asked for (first {original})",
    "tail_probe": "part {part} again as number {number}, since nothing had been heard of it for long (first {original})",
    "repair": "repair as number {number}",
}


def document_of(run: Kept, packet: int) -> dict[str, Any]:
    """The document of `explain --json`: foreflow-explain's, and `check`: in what it differs from what the run recorded."""
    carried = kept.carried(run, [packet])
    (told,) = carried["told"]
    row = kept.rows_of(run, "packets", packet, packet + 1)[0]
    frame, arrival = told["frame"], told["arrival"]
    out = -1 if frame is None or frame["fate"] != "out" else arrival["time_ns"] + frame["took_ns"]
    again = {"arrival_ns": arrival["time_ns"], "departure_ns": out, "vm": arrival["vm"], "wire_bytes": arrival["wire_bytes"]}
    differing = [f"{name}: recorded {row[name]}, carried again {value}" for name, value in again.items() if int(row[name]) != value]
    if carried["fingerprint"] != run.summary["fingerprint"]:
        differing.append(f"fingerprint of the run: recorded {run.summary['fingerprint']}, carried again {carried['fingerprint']}")
    return {
        "run": str(run.folder),
        "door": run.door,
        "times": run.times,
        **told,
        "rule": run.resolved["shard"].get("unit", {}).get("gaps", {}).get("rule", "rack"),
        "recorded": {name: int(row[name]) for name in ("arrival_ns", "departure_ns")},
        "check": differing,
    }


def _way(datagram: dict[str, Any]) -> str:
    """What became of a datagram, as it looks from where it was sent."""
    if datagram["fate"] != "passed":
        return FATES[datagram["fate"]]
    late = ", overtaken by others" if datagram["is_late"] else ""
    here = [
        f"there after {span(arrival['at_ns'] - datagram['sent_ns'])}{late}{', a byte changed' if arrival['is_changed'] else ''}: {VERDICTS[arrival['verdict']]}"
        for arrival in datagram["arrivals"]
    ]
    return "; a copy ".join(here) if here else "on its way when the run ended"


def events_of(told: dict[str, Any], rule: str) -> list[tuple[int, str]]:
    """(nanoseconds since it came in, sentence) of all that happened, in order of time."""
    events = []
    for datagram in told["datagrams"]:
        what = SENT[datagram["cause"]].format(part=datagram["index"], number=datagram["number"], original=datagram["original"])
        events.append((datagram["sent_ns"], f"{what}, {datagram['bytes']} B, epoch {datagram['epoch']}, path {datagram['path']}: {_way(datagram)}"))
    for request in told["requests"]:
        spans = {name: "no time" if request[f"{name}_ns"] is None else span(request[f"{name}_ns"]) for name in ("missing", "window")}
        what = ASKS[request["cause"]].format(rule=rule, nth=request["nth"], **spans)
        heard = "not heard" if request["heard_ns"] is None else f"heard after {span(request['heard_ns'] - request['sent_ns'])}"
        lost = "" if request["fate"] == "passed" else f" ({FATES[request['fate']]})"
        events.append((request["sent_ns"], f"number {request['number']} {what}; {heard}{lost}"))
    return sorted(events, key=lambda event: event[0])


def end_of(told: dict[str, Any]) -> str:
    """How it ended, in words."""
    if told["early"] is not None:
        return EARLY[told["early"]]
    frame = told["frame"]
    end = ENDS[frame["fate"]]
    if frame["fate"] == "refused":
        return f"{end}: {VERDICTS[frame['verdict']].removeprefix('refused: ')}"
    return end + ("" if frame["took_ns"] is None else f", {span(frame['took_ns'])} after it came in")


def text_of(document: dict[str, Any]) -> str:
    """The document as people read it."""
    lines = [f"Packet {document['packet']} of {document['run']} (door {document['door']}, recorded times, through packet dynamics units)"]
    arrival, frame = document["arrival"], document["frame"]
    shown = {name: value for name, value in document["dissected"].items() if value not in (0, False, "none", "", "00:00:00:00:00:00")}
    lines += [
        f"  record     {document['record']} of {document['capture'].rsplit('/', 1)[-1]}",
        f"  arrived    {arrival['time_ns']} ns after the first, from VM {arrival['vm']}; {arrival['wire_bytes']} bytes",
        "  dissected  " + ", ".join(f"{name} {value}" for name, value in shown.items()),
    ]
    if frame is not None and frame["total"]:
        numbers = sorted(datagram["number"] for datagram in document["datagrams"] if datagram["cause"] == "cut")
        parts = "whole, as number" if frame["total"] == 1 else f"in {frame['total']} parts, as numbers"
        lines.append(f"  cut        {parts} {', '.join(map(str, numbers))}")
    lines += [f"{span(time):>12}  {sentence}" for time, sentence in events_of(document, document["rule"])]
    lines.append(f"end      it {end_of(document)}")
    if document["check"]:
        lines.append("check    DIFFERS from what the run recorded: " + "; ".join(document["check"]))
    else:
        lines.append("check    carried again as the run recorded it")
    return "\n".join(lines)


def first_life(a: list[dict[str, Any]], b: list[dict[str, Any]]) -> int | None:
    """The first packet to which something else happened in b than in a."""
    return next((one["packet"] for one, other in zip(a, b) if one.get("life") != other.get("life")), None)


def differing_event(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """Of two explained packets, the first event that is not in both: the sentence of each, `nothing more` where one has ended."""
    one, other = ([f"{span(time)}: {sentence}" for time, sentence in events_of(told, told["rule"])] + [f"end: it {end_of(told)}"] for told in (a, b))
    for i in range(max(len(one), len(other))):
        pair = [events[i] if i < len(events) else "nothing more" for events in (one, other)]
        if pair[0] != pair[1]:
            return pair
    return []


def story_of(packet: dict[str, Any]) -> str:
    """What a packet came to, in words: packets with the same story are told of together."""
    if packet["early"] is not None or packet["fate"] in ("refused", "marked", "lost"):
        return end_of({**packet, "frame": packet | {"took_ns": None}})
    used = packet["used"]
    if not packet["lost"] and not packet["changed"]:
        story = "came out whole at once"
    elif "asked" in used:
        story = "came out whole; some was lost or changed, asked for and sent again"
    elif "tail_probe" in used:
        story = "came out whole; the last of it was lost or changed, and sent again unasked"
    elif "repair" in used:
        story = "came out whole; its repair made good what was lost or changed"
    else:
        story = "came out whole; what was lost or changed was not needed"
    return story + (", in spite of what was overtaken" if packet["late"] else "")


def flow_document(key: str, packets: list[dict[str, Any]], arrivals: Any) -> dict[str, Any]:
    """Of one flow of `why`: its packets, and where their story changes."""
    took = [packet["took_ns"] for packet in packets if packet.get("fate") == "out"]
    changes: list[dict[str, Any]] = []
    for packet in packets:
        story = story_of(packet)
        if changes and changes[-1]["why"] == story:
            changes[-1]["packets"] += 1
        else:
            changes.append({"packet": packet["packet"], "time_ns": int(arrivals[packet["packet"]]), "packets": 1, "why": story})
    stories: dict[str, int] = {}
    for change in changes:
        stories[change["why"]] = stories.get(change["why"], 0) + change["packets"]
    return {
        "flow": key,
        "packets": len(packets),
        "out": len(took),
        "requests": sum(packet.get("requests", 0) for packet in packets),
        "took_ns": {name: float(np.quantile(took, share)) if took else None for name, share in (("p50", 0.5), ("p99", 0.99), ("most", 1.0))},
        "stories": stories,
        "changes": changes,
    }


def flow_text(flow: dict[str, Any], most: int) -> list[str]:
    """One flow of `why` as people read it."""
    took = flow["took_ns"]
    times = "" if took["p50"] is None else f"; {span(took['p50'])} in the middle, {span(took['p99'])} at the 99th percentile, {span(took['most'])} at most"
    lines = [f"{flow['flow']}: {flow['packets']} packets, {flow['out']} came out, {flow['requests']} requests for parts of them{times}", ""]
    lines += [f"  {count:>8}  {story}" for story, count in sorted(flow["stories"].items(), key=lambda item: -item[1])]
    changes = flow["changes"]
    lines += ["", f"  {len(changes)} changes:"]
    for place, change in enumerate(changes):
        if len(changes) > most and most // 2 <= place < len(changes) - most // 2:
            if place == most // 2:
                lines.append(f"  ... {len(changes) - most} more (--json has all)")
            continue
        alike = f" (and {change['packets'] - 1} more alike)" if change["packets"] > 1 else ""
        lines.append(f"  packet {change['packet']}, {span(change['time_ns'])}{alike}: {change['why']}")
    return lines

