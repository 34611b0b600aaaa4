# SPDX-License-Identifier: BSD-3-Clause
"""foreflow-replay from the outside: counts against capinfos, output, refusals, exit codes."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

h5py = pytest.importorskip("h5py")
scapy = pytest.importorskip("scapy.all")

from foreflow.places import DISSECTOR, TRAINED  # noqa: E402

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


# The learned rule, repairs, and a network that does all that one can do.
SHARD = {
    "unit": {
        "preference": "robustness", "repair": "preferred", "gaps": {"rule": "learned"}, "mtu": {"timeout_ms": 20},
        "path_weights": [1, 1], "path_rule": "fragment",
    },
    "network": {"paths": [
        {"delay_us": 1000, "jitter_us": 50, "loss": 0.03, "burst": {"to_bad": 0.02, "to_good": 0.3}, "late": 0.05, "late_most_us": 900, "duplicate": 0.02, "corrupt": 0.02},
        {"delay_us": 1500, "loss": 0.05},
    ]},
    "key": "00112233445566778899aabbccddeeff" * 2,
}  # fmt: skip


def resolved(tmp_path: Path, shard: dict[str, object], **scenario: object) -> Path:
    from foreflow import config as configuration

    named = tmp_path / "scenario.yaml"
    named.write_text(json.dumps({"scenario": "units", "about": "frames through units", "shard": shard, **scenario}))
    config = configuration.resolve(str(named), [])
    assert "shard" not in configuration.parameters(config), "what a table of runs has as columns"
    document = configuration.resolved_for_run(config, "reactive", 1, Path("in.pcap"), tmp_path)
    path = tmp_path / "resolved.json"
    path.write_text(json.dumps(document))
    return path


def test_units_carry_a_captures_frames(capture: Path, tmp_path: Path) -> None:
    """Every frame is out, or dropped for a reason, whatever the network does; and the same every time."""
    many = tmp_path / "many.pcap"
    frames = [scapy.Ether() / scapy.IP(dst="10.0.0.9") / scapy.UDP(sport=i % 50, dport=9) / bytes(i % 1400) for i in range(1500)]
    for i, frame in enumerate(frames):
        frame.time = 1_700_000_000 + i * 0.0005
    scapy.wrpcap(str(many), frames)
    config = resolved(tmp_path, SHARD)
    done = replay(many, "--config", config, "--json", "--trace", tmp_path / "trace.h5")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    packets, shard = answer["packets"], answer["shard"]
    assert packets["in"] == 1500 == packets["out"] + sum(packets["dropped"].values())
    assert packets["out"] > 1480 and set(packets["dropped"]) <= {"not_whole"}
    assert answer["config"] == {"shard": SHARD}
    sender, receiver = shard["units"]
    assert sender["verdicts"]["sent"] == 1500 and receiver["verdicts"]["delivered"] == packets["out"]
    assert receiver["verdicts"]["forged"] + receiver["verdicts"].get("malformed", 0) > 0, "changed on the way"
    assert sender["sent"]["resent"] > 0 and sender["sent"]["repairs"] > 0
    there = shard["links"][0]
    assert there["in"] == sum(there["fates"].values())
    assert there["out"] == there["fates"]["passed"] + there["duplicated"] == sum(receiver["verdicts"].values()) - receiver["verdicts"].get("sent", 0)
    with h5py.File(tmp_path / "trace.h5") as trace:
        rows = trace["packets"][:]
        assert len(rows) == 1500 and (rows["departure_ns"] >= 0).sum() == packets["out"]
        out = rows[rows["departure_ns"] >= 0]
        assert (out["departure_ns"] - out["arrival_ns"]).min() >= 1_000_000, "the delay of the network"
        assert len(trace["decisions"]) == 0
    again = replay(many, "--config", config, "--fingerprint").stdout.splitlines()[-1]
    assert again == answer["fingerprint"]
    other = replay(many, "--config", resolved(tmp_path, {**SHARD, "key": "00" * 32}), "--fingerprint").stdout.splitlines()[-1]
    assert other != again
    taught = {**SHARD, "unit": {**SHARD["unit"], "gaps": {"rule": "learned", "table": str(TRAINED / "fragment-loss.table")}}}
    assert replay(many, "--config", resolved(tmp_path, taught), "--fingerprint").stdout.splitlines()[-1] != again
    # Over a network that does nothing, everything comes out; records that are no frames do not go in.
    clean = json.loads(replay(capture, "--config", resolved(tmp_path, {}), "--json").stdout)
    assert clean["packets"] == {"in": 60, "out": 60, "held": 0, "dropped": {}}
    cut = tmp_path / "cut.pcap"
    subprocess.run(["editcap", "-s", "50", capture, cut], check=True, capture_output=True)
    short = json.loads(replay(cut, "--config", resolved(tmp_path, {}), "--json").stdout)["packets"]
    assert short["dropped"]["truncated"] == 60 - short["out"] > 0


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_what_units_send_is_a_capture_that_wireshark_reads(capture: Path, tmp_path: Path) -> None:
    config = resolved(tmp_path, SHARD)
    wire, keys = tmp_path / "wire.pcapng", tmp_path / "keys.log"
    plain = replay(capture, "--config", config, "--json")
    done = replay(capture, "--config", config, "--wire", wire, "--key-log", keys, "--json")
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer == json.loads(plain.stdout), "writing it down changes nothing"
    assert keys.stat().st_mode & 0o077 == 0 and len(keys.read_text().splitlines()) == 2
    sent = sum(sum(count for name, count in unit["sent"].items() if name not in ("bytes", "resent")) for unit in answer["shard"]["units"])
    command = ["tshark", "-n", "-r", wire, "-X", f"lua_script:{DISSECTOR}", "-o", "foreflow.shard.ports:7800", "-o", f"foreflow.shard.keys:{keys}"]
    shown = subprocess.run([*command, "-T", "fields", "-e", "foreflow.shard.tag.status", "-e", "foreflow.shard.reassembled.data"], capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in shown.stdout.splitlines()]
    assert {row[0] for row in rows} == {"good"}
    whole = sorted(row[1].replace(":", "") for row in rows if row[1])
    assert whole == sorted(bytes(packet).hex() for packet in scapy.rdpcap(str(capture))), "each frame, from the datagrams of both directions"
    wrong = " || ".join(f"foreflow.shard.{name}" for name in ("fault", "forged", "repeated", "conflict", "mixed_epoch", "cut"))
    assert subprocess.run([*command, "-Y", wrong], capture_output=True, text=True, check=True).stdout == ""
    assert len(rows) == sent
    alone = replay(capture, "--wire", wire)
    assert alone.returncode == 2 and "are for configurations with packet dynamics units" in alone.stderr


@pytest.mark.parametrize(
    ("shard", "says"),
    [
        ({"unit": {"gaps": {"rule": "clairvoyant"}}}, 'shard.unit.gaps.rule is "clairvoyant", allowed: none, fixed, three, rack, learned, ewma'),
        ({"unit": {"gaps": {"table": "none.table"}}}, 'shard.unit.gaps.table is "none.table", allowed: the path of a table that `./foreflow train fragment-loss` wrote'),
        ({"unit": {"gaps": {"table": str(Path(__file__))}}}, "replay_test.py: no table of losses"),
        ({"unit": {"gap": {}}}, 'unknown key "gap"'),
        ({"unit": {"tick_us": 0.5}}, "shard: packet dynamics unit: tick is 500 ns, allowed: 1000 .. 10000000 ns"),
        ({"unit": {"repair": True}}, "shard.unit.repair is true, allowed: never, preferred, split, always"),
        ({"unit": {"most_packet_bytes": 65535}}, "most_packet_bytes is 65535"),
        ({"unit": {"path_weights": []}}, "a list of 1 .. 16 weights"),
        ({"network": {"paths": [{"loss": 2}]}}, "shard.network.paths[0].loss is 2, allowed: numbers 0 .. 1"),
        ({"key": "00"}, "shard.key is no key, allowed: 64 hex digits"),
        ({"warm_up_ms": -1}, "shard.warm_up_ms is -1"),
    ],
)
def test_units_out_of_range_are_refused(capture: Path, tmp_path: Path, shard: dict[str, object], says: str) -> None:
    done = replay(capture, "--config", resolved(tmp_path, shard))
    assert done.returncode == 2 and says in done.stderr and done.stderr.count("\n") == 1, done.stderr
    looped = replay(capture, "--config", resolved(tmp_path, {}), "--loop", "2")
    assert looped.returncode == 2 and "--loop is for configurations without packet dynamics units" in looped.stderr


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
