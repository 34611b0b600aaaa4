# SPDX-License-Identifier: BSD-3-Clause
"""foreflow-replay from the outside: counts against capinfos, output, refusals, exit codes."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest

h5py = pytest.importorskip("h5py")
scapy = pytest.importorskip("scapy.all")

BUILD = os.environ.get("FOREFLOW_BUILD")
pytestmark = pytest.mark.skipif(not BUILD, reason="FOREFLOW_BUILD names no build")


def replay(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(str(BUILD)) / "bindings" / "foreflow-replay"
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)


def count_of_capinfos(path: Path) -> int:
    done = subprocess.run(["capinfos", "-M", "-c", path], capture_output=True, text=True, check=False)
    return int(done.stdout.rsplit(":", 1)[1])


@pytest.fixture(name="capture")
def _capture(tmp_path: Path) -> Path:
    packets = []
    for i in range(60):
        inner = scapy.UDP(sport=5000 + i, dport=53) / bytes(i) if i % 2 else scapy.TCP(sport=5000 + i, dport=80, flags="S")
        ip = scapy.IP(dst="10.0.0.9") if i % 3 else scapy.IPv6(dst="fd00::9")
        packet = scapy.Ether(src=f"02:00:00:00:00:{i % 4:02x}", dst="02:00:00:00:01:00") / ip / inner
        packet.time = 1_700_000_000 + i * 0.01
        packets.append(packet)
    path = tmp_path / "base.pcap"
    scapy.wrpcap(str(path), packets)
    return path


def variants(base: Path) -> list[Path]:
    """The capture in every form that editcap and gzip know to make, also cut in the middle."""
    made = [base]
    for kind, options in {
        "nano": ["-F", "nsecpcap"], "ng": ["-F", "pcapng"], "snap": ["-s", "40"], "snapng": ["-F", "pcapng", "-s", "30"],
        "linux": ["-F", "modpcap"], "early": ["-t", "-1600000000"], "comment": ["-F", "pcapng", "-a", "3:a comment"],
    }.items():
        path = base.with_name(f"{kind}.cap")
        subprocess.run(["editcap", *options, base, path], check=True, capture_output=True)
        made.append(path)
    both = base.with_name("both.cap")
    raw = base.with_name("raw.pcap")
    scapy.wrpcap(str(raw), [packet[1] for packet in scapy.rdpcap(str(base))][:20], linktype=101)
    subprocess.run(["mergecap", "-a", "-w", both, base, raw], check=True, capture_output=True)
    made += [raw, both]
    for path in list(made):
        cut = path.with_suffix(".cut")
        cut.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        packed = Path(f"{path}.gz")
        packed.write_bytes(gzip.compress(path.read_bytes()))
        made += [cut, packed]
    return made


def test_every_form_counts_what_capinfos_counts(capture: Path) -> None:
    paths = variants(capture)
    assert len(paths) == 30
    for path in paths:
        done = replay(path, "--json")
        assert done.returncode == 0, (path, done.stderr)
        answer = json.loads(done.stdout)
        assert set(answer) == {"capture", "door", "config", "packets", "fingerprint", "statistics"}, path
        packets = answer["packets"]
        assert packets["in"] == count_of_capinfos(path) > 0, path
        assert packets["in"] == packets["out"] + packets["held"] + sum(packets["dropped"].values()), path
        assert ("ends inside" in done.stderr) == (path.suffix == ".cut"), (path, done.stderr)


def test_the_form_of_a_file_decides_nothing(capture: Path) -> None:
    """Same packets and times: same fingerprint, compressed or not, micro- or nanoseconds."""
    same = [path for path in variants(capture) if path.stem.split(".")[0] in ("base", "nano", "ng", "early") and path.suffix != ".cut"]
    assert len(same) == 8
    assert len({replay(path, "--fingerprint").stdout.splitlines()[-1] for path in same}) == 1


def test_fingerprint_is_alone_on_the_last_line(capture: Path) -> None:
    last = replay(capture, "--fingerprint").stdout.splitlines()[-1]
    assert len(last) == 64 and int(last, 16) >= 0
    assert json.loads(replay(capture, "--json").stdout)["fingerprint"] == last


def test_loops_count_every_pass(capture: Path) -> None:
    once, thrice = (json.loads(replay(capture, "--json", "--loop", loops).stdout) for loops in ("1", "3"))
    assert thrice["packets"]["in"] == 3 * once["packets"]["in"] == 180
    assert thrice["fingerprint"] != once["fingerprint"] == json.loads(replay(capture, "--json").stdout)["fingerprint"]


def test_trace_has_a_row_for_every_packet(capture: Path, tmp_path: Path) -> None:
    path = tmp_path / "trace.h5"
    assert replay(capture, "--trace", path).returncode == 0
    with h5py.File(path) as trace:
        assert len(trace["packets"]) == len(trace["decisions"]) == 60
        assert trace["flows"]["packets"].sum() == 60
        assert [row["stage"].decode() for row in trace["work"]][:2] == ["profile", "predict"]
        assert trace["work"][4]["stage"] == b"parse" and trace["work"][4]["visits"] == 60


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "command line: capture is required"),
        (["{capture}", "--unknown"], "command line:"),
        (["{folder}/missing.pcap"], "missing.pcap: cannot be opened: No such file or directory"),
        (["{folder}"], "cannot be read: Is a directory"),
        (["{text}"], "text: not a pcap or pcapng capture (magic 0x68656c6c)"),
        (["{capture}", "--config", "{text}"], "text: not JSON"),
        (["{capture}", "--config", "{folder}/none.json"], "none.json: cannot be opened"),
        (["{capture}", "--trace", "{folder}/no/trace.h5"], "no/trace.h5: the trace cannot be created"),
        (["{capture}", "--trace", "{folder}/trace.h5", "--loop", "2"], "command line: --trace names the packets of one pass"),
        (["{capture}", "--loop", "0"], "command line: --loop: Value 0 not in range"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(capture: Path, tmp_path: Path, arguments: list[str], says: str) -> None:
    (tmp_path / "text").write_text("hello world, this is no capture\n")
    filled = [part.format(capture=capture, folder=tmp_path, text=tmp_path / "text") for part in arguments]
    done = replay(*filled)
    assert done.returncode == 2, done
    assert says in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert done.stdout == ""
