# SPDX-License-Identifier: BSD-3-Clause
"""foreflow-dpdk from the outside, on DPDK's software ports: what scapy reads before and after, counts, signals, refusals."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import random
import secrets
import select
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foreflow import config

h5py = pytest.importorskip("h5py")
scapy = pytest.importorskip("scapy.all")
GENEVE = pytest.importorskip("scapy.contrib.geneve").GENEVE

BUILD = os.environ.get("FOREFLOW_DPDK")
pytestmark = pytest.mark.skipif(not BUILD, reason="FOREFLOW_DPDK names no build")
PROGRAM = Path(str(BUILD)) / "bindings" / "foreflow-dpdk"
DENIED = 4444  # a port that the tests' own rule denies
MIRRORED = 4445


def eal(*ports: str, prefix: str | None = None) -> list[str]:
    """EAL arguments that need no rights and share nothing with a run beside this one."""
    name = prefix or "foreflow-test"
    shared = [] if prefix else ["--no-shconf", "--no-telemetry"]
    return ["--", "--no-huge", "-m", "512", "--no-pci", *shared, f"--file-prefix={name}", *(f"--vdev={port}" for port in ports)]


def resolved(path: Path, arm: str = "predictive", rules: list[dict[str, Any]] | None = None, **overrides: object) -> Path:
    words = [f"device.flow_entries={overrides.pop('flow_entries', 40)}", *(f"device.{key}={value}" for key, value in overrides.items())]
    document = config.resolved_for_run(config.resolve("tag", words), arm, 1, Path("-"), path.parent)
    if rules is not None:
        document["rules"] = rules
    path.write_text(json.dumps(document))
    return path


def rule(number: int, port: int | None, **action: object) -> dict[str, Any]:
    every = [0, 65535]
    return {
        "id": number, "priority": 0 if port is None else 10, "l3": "any", "vm": "any", "protocol": "any", "source": "any",
        "destination": "any", "source_port": every, "destination_port": every if port is None else [port, port],
        "action": {"verb": "forward", "mirror": False, "queue": None, "meter": None, **action},
    }  # fmt: skip


RULES = [rule(1, None), rule(2, DENIED, verb="drop"), rule(3, MIRRORED, mirror=True)]


def nic(configuration: Path, *arguments: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "nic", configuration, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=timeout
    )


def check_balance(report: dict[str, Any]) -> None:
    packets, copies = report["packets"], report["copies"]
    assert packets["in"] == packets["out"] + packets["held"] + sum(packets["dropped"].values())
    assert copies["made"] == copies["out"] + copies["held"] + copies["dropped"]
    assert sum(port["in"] for port in report["ports"]) == packets["in"]
    assert sum(port["out"] for port in report["ports"]) == packets["out"] + copies["out"]
    assert report["mbufs_lost"] == 0


@pytest.fixture(name="capture", scope="module")
def _capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole Ethernet frames at whole microseconds: what a net_pcap port can carry without loss."""
    seed = secrets.randbits(32)
    print(f"capture: seed {seed}")
    draw = random.Random(seed)
    packets, now = [], 1_700_000_000
    microseconds = 0
    for _ in range(3000):
        microseconds += draw.randrange(4000)
        a, b = draw.randrange(6), draw.randrange(6)
        ip = scapy.IP(src=f"10.0.0.{a + 1}", dst=f"10.0.0.{b + 1}") if draw.random() < 0.8 else scapy.IPv6(src=f"fd00::{a + 1}", dst=f"fd00::{b + 1}")
        port = draw.choice((53, 80, 443, 5001, DENIED, MIRRORED))
        inner = scapy.UDP(sport=5000 + a, dport=port) if draw.random() < 0.5 else scapy.TCP(sport=40000 + a, dport=port, flags=draw.choice(("S", "A", "PA")))
        packet = scapy.Ether(src=f"02:00:00:00:00:{a:02x}", dst=f"02:00:00:00:00:{b:02x}") / ip / inner / bytes(draw.randrange(1200))
        packet.time = now + scapy.EDecimal(microseconds) / 1_000_000
        packets.append(packet)
    path = tmp_path_factory.mktemp("dpdk") / "whole.pcap"
    scapy.wrpcap(str(path), packets)
    return path


