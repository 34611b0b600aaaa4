# SPDX-License-Identifier: BSD-3-Clause
"""Packets between two packet dynamics units: `explain`, `diff` and `why` against counters, the wire and planted differences."""

from __future__ import annotations

import collections
import itertools
import json
import os
import random
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from foreflow import cli
from foreflow.doors import DOORS
from foreflow.errors import Refused
from foreflow.traces import diff, explain, kept, lives, replays, why
from foreflow.traces.replays import Replay

h5py = pytest.importorskip("h5py")
scapy = pytest.importorskip("scapy.all")

BUILDS = {"sim": os.environ.get("FOREFLOW_BUILD"), "dpdk": os.environ.get("FOREFLOW_DPDK")}
pytestmark = pytest.mark.skipif(not BUILDS["sim"], reason="FOREFLOW_BUILD names no build")
BUILT = [name for name, door in DOORS.items() if BUILDS[door.preset]]
PACKETS = 600
FLOW = "10.0.0.1:1007>10.0.0.9:9/udp"

# All that a network can do, and a repair for what it does.
ROUGH = {
    "unit": {"preference": "robustness", "repair": "preferred", "gaps": {"rule": "learned"}, "path_weights": [1, 1], "path_rule": "fragment"},
    "network": {"paths": [
        {"delay_us": 1000, "jitter_us": 50, "loss": 0.03, "burst": {"to_bad": 0.02, "to_good": 0.3}, "late": 0.05, "late_most_us": 900, "duplicate": 0.02, "corrupt": 0.02},
        {"delay_us": 1500, "loss": 0.05},
    ]},
}  # fmt: skip


def lossy(**unit: Any) -> dict[str, Any]:
    """One path that loses one datagram in twenty and does nothing else."""
    return {"unit": unit, "network": {"paths": [{"delay_us": 1000, "loss": 0.05}]}}


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs are those that the suite was given: nothing is built here."""
    for module in (replays, kept):
        monkeypatch.setattr(module, "build", lambda preset, _targets: Path(str(BUILDS[preset])))


@pytest.fixture(name="capture", scope="module")
def _capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Frames of random sizes, and some that no unit takes: cut short, or without an Ethernet header."""
    seed = secrets.randbits(32)
    print(f"capture: seed {seed}")
    draw = random.Random(seed)
    packets, time = [], 1_700_000_000.0
    for number in range(PACKETS):
        time += draw.choice((0.0002, 0.0003, 0.0005))
        frame = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:09") / scapy.IP(src="10.0.0.1", dst="10.0.0.9") / scapy.UDP(sport=1000 + number % 20, dport=9)
        raw = bytes(frame / bytes(draw.randrange(1400)))
        written = scapy.Raw(raw[:40] if number % 97 == 5 else raw)
        written.time, written.wirelen = time, len(raw)
        packets.append(written)
    path = tmp_path_factory.mktemp("lives") / "frames.pcap"
    scapy.wrpcap(str(path), packets, linktype=1)
    return path


Keep = Callable[..., kept.Kept]


@pytest.fixture(name="keep")
def _keep(capture: Path, tmp_path: Path) -> Keep:
    """Keeps a replay through units."""
    numbers = itertools.count()

    def keep(shard: dict[str, Any], door: str = "pcap", **outputs: Path) -> kept.Kept:
        number = next(numbers)
        scenario = tmp_path / f"units{number}.yaml"
        scenario.write_text(json.dumps({"scenario": "units", "about": "frames through units", "shard": shard}))
        out = tmp_path / f"run{number}"
        assert replays.keep(Replay(capture, str(scenario), [], "reactive", door, **outputs), out, fingerprint=False, as_json=True) == 0
        return kept.open_run(out)

    return keep


def command(monkeypatch: pytest.MonkeyPatch, capfd: Any, *words: str | Path) -> tuple[int, str, str]:
    """The command line: exit code, standard output, standard error."""
    monkeypatch.setattr("sys.argv", ["foreflow", *map(str, words)])
    capfd.readouterr()
    code = 0
    try:
        cli.main()
    except SystemExit as leave:
        code = leave.code or 0
    out, err = capfd.readouterr()
    return code, out, err


