# SPDX-License-Identifier: BSD-3-Clause
"""One decision, every door: the same verdict stream from each, and a difference found where one was planted."""

from __future__ import annotations

import itertools
import json
import os
import random
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from foreflow import cli, config, inputs
from foreflow.doors import DOORS
from foreflow.errors import Refused
from foreflow.runs import runner
from foreflow.traces import diff, explain, kept, replays
from foreflow.traces.replays import Replay

h5py = pytest.importorskip("h5py")
scapy = pytest.importorskip("scapy.all")

BUILDS = {"sim": os.environ.get("FOREFLOW_BUILD"), "dpdk": os.environ.get("FOREFLOW_DPDK")}
pytestmark = pytest.mark.skipif(not BUILDS["sim"], reason="FOREFLOW_BUILD names no build")
BUILT = [name for name, door in DOORS.items() if BUILDS[door.preset]]
RECORDED = inputs.recorded()

CONFIGURATIONS = {
    "no tags": ("reactive", []),
    "tags with Markov": ("predictive", ["predictor=markov3"]),
    "a table": ("predictive", []),
    "tight flow cache": ("predictive", ["device.flow_entries=4"]),
    "lanes": ("predictive", ["device.lanes=4", "device.flow_entries=64"]),
    "a network": ("predictive", ["predictor=gru"]),
    "tiers on lanes": ("predictive", ["predictor=tiered", "prediction.conversations=64", "device.lanes=4"]),
}


@pytest.fixture(autouse=True)
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs are those that the suite was given: nothing is built here."""
    for module in (replays, kept):
        monkeypatch.setattr(module, "build", lambda preset, _targets: Path(str(BUILDS[preset])))


@pytest.fixture(name="odd", scope="module")
def _odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fragments, VLANs, ARP, IPv6, other links, cut and damaged packets, a clock that runs back and one long silence."""
    seed = secrets.randbits(32)
    print(f"odd capture: seed {seed}")
    draw = random.Random(seed)
    ether = scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    folder = tmp_path_factory.mktemp("odd")
    packets, time = [], 1_600_000_000.0
    for number in range(3000):
        time += draw.choice((0.0, 1e-6, 1e-5, 2e-4, 0.03)) - (0.001 if draw.random() < 0.01 else 0)
        if number == 2000:
            time += 120 * 24 * 3600
        source, destination = (f"10.0.0.{draw.randrange(1, 12)}" for _ in range(2))
        ip = scapy.IP(src=source, dst=destination) if draw.random() < 0.8 else scapy.IPv6(src=f"fd00::{draw.randrange(1, 9)}", dst="fd00::9")
        port = draw.choice((22, 53, 80, 443, 623, 5201, 11211))
        inner = draw.choice((
            scapy.UDP(sport=draw.randrange(1024, 9999), dport=port), scapy.TCP(sport=port, dport=draw.randrange(1024, 9999), flags="A"),
            scapy.TCP(sport=draw.randrange(1024, 9999), dport=port, flags="S"),
        )) / bytes(draw.randrange(1400))  # fmt: skip
        packet = ether.copy()
        packet.src = f"02:00:00:00:00:{draw.randrange(1, 12):02x}"
        kind = draw.random()
        if kind < 0.05:
            packet /= scapy.ARP(psrc=source, pdst=destination)
        elif kind < 0.10:
            packet /= scapy.Dot1Q(vlan=7) / ip / inner
        elif kind < 0.15 and isinstance(ip, scapy.IP):
            ip.frag, ip.flags = draw.randrange(3), draw.randrange(2)
            packet /= ip / inner
        else:
            packet /= ip / inner
        raw = bytes(packet)
        if kind > 0.97:
            raw = raw[: draw.randrange(len(raw))]
        elif kind > 0.94:
            at = draw.randrange(14, 34)
            raw = raw[:at] + bytes([draw.randrange(256)]) + raw[at + 1 :]
        written = scapy.Raw(raw)
        written.time, written.wirelen = time, max(len(raw), len(packet))
        packets.append(written)
    path = folder / "odd.pcap"
    scapy.wrpcap(str(path), packets[:2500], linktype=1)
    rest = folder / "raw.pcap"
    scapy.wrpcap(str(rest), [scapy.Raw(bytes(packet)[14:] or b"\0") for packet in packets[2500:]], linktype=101)
    both = folder / "odd.pcapng"
    subprocess.run(["mergecap", "-a", "-w", both, path, rest], check=True, capture_output=True)
    return both


