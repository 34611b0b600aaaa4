# SPDX-License-Identifier: BSD-3-Clause
"""The recipe's parts, and the recording that is committed."""

import csv
import gzip
import hashlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from datasets.record import capture, namespaces
from datasets.record.network import Network
from datasets.record.plan import PLANS

ROOT = Path(__file__).resolve().parents[2]
RECORDED = ROOT / "datasets" / "recorded"


def tshark(path: Path, *fields: str) -> list[list[str]]:
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
    for field in fields:
        command += ["-e", field]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in output.splitlines()]


MISSING = namespaces.what_is_missing() or ("curl is missing" if not shutil.which("curl") else None)


OFFICE = PLANS["office"]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_every_vm_has_its_own_addresses(plan):
    addresses = [a for vm in plan.vms.values() for a in vm.addresses]
    assert len(set(addresses)) == len(addresses)
    assert len({vm.mac for vm in plan.vms.values()}) == len(plan.vms)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_pages_are_chosen_by_the_seed_and_lie_on_known_hosts(plan):
    assert plan.pages(1) == plan.pages(1) != plan.pages(2)
    least, most = plan.parts
    sizes = {name for name, _, _ in plan.files}
    for page in plan.pages(1):
        assert 1 + least <= len(page.parts) <= 1 + most
        assert all(host in plan.hosts and path in sizes for host, path in page.parts)


def test_conversion_keeps_times_lengths_and_bytes(tmp_path):
    frames = [(1_700_000_000, 123_456_789, bytes(range(61)), 61), (1_700_000_001, 5, bytes(range(96)), 1514)]
    pcap = struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 96, 1)
    for seconds, nanoseconds, frame, length in frames:
        pcap += struct.pack("<IIII", seconds, nanoseconds, len(frame), length) + frame
    (tmp_path / "in.pcap").write_bytes(pcap)
    assert capture.to_pcapng(tmp_path / "in.pcap", tmp_path / "out.pcapng") == 2
    # Back by another program, without the file headers, is what went in.
    command = ["editcap", "-F", "nsecpcap", str(tmp_path / "out.pcapng"), str(tmp_path / "back.pcap")]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "back.pcap").read_bytes()[24:] == pcap[24:]


def test_conversion_refuses_other_files(tmp_path):
    (tmp_path / "in").write_bytes(bytes(100))
    with pytest.raises(RuntimeError, match="not a little-endian pcap"):
        capture.to_pcapng(tmp_path / "in", tmp_path / "out")