def test_every_word_has_its_sentence() -> None:
    core = pytest.importorskip("foreflow_core")
    words = core.shard_words()
    told = {"verdict": lives.VERDICTS, "fate": lives.FATES, "end": lives.ENDS, "sending": lives.SENT, "asking": lives.ASKS}
    for name, sentences in told.items():
        wanted = [word for word in words[name] if word != "under_way"]
        assert list(sentences) == wanted, name
        assert len(set(sentences.values())) == len(sentences)


def test_lives_add_up_to_what_units_and_network_counted(keep: Keep) -> None:
    run = keep(ROUGH)
    carried = kept.carried(run, list(range(PACKETS)), everything=True)
    listed, told = carried["packets"], carried["told"]
    assert carried["fingerprint"] == run.summary["fingerprint"], "to be told of changes nothing"
    assert [packet["packet"] for packet in listed] == [packet["packet"] for packet in told] == list(range(PACKETS))
    ends = collections.Counter(packet["early"] or packet["fate"] for packet in listed)
    counted = run.summary["packets"]
    assert ends["out"] == counted["out"] and ends["truncated"] == counted["dropped"]["truncated"] > 0
    assert ends["lost"] == counted["dropped"].get("not_whole", 0)
    causes: collections.Counter[str] = collections.Counter()
    for packet in listed:
        causes.update(packet.get("causes", {}))
    sender, receiver = run.summary["shard"]["units"]
    assert causes["asked"] + causes["tail_probe"] == sender["sent"]["resent"] > 0
    assert causes["cut"] == sender["sent"]["data"] - sender["sent"]["resent"] == sum(packet.get("total", 0) for packet in listed)
    assert causes["repair"] == sender["sent"]["repairs"] > 0
    arrivals = [arrival for packet in told for datagram in packet["datagrams"] for arrival in datagram["arrivals"]]
    verdicts = collections.Counter(arrival["verdict"] for arrival in arrivals)
    of_parts = ("delivered", "held", "duplicate", "already_whole", "repair_unused", "too_late")
    assert {name: verdicts[name] for name in of_parts} == {name: receiver["verdicts"].get(name, 0) for name in of_parts}
    assert 0 < verdicts["forged"] <= receiver["verdicts"]["forged"]
    assert all(arrival["is_changed"] for arrival in arrivals if arrival["verdict"] == "forged")
    requests = [request for packet in told for request in packet["requests"]]
    assert 0 < len(requests) <= receiver["requests"]
    assert {request["nth"] > 1 for request in requests if request["cause"] == "again"} <= {True}
    # What was asked for was sent again only after it was heard, and within the tick in which it was.
    for packet in told:
        heard = {request["heard_ns"] for request in packet["requests"]}
        assert all(datagram["sent_ns"] in heard for datagram in packet["datagrams"] if datagram["cause"] == "asked"), packet["packet"]
        made = [arrival for datagram in packet["datagrams"] for arrival in datagram["arrivals"] if arrival["verdict"] == "delivered"]
        frame = packet["frame"]
        assert len(made) == (frame is not None and frame["fate"] == "out")
        assert not made or made[0]["at_ns"] == frame["took_ns"]


def test_a_life_is_what_the_wire_shows(keep: Keep, tmp_path: Path) -> None:
    core = pytest.importorskip("foreflow_core")
    run = keep(ROUGH, wire=tmp_path / "wire.pcapng")
    seen: dict[int, list[tuple[Any, ...]]] = collections.defaultdict(list)
    for frame in scapy.rdpcap(str(tmp_path / "wire.pcapng")):
        message = core.read_shard_message(bytes(frame[scapy.UDP].payload))
        if frame[scapy.IP].src == "192.0.2.1" and message["type"] in ("data", "repair"):
            seen[message["base"]].append((message["number"], message["index"], message["total"], message["epoch"], message["type"] == "repair", len(frame[scapy.UDP].payload), float(frame.time)))
    told = kept.carried(run, list(range(PACKETS)))["told"]
    assert len(seen) == sum(packet["frame"] is not None for packet in told)
    for packet in told:
        if packet["frame"] is None:
            continue
        found = seen[packet["frame"]["base"]]
        mine = [(d["number"], d["index"], packet["frame"]["total"], d["epoch"], d["cause"] == "repair", d["bytes"]) for d in packet["datagrams"]]
        assert mine == [row[:-1] for row in found]
        for datagram, row in zip(packet["datagrams"], found):
            assert row[-1] - found[0][-1] == pytest.approx(datagram["sent_ns"] / 1e9, abs=2e-6)