def frames_of(path: Path) -> list[bytes]:
    return [bytes(packet) for packet in scapy.rdpcap(str(path))]


def is_to(frame: bytes, port: int) -> bool:
    packet = scapy.Ether(frame)
    layer = packet.getlayer(scapy.UDP) or packet.getlayer(scapy.TCP)
    return layer is not None and layer.dport == port


def test_a_plain_port_at_recorded_times_decides_as_the_replay(capture: Path, tmp_path: Path) -> None:
    """Frame by frame: decisions, predictions, true types and work; and what leaves is what scapy says may leave."""
    configuration = resolved(tmp_path / "r.json", rules=RULES)
    replayed, live, out = tmp_path / "replay.h5", tmp_path / "live.h5", tmp_path / "out.pcap"
    done = subprocess.run([PROGRAM, "replay", capture, "--config", configuration, "--trace", replayed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    done = nic(configuration, "--clock", "virtual", "--seconds", "1", "--json", "--trace", live, *eal(f"net_pcap0,rx_pcap={capture},tx_pcap={out}"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    check_balance(report)
    with h5py.File(replayed) as a, h5py.File(live) as b:
        for table in ("packets", "decisions", "predictions", "flows", "work"):
            assert len(a[table]) == len(b[table]) > 0, table
            assert (a[table][:] == b[table][:]).all(), table
    allowed = [frame for frame in frames_of(capture) if not is_to(frame, DENIED)]
    assert 0 < len(allowed) < 3000
    # Egress queues may let one frame overtake another, never lose or change one.
    assert sorted(frames_of(out)) == sorted(allowed)
    assert report["packets"]["dropped"] == {"deny_rule": 3000 - len(allowed)}


def test_workers_do_not_change_a_verdict(capture: Path, tmp_path: Path) -> None:
    configuration = resolved(tmp_path / "r.json", lanes=4, rules=RULES)
    digests = set()
    for workers in (1, 2, 3, 4):
        done = subprocess.run(
            [PROGRAM, "replay", capture, "--config", configuration, "--workers", str(workers), "--fingerprint"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout.splitlines()[-1])
    assert len(digests) == 1
    alone = subprocess.run([PROGRAM, "replay", capture, "--config", resolved(tmp_path / "s.json", lanes=1, flow_entries=4), "--fingerprint"], capture_output=True, text=True, check=False)
    assert alone.stdout.splitlines()[-1] not in digests, "the digest tells configurations apart"


@pytest.mark.parametrize("workers", [1, 3])
def test_several_workers_share_ports_without_loss(capture: Path, tmp_path: Path, workers: int) -> None:
    """One queue a port: frames are handed on between workers, in both directions, and none is lost or made up."""
    configuration = resolved(tmp_path / "r.json", lanes=4, queue_packets=1024, rules=[rule(1, None)])
    first, second = tmp_path / "first.pcap", tmp_path / "second.pcap"
    done = nic(
        configuration, "--workers", workers, "--switch", "pair", "--seconds", "1.5", "--json",
        *eal(f"net_pcap0,rx_pcap={capture},tx_pcap={first}", f"net_pcap1,rx_pcap={capture},tx_pcap={second}"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    check_balance(report)
    assert report["workers"] == workers
    assert (report["handed_over"] > 0) == (workers > 1)
    lost = report["packets"]["dropped"].get("station_full", 0) + report["packets"]["dropped"].get("queue_full", 0)
    assert len(frames_of(first)) + len(frames_of(second)) + lost == 6000
    sent = frames_of(capture)
    assert set(frames_of(first)) <= set(sent) and set(frames_of(second)) <= set(sent)


def test_every_worker_serves_a_port_of_many_queues(tmp_path: Path) -> None:
    """net_null has a queue for each worker and spreads nothing: all its frames are of one lane, and go to its worker."""
    configuration = resolved(tmp_path / "r.json", lanes=4, rules=[rule(1, None)])
    done = nic(configuration, "--workers", "2", "--uplink", "none", "--switch", "pair", "--seconds", "0.5", "--json", *eal("net_null0", "net_null1,no-rx=1"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    check_balance(report)
    assert 0 < report["handed_over"] < report["packets"]["in"] and report["ports"][1]["out"] > 0


def test_unknown_stations_are_flooded_and_known_ones_are_not(tmp_path: Path) -> None:
    configuration = resolved(tmp_path / "r.json", rules=[rule(1, None)])

    def frame(source: int, destination: int) -> Any:
        return scapy.Ether(src=f"02:00:00:00:00:{source:02x}", dst=f"02:00:00:00:00:{destination:02x}") / scapy.IP() / scapy.UDP() / bytes(30)

    paths = [tmp_path / f"in{i}.pcap" for i in range(3)]
    # Nobody knows 9: each frame for it goes to both other ports. 2 is at home where its frames come from.
    scapy.wrpcap(str(paths[0]), [frame(1, 9)] * 5)
    scapy.wrpcap(str(paths[1]), [frame(2, 9)] + [frame(3, 2)] * 4)
    scapy.wrpcap(str(paths[2]), [frame(4, 9)])
    out = [tmp_path / f"out{i}.pcap" for i in range(3)]
    ports = [f"net_pcap{i},rx_pcap={paths[i]},tx_pcap={out[i]}" for i in range(3)]
    done = nic(configuration, "--seconds", "0.5", "--json", *eal(*ports))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    check_balance(report)
    assert report["packets"]["dropped"] == {"same_port": 4}
    assert report["flooded"] == report["copies"]["made"] == 7
    assert [len(frames_of(path)) for path in out] == [2, 6, 6]
    assert [port["vm"] for port in report["ports"]] == [1, 2, 0], "the last is the uplink"


def test_the_mirror_port_gets_a_copy_of_what_a_rule_mirrors(capture: Path, tmp_path: Path) -> None:
    configuration = resolved(tmp_path / "r.json", rules=RULES, queue_packets=4096)
    mirror = tmp_path / "mirror.pcap"
    done = nic(
        configuration, "--mirror", "net_pcap1", "--seconds", "1", "--json",
        *eal(f"net_pcap0,rx_pcap={capture},tx_pcap={tmp_path / 'out.pcap'}", f"net_pcap1,tx_pcap={mirror}"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    check_balance(json.loads(done.stdout))
    wanted = [frame for frame in frames_of(capture) if is_to(frame, MIRRORED)]
    assert sorted(frames_of(mirror)) == sorted(wanted) and len(wanted) > 100


@contextlib.contextmanager
def running(configuration: Path, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """A runner that has begun to receive."""
    with subprocess.Popen([PROGRAM, "nic", configuration, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            wait_for(process, "running")
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def wait_for(process: subprocess.Popen[str], words: str) -> str:
    assert process.stderr is not None
    seen = ""
    for line in process.stderr:
        seen += line
        if words in line:
            return line
    raise AssertionError(f"ended without saying {words!r}: {seen}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_cleanly_with_everything_written(capture: Path, tmp_path: Path, number: signal.Signals) -> None:
    trace = tmp_path / "trace.h5"
    ports = eal(f"net_pcap0,rx_pcap={capture},infinite_rx=1", "net_null0,no-rx=1")
    with running(resolved(tmp_path / "r.json"), "--switch", "pair", "--json", "--trace", trace, *ports) as process:
        time.sleep(0.5)
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    report = json.loads(output)
    check_balance(report)
    assert report["decided"] > 1000
    with h5py.File(trace) as file:
        assert len(file["decisions"]) == len(file["packets"]) == report["decided"] - report["trace_lost"]
        assert (file["packets"]["packet"][:] == range(len(file["packets"]))).all()


def ask(path: Path, *commands: str) -> list[Any]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as telemetry:
        telemetry.connect(str(path))
        telemetry.recv(4096)  # its greeting
        answers = []
        for command in commands:
            telemetry.send(command.encode())
            answers.append(json.loads(telemetry.recv(16384))[command.split(",")[0]])
        return answers


@pytest.fixture(name="telemetry")
def _telemetry() -> Iterator[Path]:
    """Where a runner of our own puts its socket: the folder's name is its file prefix."""
    home = Path("/var/run") if os.getuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp"))
    folder = home / "dpdk" / f"ff{secrets.token_hex(6)}"
    yield folder / "dpdk_telemetry.v2"
    shutil.rmtree(folder, ignore_errors=True)


def test_telemetry_answers_on_its_socket(capture: Path, tmp_path: Path, telemetry: Path) -> None:
    ports = eal(f"net_pcap0,rx_pcap={capture},infinite_rx=1", "net_null0,no-rx=1", prefix=telemetry.parent.name)
    with running(resolved(tmp_path / "r.json", rules=RULES), "--switch", "pair", "--json", *ports) as process:
        first, by_port, drops, path, offload = ask(telemetry, "/foreflow/stats", "/foreflow/ports", "/foreflow/drops", "/foreflow/path", "/foreflow/offload")
        time.sleep(0.2)
        (second,) = ask(telemetry, "/foreflow/stats")
        process.terminate()
        output, _ = process.communicate(timeout=30)
    last = json.loads(output)
    assert 0 < first["in"] < second["in"] <= last["packets"]["in"]
    for count in (first, second):
        assert count["in"] == count["out"] + count["held"] + count["dropped"], "one worker: every answer is exact"
    assert set(by_port) == {"net_pcap0", "net_null0"} and by_port["net_null0"]["out"] > 0
    assert set(drops) == {"deny_rule"}
    assert path["packets"] > 0 and path["tags_forged"] == 0
    assert offload is None or offload == {}, "nothing is offloaded"


def test_rules_are_replaced_while_frames_flow(capture: Path, tmp_path: Path, telemetry: Path) -> None:
    configuration = resolved(tmp_path / "r.json", rules=[rule(1, None)], lanes=4)
    ports = eal(f"net_pcap0,rx_pcap={capture},infinite_rx=1", "net_null0,no-rx=1", prefix=telemetry.parent.name)

    def stats() -> Any:
        return ask(telemetry, "/foreflow/stats")[0]

    with running(configuration, "--switch", "pair", "--workers", "2", "--json", *ports) as process:
        time.sleep(0.2)
        assert ask(telemetry, "/foreflow/drops")[0].get("deny_rule", 0) == 0

        resolved(configuration, rules=[rule(9, None, verb="drop")], lanes=4)
        process.send_signal(signal.SIGHUP)
        assert "1 rules" in wait_for(process, "in use now")
        before = stats()
        time.sleep(0.3)
        after = stats()
        assert after["out"] - before["out"] <= 8192, "only what was under way"
        assert after["dropped"] > before["dropped"]

        whole = configuration.read_text()
        configuration.write_text(whole[: len(whole) // 2])
        process.send_signal(signal.SIGHUP)
        assert "the rules stay as they were" in wait_for(process, "r.json")
        time.sleep(0.1)
        assert stats()["out"] == after["out"], "still the rules before"

        resolved(configuration, rules=[rule(1, None)], lanes=4)
        process.send_signal(signal.SIGHUP)
        wait_for(process, "in use now")
        time.sleep(0.2)
        assert stats()["out"] > after["out"]
        process.terminate()
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    report = json.loads(output)
    check_balance(report)
    assert report["config"]["rules"][0]["id"] == 1 and report["reloads"] == 2


def test_a_terminal_shows_one_line_each_second(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [PROGRAM, "nic", resolved(tmp_path / "r.json"), "--seconds", "2.5", *eal("net_null0")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        seen = b""
        while select.select([ours], [], [], 20)[0]:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            seen += part
    os.close(ours)
    assert process.returncode == 0
    lines = [line for line in seen.decode().split("\r") if " pps, " in line]
    assert len(lines) == 2
    assert all(word in lines[0] for word in ("in ", "out ", "dropped ", "punts ", "held "))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--uplink", "7", *eal("net_null0")], "--uplink is 7, allowed: last, none, 0 (net_null0)"),
        (["--mirror", "0", *eal("net_null0")], "takes the only port; add another one"),
        (["--clock", "virtual", *eal("net_null0")], "net_null0 (net_null) has none, net_pcap has"),
        (["--workers", "0", *eal("net_null0")], "--workers"),
        (eal(), "there is no port; add one after --"),
        (eal("net_pcap0,rx_pcap=/nowhere.pcap"), "/nowhere.pcap: No such file"),
        (eal("net_nonsense0"), 'failed to parse device "net_nonsense0"'),
        ([*eal("net_null0"), "--bogus"], "unrecognized option '--bogus'"),
        (["--", "--no-huge", "-m", "6", "--no-pci", "--no-shconf", "--vdev=net_null0"], "-m MEGABYTES"),
        (["--workers", "3", *eal("net_null0"), "-l", "0"], "--workers is 3, allowed: up to 0"),
        ([], "after --"),
    ],
)  # fmt: skip
def test_what_cannot_be_had_is_refused_in_one_sentence(tmp_path: Path, arguments: list[str], says: str) -> None:
    done = nic(resolved(tmp_path / "r.json", lanes=4), "--seconds", "1", *arguments)
    lines = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1 and says in lines[0], done.stderr
    assert done.stdout == ""


@pytest.mark.skipif(os.getuid() != 0, reason="packet sockets need root")
def test_an_mtu_that_a_port_does_not_take_is_refused(tmp_path: Path) -> None:
    done = nic(resolved(tmp_path / "r.json"), "--mtu", "9000", *eal("net_af_packet0,iface=lo"))
    assert done.returncode == 2
    assert done.stderr.startswith("port net_af_packet0: MTU is 9000, allowed: ") and "framesz=BYTES" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_configuration_that_cannot_be_had_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    for configuration, says in ((tmp_path / "text", "text: not JSON"), (tmp_path / "none", "none: cannot be opened"), (resolved(tmp_path / "o", arm="oracle"), "known in advance")):
        done = nic(configuration, *eal("net_null0"))
        assert done.returncode == 2 and says in done.stderr, done.stderr


def rewritten(frame: bytes, change: dict[str, Any]) -> bytes:
    """The frame as scapy builds it with the fields that the change gives, all checksums computed anew."""
    packet = scapy.Ether(frame)
    packet.dst = change["destination_mac"]
    ip, transport = packet.payload, packet.payload.payload
    if isinstance(ip, scapy.IP):
        ip.src, ip.ttl, ip.tos = change["source"], ip.ttl - 1, change["dscp"] << 2 | ip.tos & 3
        del ip.chksum
    else:
        ip.hlim, ip.tc = ip.hlim - 1, change["dscp"] << 2 | ip.tc & 3
    transport.dport = change["destination_port"]
    del transport.chksum
    inside = packet.payload
    packet.remove_payload()
    packet.type = 0x8100
    vlan = change["push_vlan"]
    return bytes(packet / scapy.Dot1Q(vlan=vlan["vid"], prio=vlan["priority"], type=0x0800 if isinstance(ip, scapy.IP) else 0x86DD) / inside)


def wrapped(frame: bytes, tunnel: dict[str, Any], source_port: int) -> bytes:
    """The outer packet as scapy builds it."""
    inner = scapy.Ether(frame).payload
    tos = inner.tos if isinstance(inner, scapy.IP) else inner.tc
    return bytes(
        scapy.Ether(src=tunnel["source_mac"], dst=tunnel["destination_mac"])
        / scapy.IP(src=tunnel["source"], dst=tunnel["destination"], ttl=64, tos=tos, id=0, flags="DF")
        / scapy.UDP(sport=source_port, dport=6081)
        / GENEVE(vni=tunnel["vni"], proto=0x6558)
        / frame
    )


def test_rules_change_what_leaves_and_scapy_makes_the_same(capture: Path, tmp_path: Path) -> None:
    rewrite = {
        "destination_mac": "02:00:00:00:00:77", "source": "192.0.2.9", "destination_port": 8443, "dscp": 10, "decrement_ttl": True,
        "push_vlan": {"vid": 42, "priority": 3},
    }  # fmt: skip
    tunnel = {"kind": "geneve", "vni": 77, "source_mac": "02:00:00:00:01:01", "destination_mac": "02:00:00:00:01:02", "source": "192.0.2.1", "destination": "192.0.2.2"}
    configuration = resolved(tmp_path / "r.json", rules=[rule(1, None), rule(2, 443, change=0), rule(3, 80, change=1), rule(4, MIRRORED, mirror=True)])
    document = json.loads(configuration.read_text())
    document["changes"] = [rewrite, {"tunnel": tunnel}]
    configuration.write_text(json.dumps(document))
    out = tmp_path / "out.pcap"
    done = nic(configuration, "--clock", "virtual", "--seconds", "1", "--json", *eal(f"net_pcap0,rx_pcap={capture},tx_pcap={out}"))
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    check_balance(report)
    left = frames_of(out)
    sent = frames_of(capture)
    ports: dict[bytes, set[int]] = {}
    for frame in left:
        outer = scapy.Ether(frame)
        if outer.src == tunnel["source_mac"]:
            ports.setdefault(bytes(outer[GENEVE].payload), set()).add(outer[scapy.UDP].sport)
    assert ports and all(len(found) == 1 and min(found) >= 49152 for found in ports.values())
    assert len(set.union(*ports.values())) > 10, "flows are spread"
    expected = [
        rewritten(frame, rewrite) if is_to(frame, 443) else wrapped(frame, tunnel, min(ports[frame])) if is_to(frame, 80) else frame
        for frame in sent
    ]
    assert sorted(left) == sorted(expected)
    counted = {row["id"]: row["packets"] for row in report["statistics"]["rules"]}
    assert counted[2] == sum(is_to(frame, 443) for frame in sent) and counted[3] == sum(is_to(frame, 80) for frame in sent)
    assert sum(counted.values()) == len(sent)


def test_a_port_without_flow_rules_says_so_and_decides_the_same(capture: Path, tmp_path: Path) -> None:
    configuration = resolved(tmp_path / "r.json", rules=RULES)
    tables = {}
    for mode in ("off", "mark", "drop"):
        trace = tmp_path / f"{mode}.h5"
        done = nic(configuration, "--offload-rules", mode, "--clock", "virtual", "--seconds", "1", "--json", "--trace", trace, *eal(f"net_pcap0,rx_pcap={capture}"))
        assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout)
        check_balance(report)
        with h5py.File(trace) as file:
            tables[mode] = {table: file[table][:].tobytes() for table in ("packets", "decisions", "predictions", "flows", "work")}
        if mode == "off":
            assert report["offload"] is None
            continue
        assert report["offload"]["mode"] == mode and report["offload"]["hits"] == 0
        (port,) = report["offload"]["ports"]
        assert port["takes"] == dict.fromkeys(("marks", "drops", "counts", "fragments", "ranges"), False)
        assert "not implemented" in port["answer"] and "net_pcap0 decides 0 of 3 rules" in done.stderr
        assert [row["rule"] for row in port["rules"]] == [2, 3, 1], "the highest-ranking first"
        assert {row["why"] for row in port["rules"]} == {"action"}
    assert tables["off"] == tables["mark"] == tables["drop"]


def test_dropping_in_the_port_is_refused_where_tags_have_a_say(tmp_path: Path) -> None:
    configuration = resolved(tmp_path / "r.json")
    document = json.loads(configuration.read_text())
    document["tags"]["authority"] = "literal"
    configuration.write_text(json.dumps(document))
    done = nic(configuration, "--offload-rules", "drop", "--seconds", "1", *eal("net_null0"))
    assert done.returncode == 2 and "give mark" in done.stderr, done.stderr


DENIED_NET = "198.51.100.0/24"


@pytest.mark.skipif(os.getuid() != 0 or not Path("/dev/net/tun").exists(), reason="a tap port needs root and /dev/net/tun")
def test_a_tap_port_takes_what_its_kernel_takes(tmp_path: Path, telemetry: Path) -> None:
    """Rules of addresses alone, which the driver's patterns can express: it can drop, and neither mark nor count."""
    everything = rule(1, None)
    denied = {**rule(2, None, verb="drop"), "priority": 10, "l3": "ipv4", "source": DENIED_NET}
    by_port = rule(3, DENIED, verb="drop")
    configuration = resolved(tmp_path / "r.json", rules=[everything, denied, by_port])
    name = f"fft{secrets.token_hex(3)}"
    ports = eal(f"net_tap0,iface={name}", prefix=telemetry.parent.name)
    frames = [
        bytes(scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / scapy.IP(src=source) / scapy.UDP(sport=1, dport=port) / bytes(30))
        for source in ("10.0.0.1", "198.51.100.7")
        for port in (53, DENIED)
    ]
    with running(configuration, "--offload-rules", "drop", "--json", *ports) as process:
        subprocess.run(["ip", "link", "set", name, "up"], check=True)
        summary, of_rule = ask(telemetry, "/foreflow/offload", "/foreflow/offload,2")
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
            wire.bind((name, 0))
            wire.settimeout(0.5)
            for frame in frames * 10:
                wire.send(frame)
            returned = []
            with contextlib.suppress(TimeoutError):
                while True:
                    data, address = wire.recvfrom(2048)
                    if address[2] != socket.PACKET_OUTGOING and data in frames:
                        returned.append(data)
            # New rules: the port's go at once, and it is asked again.
            resolved(configuration, rules=[everything])
            process.send_signal(signal.SIGHUP)
            assert "net_tap0 decides 0 of 1 rules" in wait_for(process, "decides")
            resolved(configuration, rules=[everything, denied, by_port])
            process.send_signal(signal.SIGHUP)
            wait_for(process, "of 3 rules")
        process.terminate()
        output, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    report = json.loads(output)
    check_balance(report)
    assert returned == [frames[0]] * 10, "what no rule drops came back, and nothing else"
    (port,) = report["offload"]["ports"]
    assert port["takes"] == {"marks": False, "drops": True, "counts": False, "fragments": False, "ranges": False}
    rows = {row["rule"]: row for row in port["rules"]}
    assert rows[1]["why"] == "action" and rows[3]["why"] == "fragments"
    assert summary["net_tap0"]["drops"] == 1 and summary["net_tap0"]["entries"] == port["entries"]
    assert of_rule["net_tap0"]["kinds"] == rows[2]["kinds"] == 3
    if rows[2]["in_port"] == 0:
        assert rows[2]["why"] == "port" and rows[2]["answer"], "the driver validated it and the kernel did not take it"
        assert report["packets"]["in"] >= 40
        pytest.skip(f"rules ran in software: the kernel took none of them ({rows[2]['answer']}); it has no tc flower")
    assert report["packets"]["dropped"].get("deny_rule", 0) == 10, "only what a port's rule cannot express came to software"