def fingerprint(capture: Path, arm: str, overrides: list[str], door: str, workers: int, capfd: Any) -> str:
    """What the door's program prints on its last line."""
    capfd.readouterr()
    assert replays.show(Replay(capture, "tag", overrides, arm, door, workers), fingerprint=True, as_json=False) == 0, capfd.readouterr().err
    return capfd.readouterr().out.splitlines()[-1]


@pytest.mark.parametrize("which", ["recorded", "odd"])
@pytest.mark.parametrize("name", list(CONFIGURATIONS))
def test_every_door_and_any_number_of_workers_decide_alike(name: str, which: str, odd: Path, capfd: Any) -> None:
    arm, overrides = CONFIGURATIONS[name]
    capture = RECORDED if which == "recorded" else odd
    digests = {
        (door, workers): fingerprint(capture, arm, overrides, door, workers, capfd)
        for door, workers in itertools.product(BUILT, (1, 2))
    }
    assert len(set(digests.values())) == 1, digests


@pytest.mark.parametrize("lanes", [1, 4])
@pytest.mark.parametrize("arm", config.ARMS)
def test_every_arm_is_decided_alike(arm: str, lanes: int, odd: Path, capfd: Any) -> None:
    overrides = [f"device.lanes={lanes}", "device.flow_entries=16"]
    digests = {door: fingerprint(odd, arm, overrides, door, 2, capfd) for door in BUILT}
    assert len(set(digests.values())) == 1, digests


def test_configurations_are_told_apart(odd: Path, capfd: Any) -> None:
    """The digests above would not be worth much if they were always the same."""
    digests = {name: fingerprint(odd, *given, "pcap", 1, capfd) for name, given in CONFIGURATIONS.items()}
    assert len(set(digests.values())) == len(digests), digests


@pytest.fixture(name="keep")
def _keep(tmp_path: Path) -> Callable[..., Path]:
    """Keeps a replay in a folder."""
    numbers = itertools.count()

    def keep(capture: Path, overrides: list[str], door: str = "pcap", arm: str = "predictive", workers: int = 1) -> Path:
        out = tmp_path / f"run{next(numbers)}"
        assert replays.keep(Replay(capture, "tag", overrides, arm, door, workers), out, fingerprint=False, as_json=True) == 0
        return out

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


