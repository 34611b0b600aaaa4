# SPDX-License-Identifier: BSD-3-Clause
"""foreflow-dataset from the outside: every truth again, naively, from what tshark reads; splits, bytes, refusals."""

from __future__ import annotations

import bisect
import gzip
import math
import os
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

h5py = pytest.importorskip("h5py")
np = pytest.importorskip("numpy")

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "datasets" / "recorded" / "recorded.pcapng"
BUILD = os.environ.get("FOREFLOW_BUILD")
pytestmark = pytest.mark.skipif(not BUILD, reason="FOREFLOW_BUILD names no build")

TASKS = ("next-type", "next-destination", "flow-size", "next-packet")
HORIZON = 200_000_000
PACKETS = 9_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def make(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(str(BUILD)) / "bindings" / "foreflow-dataset"
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


@pytest.fixture(name="capture", scope="module")
def _capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dataset") / "part.pcapng"
    # The reference below knows no IPv6, and takes records as they come: the recorder noted some out of order.
    sorted_, kept = path.with_name("sorted.pcapng"), path.with_name("ipv4.pcapng")
    subprocess.run(["reordercap", str(RECORDED), str(sorted_)], check=True, capture_output=True)
    subprocess.run(["tshark", "-n", "-r", str(sorted_), "-Y", "!ipv6", "-w", str(kept)], check=True, capture_output=True)
    subprocess.run(["editcap", "-r", str(kept), str(path), f"1-{PACKETS}"], check=True, capture_output=True)
    return path


@pytest.fixture(name="made", scope="module")
def _made(capture: Path) -> dict[str, Any]:
    files = {}
    for task in TASKS:
        path = capture.with_name(f"{task}.h5")
        done = make(task, "--out", path, "--held-out", capture)  # so that nothing is masked by slices
        assert done.returncode == 0, done.stderr
        files[task] = h5py.File(path)
    return files


@dataclass
class Packet:
    time: int
    vm: int
    conversation: tuple[Any, ...]
    forward: bool  # from the conversation's lower endpoint
    protocol: int  # of IP; -1 without
    ports: tuple[int, int]
    target: tuple[Any, ...]
    group: bool
    length: int
    payload: int
    flags: int
    header: tuple[Any, ...]
    ttl: int
    identification: int
    window: int
    sequence: int
    acknowledgement: int
    type: str = ""

    @property
    def data(self) -> bool:
        return self.payload > 0 and self.protocol not in (-1, 1, 2, 58) and not (self.protocol == 6 and self.flags & RST)


@pytest.fixture(name="packets", scope="module")
def _packets(capture: Path) -> list[Packet]:
    names = ["frame.time_epoch", "frame.len", "eth.src", "eth.dst", "eth.type", "ip.src", "ip.dst", "ip.proto", "ip.id", "ip.ttl",
             "ip.dsfield", "ip.hdr_len", "ip.len", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport", "tcp.flags",
             "tcp.seq_raw", "tcp.ack_raw", "tcp.window_size_value", "tcp.hdr_len"]  # fmt: skip
    command = ["tshark", "-n", "-r", str(capture), "-T", "fields"] + [part for name in names for part in ("-e", name)]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    vms: dict[str, int] = {}
    packets = []
    first = 0
    for line in output.splitlines():
        row = dict(zip(names, line.split("\t"), strict=True))
        seconds, fraction = row["frame.time_epoch"].split(".")
        time = int(seconds) * 10**9 + int(fraction)
        first = first or time
        number = {name: int(value.split(",")[0], 0) if value else 0 for name, value in row.items() if name not in ("frame.time_epoch", "eth.src", "eth.dst", "ip.src", "ip.dst")}
        vm = vms.setdefault(row["eth.src"], len(vms) + 1)
        group = bool(int(row["eth.dst"][:2], 16) & 1)
        source, destination = row["ip.src"].split(",")[0], row["ip.dst"].split(",")[0]
        assert row["eth.type"] in ("0x0800", "0x0806"), "the reference knows IPv4 and ARP"
        if not source:  # ARP
            ends = (row["eth.src"], 0), (row["eth.dst"], 0)
            packets.append(Packet(time - first, vm, ("arp", *sorted(ends)), ends[0] < ends[1], -1, (0, 0), ("arp", row["eth.dst"]), group,
                                  number["frame.len"], 0, 0, (), 0, -1, 0, 0, 0))  # fmt: skip
            continue
        protocol = number["ip.proto"]
        ports = (number["tcp.srcport"] or number["udp.srcport"], number["tcp.dstport"] or number["udp.dstport"])
        assert protocol in (2, 6, 17), "the reference knows IGMP, TCP and UDP"
        network = bytes(map(int, source.split("."))), bytes(map(int, destination.split(".")))
        ends = (network[0], ports[0]), (network[1], ports[1])
        headers = number["ip.hdr_len"] + {6: number["tcp.hdr_len"], 17: 8}.get(protocol, 0)
        packets.append(Packet(
            time - first, vm, (protocol, *sorted(ends)), ends[0] < ends[1], protocol, ports, (network[1], protocol, min(ports)), group,
            number["frame.len"], number["ip.len"] - headers, number["tcp.flags"] & 0xFF,
            (ends[0] < ends[1], 14 + headers, number["tcp.flags"] & 0xFF & ~PSH, number["ip.ttl"], number["ip.dsfield"]),
            number["ip.ttl"], number["ip.id"], number["tcp.window_size_value"], number["tcp.seq_raw"], number["tcp.ack_raw"],
        ))  # fmt: skip
    _label(packets)
    return packets


def _label(packets: list[Packet]) -> None:
    """The table of labeler.h, by looking at whole lists."""
    data: dict[Any, list[tuple[int, int]]] = defaultdict(list)
    sent: dict[int, list[int]] = defaultdict(list)
    for packet in packets:
        sent[packet.vm].append(packet.time)
        if packet.data and not packet.group:
            data[packet.conversation, packet.forward].append((packet.time, packet.payload))

    def window(key: Any, time: int) -> list[int]:
        return [payload for at, payload in data[key][bisect.bisect_left(data[key], (time - HORIZON, 0)) :] if at <= time + HORIZON] if key in data else []

    opener: dict[Any, bool] = {}
    handshake: set[Any] = set()
    last_data: dict[Any, int] = {}
    place: dict[int, int] = defaultdict(int)
    for packet in packets:
        time, vm, conversation = packet.time, packet.vm, packet.conversation
        before, place[vm] = place[vm], place[vm] + 1
        idle = before == 0 or time - sent[vm][before - 1] > HORIZON
        burst = bisect.bisect_right(sent[vm], time + HORIZON // 4) - before - 1
        syn = packet.protocol == 6 and packet.flags & SYN
        if not packet.group and (packet.data or syn):
            if syn:
                opener[conversation] = packet.forward != bool(packet.flags & ACK)
                handshake.add(conversation)
            elif conversation not in handshake and time - last_data.get(conversation, -HORIZON - 1) > HORIZON:
                opener[conversation] = packet.forward
            if packet.data:
                last_data[conversation] = time
        own, other = window((conversation, packet.forward), time), window((conversation, not packet.forward), time)
        if packet.group:
            packet.type = "group"
        elif idle and burst >= 8:
            packet.type = "idle_burst"
        elif not packet.data:
            packet.type = "control"
        elif sum(own) >= 16384 and sum(own) >= 512 * len(own):
            packet.type = "bulk"
        elif len(own) >= 4 and not other:
            packet.type = "stream"
        else:
            packet.type = "request" if opener[conversation] == packet.forward else "response"


def classes_of(file: Any, target: str) -> list[str]:
    names = [*file[f"targets/{target}"].attrs["classes"], "?"]
    return [names[value] for value in file[f"targets/{target}"][:]]


def size_class(payload: int) -> str:
    return ("none", "below_64", "below_512", "below_1200", "full")[bisect.bisect_right((1, 64, 512, 1200), payload)]


def gap_class(gap: int) -> str:
    edges = (100_000, 10**6, 10**7, 5 * 10**7, 2 * 10**8)
    return ("below_100us", "below_1ms", "below_10ms", "below_50ms", "below_200ms", "longer")[bisect.bisect_right(edges, gap)]


def test_rows_are_the_packets(made: dict[str, Any], packets: list[Packet]) -> None:
    for task in ("next-type", "next-packet"):
        rows = made[task]["rows"]
        assert rows["time_ns"][:].tolist() == [packet.time for packet in packets]
        assert rows["vm"][:].tolist() == [packet.vm for packet in packets]
        number: dict[Any, int] = {}
        expected = [number.setdefault(packet.conversation, len(number)) for packet in packets]
        assert rows["sequence"][:].tolist() == expected


def test_types_and_what_the_vm_does_next(made: dict[str, Any], packets: list[Packet]) -> None:
    file = made["next-type"]
    assert classes_of(file, "type") == [packet.type for packet in packets]
    assert len({packet.type for packet in packets}) >= 6
    following: dict[int, Packet] = {}
    expected = {name: [] for name in ("next_type", "next_size", "next_gap")}
    due = []
    for packet in reversed(packets):
        then = following.get(packet.vm)
        expected["next_type"].append(then.type if then else "?")
        expected["next_size"].append(size_class(then.payload) if then else "?")
        expected["next_gap"].append(gap_class(then.time - packet.time) if then else "?")
        due.append(then.time if then else -1)
        following[packet.vm] = packet
    for name, values in expected.items():
        assert classes_of(file, name) == values[::-1], name
    assert file["rows/next_time_ns"][:].tolist() == due[::-1]
    assert file["rows/resolved_ns"][:].tolist() == [packet.time + HORIZON for packet in packets]


def test_next_packets_of_a_conversation(made: dict[str, Any], packets: list[Packet]) -> None:
    file = made["next-packet"]
    following: dict[Any, Packet] = {}
    expected = {name: [] for name in ("next_direction", "next_size", "next_gap")}
    for packet in reversed(packets):
        then = following.get(packet.conversation)
        expected["next_direction"].append("?" if not then else "same" if then.forward == packet.forward else "other")
        expected["next_size"].append(size_class(then.payload) if then else "?")
        expected["next_gap"].append(gap_class(then.time - packet.time) if then else "?")
        following[packet.conversation] = packet
    for name, values in expected.items():
        assert classes_of(file, name) == values[::-1], name

    history: dict[Any, list[Packet]] = defaultdict(list)
    typed: dict[int, dict[str, str]] = {}
    row_before: dict[Any, int] = {}
    for row, packet in enumerate(packets):
        if packet.conversation in row_before:
            typed[row_before[packet.conversation]] = field_types(packet, history[packet.conversation])
        row_before[packet.conversation] = row
        history[packet.conversation].append(packet)
    for field in ("flags", "ttl", "window", "identification", "sequence", "acknowledgement"):
        assert classes_of(file, f"field_{field}") == [typed.get(row, {}).get(field, "?") for row in range(len(packets))], field


def end_of(packet: Packet) -> int:
    return (packet.sequence + packet.payload + bool(packet.flags & SYN) + bool(packet.flags & FIN)) % 2**32


def distance(a: int, b: int) -> int:
    return min((a - b) % 2**32, (b - a) % 2**32)


def field_types(packet: Packet, before: list[Packet]) -> dict[str, str]:
    own = [each for each in before if each.forward == packet.forward]
    if not own or packet.protocol == -1:
        return {}
    last = own[-1]
    step = (packet.identification - last.identification) % 2**16
    kinds = {
        "ttl": "static" if packet.ttl == last.ttl else "random",
        "identification": {0: "static", 1: "inferred"}.get(step, "delta" if step < 256 else "random"),
    }
    if packet.protocol != 6:
        return kinds
    other_end = None
    for each in before:
        if each.forward != packet.forward and (other_end is None or (end_of(each) - other_end) % 2**32 < 2**31):
            other_end = end_of(each)
    kinds["flags"] = "static" if packet.flags == last.flags else "random"
    change = abs(packet.window - last.window)
    kinds["window"] = "static" if change == 0 else "delta" if change <= last.window // 8 else "random"
    ahead = distance(packet.sequence, end_of(last))
    kinds["sequence"] = "inferred" if ahead == 0 else "delta" if ahead <= 2**16 else "random"
    if packet.acknowledgement == last.acknowledgement:
        kinds["acknowledgement"] = "static"
    elif packet.acknowledgement == other_end:
        kinds["acknowledgement"] = "inferred"
    else:
        kinds["acknowledgement"] = "delta" if distance(packet.acknowledgement, last.acknowledgement) <= 2**16 else "random"
    return kinds


def test_destinations(made: dict[str, Any], packets: list[Packet]) -> None:
    file = made["next-destination"]
    number: dict[Any, int] = {}
    turns: dict[int, list[tuple[int, int]]] = defaultdict(list)
    rows = []
    for packet in packets:
        if packet.group:
            continue
        to = number.setdefault(packet.target, len(number))
        if not turns[packet.vm] or turns[packet.vm][-1][1] != to:
            turns[packet.vm].append((packet.time, to))
            rows.append((packet.time, packet.vm, len(turns[packet.vm]) - 1))
    assert list(zip(file["rows/time_ns"][:].tolist(), file["rows/vm"][:].tolist())) == [(time, vm) for time, vm, _ in rows]
    known = [f"destination_{i}" if i < 126 else "later" for i in range(len(number))]
    destinations, ranks = [], []
    for _, vm, place in rows:
        walk = [to for _, to in turns[vm]]
        if place + 1 == len(walk):
            destinations.append("?")
            ranks.append("?")
            continue
        then = walk[place + 1]
        destinations.append(known[then])
        since = None
        for back in range(place - 1, -1, -1):
            if walk[back] == then:
                since = len(set(walk[back + 1 : place]) - {walk[place]})
                break
        ranks.append(f"rank_{since}" if since is not None and since < 15 else "older_or_new")
    assert classes_of(file, "next_destination") == destinations
    assert classes_of(file, "next_rank") == ranks


def test_flows(made: dict[str, Any], packets: list[Packet]) -> None:
    file = made["flow-size"]
    flows: list[list[Packet]] = []
    current: dict[Any, list[Packet]] = {}
    for packet in packets:
        own = current.get(packet.conversation)
        opens = packet.protocol == 6 and packet.flags & SYN and not packet.flags & ACK
        if own is None or packet.time - own[-1].time > 5 * 10**9 or (opens and closed(own)):
            own = current[packet.conversation] = []
            flows.append(own)
        own.append(packet)
    place = {id(packet): (number, i) for number, own in enumerate(flows) for i, packet in enumerate(own)}
    expected = []
    for packet in packets:
        number, i = place[id(packet)]
        expected += [(number, 0)] if i == 0 else []
        expected += [(number, i + 1)] if i < 20 else []
    assert list(zip(file["rows/sequence"][:].tolist(), file["rows/known_packets"][:].tolist())) == expected
    end = packets[-1].time
    values = {name: file[f"targets/{name}"][:] for name in ("size", "duration", "rate", "complexity", "criticality")}
    known = 0
    for row, (number, packets_known) in enumerate(expected):
        own = flows[number]
        finished = closed(own) or end - own[-1].time > 5 * 10**9
        if packets_known not in (0, 1, 5, 20) or not finished:
            assert all(math.isnan(column[row]) for column in values.values())
            continue
        known += 1
        size, duration = sum(each.length for each in own), own[-1].time - own[0].time
        truth = {
            "size": math.log2(size),
            "duration": math.log2(1 + duration / 1000),
            "rate": math.log2(8 * size / (max(duration, 10**6) * 1e-9)),
            "complexity": len({each.header for each in own}) if own[0].protocol != -1 else len({each.forward for each in own}),
            "criticality": sum(each.type in ("request", "response") for each in own) / len(own),
        }
        for name, value in truth.items():
            assert values[name][row] == pytest.approx(value, rel=1e-5, abs=1e-5), (name, row)
    assert known > 500


def closed(own: list[Packet]) -> bool:
    """Each side's FIN was acknowledged, or a RST was seen."""
    ends: dict[bool, int] = {}
    acknowledged = set()
    for packet in own:
        if packet.protocol != 6:
            return False
        if packet.flags & RST:
            return True
        if packet.flags & ACK and (not packet.forward) in ends and (packet.acknowledgement - ends[not packet.forward]) % 2**32 < 2**31:
            acknowledged.add(not packet.forward)
        if packet.flags & FIN:
            ends[packet.forward] = end_of(packet)
    return len(acknowledged) == 2


@pytest.mark.parametrize("task", TASKS)
def test_the_same_bytes_again_and_of_a_compressed_capture(task: str, capture: Path, tmp_path: Path) -> None:
    folder = tmp_path / "compressed"
    folder.mkdir()
    compressed = folder / capture.name
    compressed.write_bytes(gzip.compress(capture.read_bytes()))
    for name, source in (("a", capture), ("b", capture), ("c", compressed)):
        assert make(task, "--out", tmp_path / name, source).returncode == 0
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == (tmp_path / "c").read_bytes()


@pytest.mark.parametrize("task", TASKS)
def test_slices_do_not_know_of_each_other(task: str, capture: Path, made: dict[str, Any], tmp_path: Path) -> None:
    assert make(task, "--out", tmp_path / "x.h5", capture, "--held-out", capture).returncode == 0
    with h5py.File(tmp_path / "x.h5") as file:
        source, split, time = (file[f"rows/{name}"][:] for name in ("source", "split", "time_ns"))
        assert set(split[source == 1]) == {2}
        own = source == 0
        ends = [time[own & (split == each)].max() for each in (0, 1)]
        begins = [time[own & (split == each)].min() for each in (1, 2)]
        assert all(begin - end >= HORIZON for begin, end in zip(begins, ends))
        shares = [(own & (split == each)).sum() / own.sum() for each in (0, 1, 2)]
        assert shares == pytest.approx([0.6, 0.2, 0.2], abs=0.06)  # less what is dropped
        # What a capture that ends with the slice would not tell is unknown in it; all else is as in the whole.
        all_rows = made[task]
        bound = begins[0]
        whole_time, due = all_rows["rows/time_ns"][:], all_rows["rows/next_time_ns"][:]
        settled = {"next_type": due + HORIZON, "type": whole_time + HORIZON}
        for name, column in file["targets"].items():
            values, whole = column[:][own], all_rows[f"targets/{name}"][:]
            train = split[own] == 0
            known = values >= 0 if column.attrs["classes"].size else ~np.isnan(values)
            assert np.array_equal(values[known], whole[known])
            if task == "flow-size":
                late = all_rows["rows/resolved_ns"][:] >= bound
            else:
                late = settled.get(name, due) >= bound
            assert not (known & train & late).any(), name
            assert (known & train).any(), name
        # A row's state and inputs come from what was before it alone.
        early = np.flatnonzero(split[own] == 0)
        assert np.array_equal(file["rows/inputs"][:][own][early], all_rows["rows/inputs"][:][early])


def test_what_is_dropped_at_the_boundary_is_not_known_from_a_shorter_capture(capture: Path, tmp_path: Path) -> None:
    """The packets of the training slice alone give the same training labels of types, up to a horizon before its end."""
    assert make("next-type", "--out", tmp_path / "x.h5", capture).returncode == 0
    with h5py.File(tmp_path / "x.h5") as file:
        split, types = file["rows/split"][:], file["targets/type"][:]
    first_of_next = int(np.flatnonzero(split == 1)[0])
    subprocess.run(["editcap", "-r", str(capture), str(tmp_path / "cut.pcapng"), f"1-{first_of_next}"], check=True, capture_output=True)
    assert make("next-type", "--out", tmp_path / "y.h5", "--held-out", tmp_path / "cut.pcapng").returncode == 0
    with h5py.File(tmp_path / "y.h5") as file:
        cut = file["targets/type"][:]
    train = np.flatnonzero(split == 0)
    assert np.array_equal(types[train], cut[train])


REFUSALS = [
    (("soon", "x.h5", "C"), "command line: task is soon, allowed: next-type, next-destination, flow-size, next-packet"),
    (("next-type", "x.h5"), "command line: no capture is named; give at least one, or --held-out CAPTURE"),
    (("next-type", "no/x.h5", "C"), "no/x.h5: the dataset cannot be created: No such file or directory; name a file in a folder that exists"),
    (("next-type", "x.h5", "--horizon-ms", "0", "C"), "command line: --horizon-ms is 0.000000, allowed: above 0, up to 60000"),
    (("next-type", "x.h5", "--vms", "0", "C"), "command line: --vms is 0, allowed: 1 to 65535"),
    (("next-type", "x.h5", "no.pcap"), "no.pcap: "),
    (("fragment-fate", "x.h5", "C"), "command line: task is fragment-fate, which no capture tells"),
]


@pytest.mark.parametrize(("arguments", "sentence"), REFUSALS)
def test_refusals(arguments: tuple[str, ...], sentence: str, capture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    task, out, *rest = arguments
    done = make(task, "--out", out, *[str(capture) if word == "C" else word for word in rest])
    assert done.returncode == 2
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / out).exists()


def test_a_capture_without_traffic_is_refused(capture: Path, tmp_path: Path) -> None:
    subprocess.run(["editcap", "-r", str(capture), str(tmp_path / "none.pcapng"), "999999"], check=True, capture_output=True)
    done = make("next-type", "--out", tmp_path / "x.h5", tmp_path / "none.pcapng")
    assert done.returncode == 2
    assert "no packet in it gives a row of next-type" in done.stderr