def test_every_door_tells_the_same(keep: Keep, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    runs = [keep(ROUGH, door) for door in BUILT]
    hurt = next(packet["packet"] for packet in kept.carried(runs[0], [], everything=True)["packets"] if packet.get("requests"))
    documents = [explain.document_of(run, hurt) for run in runs]
    apart = ("run", "door")
    assert len({json.dumps({key: value for key, value in document.items() if key not in apart}, sort_keys=True) for document in documents}) == 1
    assert all(document["check"] == [] for document in documents)
    reasons = [why.document_of(run, FLOW)["flows"] for run in runs]
    assert all(reason == reasons[0] for reason in reasons)
    for a, b in itertools.combinations(runs, 2):
        code, out, err = command(monkeypatch, capfd, "diff", a.folder, b.folder)
        assert (code, out) == (0, f"no difference in {PACKETS} packets\n"), err
    code, out, err = command(monkeypatch, capfd, "explain", runs[-1].folder, "--packet", str(hurt))
    assert code == 0, err
    assert "asked for" in out and "by rule learned" in out and out.endswith("check    carried again as the run recorded it\n")
    early = next(packet for packet in range(PACKETS) if packet % 97 == 5)
    code, out, _ = command(monkeypatch, capfd, "explain", runs[0].folder, "--packet", str(early))
    assert code == 0 and "never came to a unit: the capture cut it short" in out


def test_a_planted_wait_is_found_at_the_first_packet_that_was_lost(keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Two receivers that wait differently do alike with packets of which nothing is missing: which is the first that is, the wire says."""
    core = pytest.importorskip("foreflow_core")
    rules = [{"rule": "fixed", "wait_us": wait} for wait in (300, 900)]
    a = keep(lossy(gaps=rules[0], has_tail_probe=False), wire=tmp_path / "wire.pcapng")
    b = keep(lossy(gaps=rules[1], has_tail_probe=False), BUILT[-1])
    again = []
    for frame in scapy.rdpcap(str(tmp_path / "wire.pcapng")):
        message = core.read_shard_message(bytes(frame[scapy.UDP].payload))
        if frame[scapy.IP].src == "192.0.2.1" and message["type"] == "data" and message["number"] != message["base"] + message["index"]:
            again.append(message["base"])
    bases = {packet["base"]: packet["packet"] for packet in kept.carried(a, [], everything=True)["packets"] if packet["early"] is None}
    code, out, err = command(monkeypatch, capfd, "diff", a.folder, b.folder, "--json")
    assert code == 1, err
    found = json.loads(out)
    assert found["first"] == bases[min(again)]
    assert found["config"] == {"shard.unit.gaps.wait_us": [300, 900]}
    assert all("asked for by rule fixed: later numbers had come for" in event for event in found["why"]), found["why"]
    missing = [request["missing_ns"] for told in found["explain"] for request in told["requests"][:1]]
    assert 300_000 <= missing[0] <= 350_000 and 900_000 <= missing[1] <= 950_000, "the wait, up to the next tick of 50 us"
    assert [told["check"] for told in found["explain"]] == [[], []]
    code, out, _ = command(monkeypatch, capfd, "diff", a.folder, b.folder)
    assert code == 1 and f"packet {found['first']} is the first of {PACKETS} to which something else happened" in out
    assert found["why"][0] in out and "shard.unit.gaps.wait_us: 300, 900" in out


def test_a_planted_row_is_found_and_known_to_be_false(keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    packet = random.Random(seed).randrange(PACKETS)
    a = keep(lossy())
    b = tmp_path / "planted"
    shutil.copytree(a.folder, b)
    with h5py.File(b / "trace.h5", "r+") as trace:
        row = trace["packets"][packet]
        row["departure_ns"] ^= 1
        trace["packets"][packet] = row
    code, out, err = command(monkeypatch, capfd, "diff", a.folder, b, "--json")
    assert code == 1, err
    found = json.loads(out)
    assert (found["first"], found["differing"], found["why"], found["config"]) == (packet, ["departure_ns"], [], {})
    assert found["explain"][0]["check"] == [] and len(found["explain"][1]["check"]) == 1
    code, out, _ = command(monkeypatch, capfd, "explain", b, "--packet", str(packet))
    assert code == 1 and "DIFFERS from what the run recorded: departure_ns: recorded" in out
    # What no packet shows is not called the same.
    shutil.rmtree(b)
    shutil.copytree(a.folder, b)
    summary = json.loads((b / "summary.json").read_text())
    (b / "summary.json").write_text(json.dumps({**summary, "fingerprint": "0" * 64}))
    code, out, _ = command(monkeypatch, capfd, "diff", a.folder, b)
    assert code == 1 and out.startswith(f"no difference in what happened to {PACKETS} packets; what the units said")
    assert "fingerprint of the run: recorded 0000" in explain.document_of(kept.open_run(b), 0)["check"][0]


def test_why_tells_of_every_packet_of_a_flow(keep: Keep, capture: Path) -> None:
    run = keep(ROUGH)
    (flow,) = why.document_of(run, FLOW)["flows"]
    of_it = [number for number, frame in enumerate(scapy.rdpcap(str(capture))) if len(frame) >= 42 and frame[scapy.UDP].sport == 1007]
    assert flow["packets"] == len(of_it) == sum(flow["stories"].values()) == sum(change["packets"] for change in flow["changes"])
    with h5py.File(run.trace) as trace:
        rows = trace["packets"][:][of_it]
    took = (rows["departure_ns"] - rows["arrival_ns"])[rows["departure_ns"] >= 0]
    assert flow["out"] == len(took) and flow["took_ns"]["most"] == took.max()
    told = kept.carried(run, of_it)["told"]
    assert flow["requests"] == sum(len(packet["requests"]) for packet in told)
    for packet in told:  # made good by what came, not by what was only sent
        used = {datagram["cause"] for datagram in packet["datagrams"] for arrival in datagram["arrivals"] if arrival["verdict"] in ("held", "delivered")}
        change = next(change for change in reversed(flow["changes"]) if change["packet"] <= packet["packet"])
        assert ("asked for" in change["why"]) == ("asked" in used and packet["frame"]["fate"] == "out"), packet["packet"]
    starts = [change["packet"] for change in flow["changes"]]
    assert starts[0] == of_it[0] and set(starts) <= set(of_it)
    asked = "came out whole; some was lost or changed, asked for and sent again"
    text = why.text_of(why.document_of(run, "10.0.0.1>10.0.0.9"))
    assert asked in text and "came out whole; its repair made good" in text and "came out whole at once" in text
    with pytest.raises(Refused, match=r"its flows between these addresses: 10\.0\.0\.1:1000>10\.0\.0\.9:9/udp"):
        why.document_of(run, "10.0.0.1:1>10.0.0.9")
    with pytest.raises(Refused, match="none of its flows is between these addresses"):
        why.document_of(run, "10.0.0.2>10.0.0.9")


def test_what_cannot_be_told_is_refused(keep: Keep, capture: Path, tmp_path: Path) -> None:
    run = keep(lossy())
    decided = tmp_path / "decided"
    assert replays.keep(Replay(capture, "tag", [], "reactive", "pcap"), decided, fingerprint=False, as_json=True) == 0
    with pytest.raises(Refused, match="allowed are two of a kind"):
        diff.compare(run, kept.open_run(decided))
    with pytest.raises(Refused, match=f"packet {PACKETS}; allowed is 0 to {PACKETS - 1}"):
        explain.document_of(run, PACKETS)
    scenario = kept.Kept(run.folder, {key: value for key, value in run.resolved.items() if key != "shard"} | {"system": "shard"}, run.manifest, run.summary)
    for question in (lambda: explain.document_of(scenario, 0), lambda: why.document_of(scenario, FLOW)):
        with pytest.raises(Refused, match="a run of system shard"):
            question()
    assert diff.compare(scenario, scenario)["same"]