def namespaces_of(network: namespaces.Namespaces) -> list[str]:
    listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if line.startswith(f"{network.tag}-")]


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_nothing_remains_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError):
        with Network(tmp_path, OFFICE) as network:
            address = OFFICE.vms["web3"].addresses[-1]
            server = network.start("web3", sys.executable, "-m", "http.server", "80", "--bind", address, cwd=tmp_path)
            network.wait_for("browser1", "curl", "-sf", f"http://{address}/")
            assert len(namespaces_of(network)) == len(OFFICE.vms) + 1
            raise ZeroDivisionError
    assert server.poll() is not None
    assert namespaces_of(network) == []


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_what_a_killed_network_left_is_removed_by_the_next(tmp_path):
    script = f"""
import os, signal, sys
from pathlib import Path
from datasets.record.namespaces import Namespaces
with Namespaces(Path({str(tmp_path)!r})) as network:
    network.add("one")
    program = network.start("one", "sleep", "600")
    print(network.tag, program.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    killed = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, env=environment)
    assert killed.returncode == -signal.SIGKILL
    tag, sleeper = killed.stdout.split()
    with namespaces.Namespaces(tmp_path) as network:
        listed = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True).stdout
        assert tag not in listed
        # A zombie until init takes it, but no longer a program.
        state = Path(f"/proc/{sleeper}/stat")
        assert not state.exists() or state.read_text().rsplit(")", 1)[1].split()[0] == "Z"
        # One that lives is left alone by another that starts.
        network.add("two")
        with namespaces.Namespaces(tmp_path):
            pass
        assert len(namespaces_of(network)) == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [(("--seconds", "1"), "--seconds is 1, allowed: 5 to 3600"), (("--plan", "none"), f"--plan is none, allowed: {', '.join(PLANS)}")],
)
def test_wrong_arguments_are_refused(arguments, sentence):
    command = [sys.executable, "-P", str(ROOT / "datasets" / "record"), *arguments]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 2
    assert run.stderr == f"record: {sentence}\n"


def test_committed_files_are_whole_and_small():
    sums = [line.split() for line in (RECORDED / "SHA256SUMS").read_text().splitlines()]
    assert len(sums) == 4
    for digest, name in sums:
        assert hashlib.sha256((RECORDED / name).read_bytes()).hexdigest() == digest
    assert sum((RECORDED / name).stat().st_size for _, name in sums) < 5_000_000


RECORDINGS = sorted(RECORDED.glob("*/*.pcapng.gz"))


def test_recordings_to_train_on_and_kept_out_are_whole_and_small():
    folders = {path.parent for path in RECORDINGS}
    assert {folder.name for folder in folders} == {"training", "kept-out"}
    for folder in folders:
        sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
        assert set(sums) == {path.name for path in folder.iterdir()} - {"SHA256SUMS"}
        assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in sums.items())
    assert all(path.stat().st_size < 4_000_000 for path in RECORDINGS)


def test_plans_kept_out_are_not_trained_on():
    def plans(folder):
        return {json.loads(path.read_text())["plan"] for path in (RECORDED / folder).glob("*.json")}

    assert len(plans("kept-out")) == 3
    assert not plans("kept-out") & (plans("training") | {"office"})


def senders_of(pcapng):
    """The source MAC of each packet of a file that capture.to_pcapng wrote."""
    senders, at = [], 0
    while at < len(pcapng):
        kind, length = struct.unpack_from("<II", pcapng, at)
        if kind == 6:  # enhanced packet block; the frame begins at byte 28
            senders.append(pcapng[at + 34 : at + 40].hex(":"))
        at += length
    return senders


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_a_recording_holds_its_plan(path):
    name = path.name.removesuffix(".pcapng.gz")
    facts = json.loads(path.with_name(f"{name}.json").read_text())
    plan = PLANS[facts["plan"]]
    assert facts["packets_dropped_by_the_recorder"] == 0
    assert facts["vms"] == len(plan.vms)
    assert all(run["good"] > 0 for run in facts["runs"].values())
    with path.with_name(f"{name}.labels.csv").open() as file:
        assert {row["mac"] for row in csv.DictReader(file)} == {vm.mac for vm in plan.vms.values()}
    senders = senders_of(gzip.decompress(path.read_bytes()))
    assert len(senders) == facts["packets"] >= 15_000
    assert set(senders) == {vm.mac for vm in plan.vms.values()}


def test_committed_recording_holds_all_programs_and_many_destinations():
    facts = json.loads((RECORDED / "recording.json").read_text())
    with (RECORDED / "labels.csv").open() as file:
        labels = list(csv.DictReader(file))
    macs = {row["mac"] for row in labels}
    fields = ("eth.src", "ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport", "_ws.malformed",
              "ip.checksum.status", "tcp.checksum.status", "tcp.checksum")  # fmt: skip
    rows = tshark(RECORDED / "recorded.pcapng", *fields)
    assert len(rows) == facts["packets"] >= 20_000
    assert facts["packets_dropped_by_the_recorder"] == 0

    labelled = {(row["protocol"], row["port"].split(":")[-1]) for row in labels}
    seen = set()
    destinations = set()
    for mac, source, destination, tcp_from, tcp_to, udp_from, udp_to, malformed, ip_sum, tcp_sum, tcp_value in rows:
        assert mac in macs
        assert malformed == ""
        assert ip_sum in ("", "1")
        # 2: cut by the recorder, cannot be known. 0xffff is the other zero, which Linux writes and tshark calls wrong.
        assert tcp_sum in ("", "1", "2") or tcp_value == "0xffff"
        if not (tcp_to or udp_to):
            continue
        protocol, ports = ("tcp", (tcp_from, tcp_to)) if tcp_to else ("udp", (udp_from, udp_to))
        known = {port for port in ports if (protocol, port) in labelled}
        assert known, f"{source} to {destination}: {protocol} {ports} has no label"
        seen |= {(protocol, port) for port in known}
        destinations |= {(source, destination, protocol, port) for port in known}
    assert seen == labelled
    assert len(destinations) >= 400  # either way of at least 200 (client, server, service)