def test_kept_runs_of_all_doors_show_no_difference(keep: Callable[..., Path], odd: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    runs = [keep(odd, ["device.lanes=2"], door, workers=2) for door in BUILT]
    for a, b in itertools.combinations(runs, 2):
        code, out, err = command(monkeypatch, capfd, "diff", a, b)
        assert (code, out) == (0, "no difference in 3000 packets\n"), err
    for run in runs:
        manifest = json.loads((run / "manifest.json").read_text())
        assert manifest["exit"] == "done" and manifest["times"] == "recorded"
        assert manifest["fingerprint"] == json.loads((run / "summary.json").read_text())["fingerprint"]


@pytest.fixture(name="two_rules")
def _two_rules(tmp_path: Path) -> Iterator[Callable[[int, str], str]]:
    """Writes a rule set that forwards everything, and has a rule of its own for UDP to one port."""

    def write(port: int, verb: str) -> str:
        path = tmp_path / f"{verb}{port}.yaml"
        path.write_text(yaml.safe_dump({
            "meters": [], "tag_rules": [],
            "rules": [
                {"id": 5, "priority": 9, "protocol": "udp", "destination_port": [port, port], "action": {"verb": verb}},
                {"id": 9, "priority": 1, "action": {"verb": "forward"}},
            ],
        }))  # fmt: skip
        return f"ruleset={path}"

    yield write


@pytest.mark.parametrize("port", [53, 5201])
def test_a_changed_rule_is_found_where_tshark_finds_its_port(
    port: int, keep: Callable[..., Path], two_rules: Callable[[int, str], str], monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    a, b = keep(RECORDED, [two_rules(port, "forward")]), keep(RECORDED, [two_rules(port, "drop")], "ns3")
    listed = subprocess.run(
        ["tshark", "-r", RECORDED, "-Y", f"udp.dstport == {port} && !icmp", "-T", "fields", "-e", "frame.time_epoch", "-e", "frame.number"],
        capture_output=True, text=True, check=True,
    ).stdout.split("\n")  # fmt: skip
    first = min((line.split("\t") for line in listed if line), key=lambda fields: (fields[0], int(fields[1])))
    code, out, _ = command(monkeypatch, capfd, "diff", a, b, "--json")
    assert code == 1
    found = json.loads(out)
    assert found["explain"][0]["record"] == found["explain"][1]["record"] == int(first[1])
    assert found["differing"] == ["verb", "reason"], "and nothing else"
    assert found["columns"]["verb"] == ["forward", "drop"]
    assert found["config"] == {"rules.5.action.verb": ["forward", "drop"]}
    assert found["explain"][0]["flow_key"]["destination_port"] == port
    assert found["explain"][0]["rules"] == [5, 9]
    assert [told["check"] for told in found["explain"]] == [[], []]
    code, out, _ = command(monkeypatch, capfd, "diff", a, b)
    assert code == 1
    assert f"packet {found['first']} is the first of 29805 that differs" in out
    assert "rules.5.action.verb: 'forward', 'drop'" in out


def test_a_flipped_byte_is_found_and_known_to_be_no_decision(
    keep: Callable[..., Path], odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    draw = random.Random(seed)
    a = keep(odd, [])
    for _ in range(5):
        b = tmp_path / "flipped"
        shutil.copytree(a, b)
        with h5py.File(b / "trace.h5", "r+") as trace:
            packet = draw.randrange(3000)
            column = draw.choice([name for name in trace["decisions"].dtype.names if name != "packet"])
            row = trace["decisions"][packet]
            row[column] ^= 1 << draw.randrange(8)
            trace["decisions"][packet] = row
        code, out, err = command(monkeypatch, capfd, "diff", a, b, "--json")
        assert code == 1, err
        found = json.loads(out)
        assert (found["first"], found["differing"]) == (packet, [column]), seed
        assert found["explain"][0]["check"] == [] and len(found["explain"][1]["check"]) == 1
        assert found["config"] == {}
        code, out, err = command(monkeypatch, capfd, "explain", b, "--packet", str(packet))
        assert code == 1 and f"DIFFERS from what the run recorded: {column}: recorded" in out, (seed, out)
        assert command(monkeypatch, capfd, "explain", a, "--packet", str(packet))[0] == 0
        shutil.rmtree(b)


def test_a_changed_prediction_is_found(keep: Callable[..., Path], odd: Path, tmp_path: Path) -> None:
    a = keep(RECORDED, [])
    b = tmp_path / "changed"
    shutil.copytree(a, b)
    with h5py.File(b / "trace.h5", "r+") as trace:
        row = trace["predictions"][-7]
        row["confidence"] ^= 1
        trace["predictions"][-7] = row
    found = diff.compare(kept.open_run(a), kept.open_run(b))
    assert (found["first"], found["differing"]) == (int(row["packet"]), ["confidence"])


def test_what_cannot_be_compared_is_refused(
    keep: Callable[..., Path], odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    a, other = keep(odd, []), keep(RECORDED, [])

    def refused(*words: str | Path) -> str:
        code, out, err = command(monkeypatch, capfd, *words)
        assert (code, out, err.count("\n")) == (2, "", 1), (words, err)
        return err

    def spoiled(name: str, spoil: Callable[[Path], None]) -> Path:
        folder = tmp_path / name
        shutil.copytree(a, folder)
        spoil(folder)
        return folder

    def cut_rows(folder: Path) -> None:
        with h5py.File(folder / "trace.h5", "r+") as trace:
            trace["decisions"].resize((2000,))

    def cut_bytes(folder: Path) -> None:
        trace = folder / "trace.h5"
        trace.write_bytes(trace.read_bytes()[: trace.stat().st_size // 2])

    assert "different captures" in refused("diff", a, other)
    assert "no such folder" in refused("diff", a, tmp_path / "nowhere")
    assert "RESOLVED.json: is missing" in refused("diff", tmp_path, a)
    assert "table decisions has 2000 rows, summary.json counts 3000" in refused("diff", a, spoiled("rows", cut_rows))
    assert "not a whole trace" in refused("explain", spoiled("bytes", cut_bytes), "--packet", "1")
    assert "cannot be read" in refused("diff", spoiled("text", lambda folder: (folder / "manifest.json").write_text("{")), a)
    assert "packet 3000; allowed is 0 to 2999" in refused("explain", a, "--packet", "3000")
    assert "is there already" in refused("replay", odd, "--out", a)
    assert "--loop 2 with --door ns3" in refused("replay", odd, "--door", "ns3", "--loop", "2")
    assert "leave --loop or --out out" in refused("replay", odd, "--loop", "2", "--out", tmp_path / "looped")

    def forget(folder: Path) -> None:
        resolved = json.loads((folder / "RESOLVED.json").read_text())
        (folder / "RESOLVED.json").write_text(json.dumps({**resolved, "input": "/nowhere.pcap"}))

    with pytest.raises(Refused, match="/nowhere.pcap: the capture .* is gone"):
        explain.document_of(kept.open_run(spoiled("moved", forget)), 1)


@pytest.mark.parametrize("arm", config.ARMS)
@pytest.mark.parametrize("door", BUILT)
def test_explain_decides_again_what_every_arm_and_door_recorded(arm: str, door: str, keep: Callable[..., Path], odd: Path) -> None:
    run = kept.open_run(keep(odd, ["device.lanes=2", "device.flow_entries=8"], door, arm, 2))
    for packet in (700, 2999):
        told = explain.document_of(run, packet)
        assert told["check"] == [], (packet, told)
        assert told["packet"] == packet
        text = explain.text_of(told)
        assert "decided again as the run recorded it" in text
        if told["prediction"] is not None:
            assert sum(told["prediction"]["probabilities"].values()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("arm", "seed"), [("predictive", 3), ("oracle", 2), ("off", 1)])
def test_explain_decides_again_what_a_scenario_recorded(arm: str, seed: int, odd: Path, tmp_path: Path) -> None:
    """At times scaled to the load, in the order that the seed chose, with the cycles that the simulator charged."""
    binary = Path(str(BUILDS["sim"])) / "scenarios" / "foreflow-run"
    results = runner.run_all([runner.plan(config.resolve("tag", ["load=0.7"]), arm, seed, odd, binary)], binary, tmp_path)
    run = kept.open_run(results[0].folder)
    assert (run.times, run.door) == ("load", "ns3")
    for packet in (0, 1500, 2999):
        assert explain.document_of(run, packet)["check"] == [], packet


def test_explain_agrees_with_an_independent_reader(keep: Callable[..., Path]) -> None:
    run = kept.open_run(keep(RECORDED, []))
    for packet in (3, 5000):
        told = explain.document_of(run, packet)
        fields = ("frame.len", "frame.cap_len", "eth.src", "eth.dst", "ip.src", "ip.dst", "udp.dstport", "tcp.dstport")
        read = subprocess.run(
            ["tshark", "-r", RECORDED, "-c", str(told["record"]), "-T", "fields", *itertools.chain(*(("-e", name) for name in fields))],
            capture_output=True, text=True, check=True,
        ).stdout.rstrip("\n").splitlines()[-1].split("\t")  # fmt: skip
        seen = dict(itertools.zip_longest(fields, read, fillvalue=""))
        arrival, packet_of = told["arrival"], told["dissected"]
        assert [str(arrival["wire_bytes"]), str(arrival["captured_bytes"])] == [seen["frame.len"], seen["frame.cap_len"]]
        assert [packet_of["source_mac"], packet_of["destination_mac"]] == [seen["eth.src"], seen["eth.dst"]]
        if packet_of["l3"] == "ipv4":
            assert [packet_of["source"], packet_of["destination"]] == [seen["ip.src"], seen["ip.dst"]]
        if packet_of["l4"] in ("tcp", "udp"):
            assert str(packet_of["destination_port"]) == seen[f"{packet_of['l4']}.dstport"]
