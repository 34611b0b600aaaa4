# SPDX-License-Identifier: BSD-3-Clause
"""Two packet dynamics units carry real connections whole over a network that is not a good one, whatever happens to either."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.record.programs import start_nginx
from foreflow.places import DISSECTOR
from scenarios.live.runner import ROOT
from scenarios.live.units import ADDRESSES, ENDS, HOST_MACS, LEFT, NETWORK, OUTSIDE, PORT, RIGHT, Units, unit_place
from scenarios.live.world import sha256, write_random

GOOD: dict[str, object] = {}
BAD = {
    "delay_us": 300, "jitter_us": 200, "late": 0.02, "late_least_us": 300, "late_most_us": 1500,
    "burst": {"to_bad": 0.01, "to_good": 0.4}, "loss": 0.005, "duplicate": 0.01, "duplicate_after_us": 100, "corrupt": 0.01,
}  # fmt: skip
LOSSY = {"delay_us": 300, "loss": 0.02, "burst": {"to_bad": 0.005, "to_good": 0.4}}
REKEY_SECONDS = 0.4
REKEY_MEGABYTES = 1.0
IPV4 = bytes.fromhex("0800")
FILES = {"short": 600_000, "long": 5_000_000}  # bytes; the long one does not fit any buffer on its way


@pytest.fixture(name="units", scope="module")
def _units(folder: Path) -> Iterator[Units]:
    own = folder / "units"
    own.mkdir()
    (own / "site").mkdir()
    for seed, (name, size) in enumerate(FILES.items()):
        write_random(own / "site" / name, size, seed)
    with Units(own) as units:
        units.connect(GOOD, rekey_s=REKEY_SECONDS, overlap_ms=100)
        start_nginx(units, RIGHT, own / "nginx", own / "site")
        units.wait_for(LEFT, "curl", "-sf", "-o", "/dev/null", f"http://{ADDRESSES[RIGHT]}/short")
        yield units
        for name, counted in units.disconnect().items():
            assert counted["mbufs_lost"] == 0, name


def echoes(units: Units, count: int, interval: float, size: int = 56) -> int:
    """How many of so many echoes are answered."""
    words = ["-q", "-M", "do", "-s", str(size), "-i", str(interval), "-c", str(count), "-W", "1"]
    said = units.attempt(LEFT, "ping", *words, ADDRESSES[RIGHT]).stdout
    found = re.search(r"(\d+) received", said)
    assert found, said
    return int(found[1])


def fetch(units: Units, name: str, *options: str) -> subprocess.Popen[bytes]:
    return units.start(LEFT, "curl", "-sf", "--max-time", "30", *options, "-o", str(units.folder / name), f"http://{ADDRESSES[RIGHT]}/{name}")


def is_whole(units: Units, name: str) -> bool:
    return sha256(units.folder / name) == sha256(units.folder / "site" / name)


def test_nothing_is_lost_while_keys_are_replaced(units: Units) -> None:
    before = units.counts("a")
    copy = fetch(units, "long", "--limit-rate", "4m")
    assert echoes(units, 100, 0.01, 1472) == 100
    assert copy.wait(timeout=30) == 0 and is_whole(units, "long")
    after = units.counts("a")
    assert after["key"]["rekeyed"] - before["key"]["rekeyed"] >= 2
    for wrong in ("forged", "unknown_epoch", "unknown_session"):
        assert after["from_port_1"][wrong] == 0, "every datagram was opened by the key that it names"
    assert after["fragments"]["delivered"] > before["fragments"]["delivered"]


def test_a_bad_network_changes_no_byte(units: Units) -> None:
    units.change_network(BAD, seed=7)
    copy = fetch(units, "short")
    assert copy.wait(timeout=30) == 0 and is_whole(units, "short")
    sent = 150
    answered = echoes(units, sent, 0.005)
    network = units.change_network(GOOD)
    lost = {way: sum(count for fate, count in network[way].items() if fate != "passed") for way in ("from_port_0", "from_port_1")}
    for way in ("on_the_way_there", "on_the_way_back"):
        assert all(network[way][what] > 0 for what in ("duplicated", "corrupted", "late")), network
    assert min(lost.values()) > 0
    # Of datagrams 3 % are lost either way, and 1 % changed: of echoes that nobody sent again, 8 % would be.
    assert answered >= sent - 3, f"{sent - answered} of {sent} echoes were lost"
    ends = {name: units.counts(name) for name in ENDS}
    for name, counted in ends.items():
        for what in ("forged", "replayed"):
            assert counted["from_port_1"][what] > 0, (name, what)
    assert ends["b"]["to_network"]["resent"] > 0, "the file's own way"


def test_a_unit_that_dies_comes_back(units: Units) -> None:
    """Which of the two leads in agreeing on keys is chance: of two new keys, the lesser."""
    name, other = "b", "a"
    begun = units.counts(other)["key"]["begun"]
    copy = fetch(units, "long", "--limit-rate", "2500k")
    time.sleep(0.3)
    units.units[name].kill()
    assert copy.poll() is None, f"the copy is over already, with exit code {copy.poll()}"
    units.begin_unit(name, rekey_s=REKEY_SECONDS, overlap_ms=100)
    units.units[name].await_running()
    units.await_keys()
    assert copy.wait(timeout=30) == 0 and is_whole(units, "long")
    assert units.counts(other)["key"]["begun"] == begun + 1
    assert echoes(units, 20, 0.01) == 20


def frames_of(capture: Path) -> list[bytes]:
    data = capture.read_bytes()
    frames, at = [], 24
    while at + 16 <= len(data):
        size = struct.unpack_from("=I", data, at + 8)[0]
        frames.append(data[at + 16 : at + 16 + size])
        at += 16 + size
    return frames


def inject(units: Units, interface: str, frames: list[bytes]) -> None:
    words = units.command(NETWORK, sys.executable, "-P", "-m", "scenarios.live.inject", interface)
    text = b"".join(len(frame).to_bytes(2, "big") + frame for frame in frames)
    subprocess.run(words, input=text, env={"PYTHONPATH": str(ROOT)}, check=True, timeout=20)


def test_a_stranger_achieves_nothing_but_counts(units: Units) -> None:
    """What was said before is said again, changed and unchanged, with what was never said, to unit a."""
    with units.capture(unit_place("a"), OUTSIDE, "udp") as capture:
        assert echoes(units, 30, 0.01) == 30
    to_a = bytes.fromhex(ENDS["a"]["mac"].replace(":", ""))
    said = [frame for frame in frames_of(capture) if frame[:6] == to_a and frame[42] >> 4 == 1]
    agreed = [frame for frame in frames_of(capture) if frame[:6] == to_a and frame[42] >> 4 == 0]
    assert len(said) >= 30, f"{len(frames_of(capture))} frames"
    draw = random.Random(78)
    forged = []
    for frame in said * 4:
        changed = bytearray(frame)
        changed[draw.randrange(42 + 14, len(frame))] ^= 1 << draw.randrange(8)  # behind session and number: text, tag, fields
        changed[42 + 6 : 42 + 14] = (1 << 40 | draw.getrandbits(32)).to_bytes(8, "big")  # a number that is yet to come
        forged.append(bytes(changed))
    noise = [said[0][:42] + b"\x11" + draw.randbytes(len(said[0]) - 43) for _ in range(200)]
    flood = [said[0][:42] + bytes([1 + draw.randrange(4), 1, 0, 0]) + draw.randbytes(len(said[0]) - 46) for _ in range(200)]
    before = units.counts("a")
    inject(units, "to_a", said + forged + noise + flood + agreed)
    time.sleep(0.3)
    after = units.counts("a")
    gained = {row: count - before["from_port_1"][row] for row, count in after["from_port_1"].items()}
    assert gained["replayed"] + gained["unknown_epoch"] + gained["stale"] >= len(said)
    assert gained["forged"] + gained["malformed"] + gained["unknown_epoch"] + gained["unknown_session"] >= len(forged) + len(noise)
    assert gained["agreement"] + gained["agreement_full"] >= len(flood) + len(agreed)
    assert after["to_host"]["given"] - before["to_host"]["given"] <= 2, "nothing but what hosts say by themselves"
    assert after["unit_holds"]["packets_under_way"] == 0
    assert after["key"]["begun"] == before["key"]["begun"] and after["key"]["ready"]
    assert echoes(units, 30, 0.01) == 30


@pytest.fixture(name="by_volume", scope="module")
def _by_volume(folder: Path) -> Iterator[Units]:
    """Units over a network that loses, whose keys are replaced by what they have sealed and not by time."""
    own = folder / "by-volume"
    own.mkdir()
    with Units(own) as units:
        units.connect(LOSSY, rekey_s=3600, rekey_mb=REKEY_MEGABYTES, overlap_ms=100)
        yield units
        for name, counted in units.disconnect().items():
            assert counted["mbufs_lost"] == 0, name


def lost_of(before: dict[str, int], after: dict[str, int]) -> float:
    """The share of frames of one direction that a network lost."""
    gained = {fate: count - before[fate] for fate, count in after.items()}
    return 1 - gained["passed"] / sum(gained.values())


def test_keys_are_replaced_by_volume_under_iperf3(by_volume: Units) -> None:
    """TCP whole and UDP with hardly a datagram less, in either direction, over a network that loses one in thirty."""
    units = by_volume
    before = {name: units.counts(name) for name in ENDS}
    network = units.network.ask("/foreflow/stage")
    tcp = units.iperf3("-n", "3M", "-b", "24M")
    back = units.iperf3("-n", "3M", "-b", "24M", "-R")
    udp = units.iperf3("-n", "1M", "-b", "12M", "-u", "-l", "1200")
    after = {name: units.counts(name) for name in ENDS}
    lost = {way: lost_of(network[way], units.network.ask("/foreflow/stage")[way]) for way in ("from_port_0", "from_port_1")}
    assert min(lost.values()) > 0.01, lost
    for end in (tcp, back):
        assert end["sum_received"]["bytes"] > 2_500_000, "less what was on its way when the client stopped counting"
    assert udp["sum"]["packets"] > 800 and udp["sum"]["lost_percent"] < 0.5, udp["sum"]
    for name in ENDS:
        sealed = after[name]["to_network"]["bytes"] - before[name]["to_network"]["bytes"]
        rekeyed = after[name]["key"]["rekeyed"] - before[name]["key"]["rekeyed"]
        # Whoever has sealed so much has both keyed anew; it may take a while where what is said of it is lost.
        assert rekeyed >= sealed / (REKEY_MEGABYTES * 1e6) / 2 > 1.5, (name, rekeyed, sealed)
        assert after[name]["key"]["begun"] == before[name]["key"]["begun"]
        for group, wrong in (("from_port_0", ("key_spent", "no_session")), ("from_port_1", ("forged", "unknown_epoch", "unknown_session"))):
            assert all(after[name][group][row] == before[name][group][row] for row in wrong), (name, after[name][group])


def tshark(capture: Path, keys: Path, *arguments: str) -> list[list[str]]:
    """Rows of tab-separated fields."""
    command = ["tshark", "-n", "-r", str(capture), "-X", f"lua_script:{DISSECTOR}", "-o", f"foreflow.shard.ports:{PORT}", "-o", f"foreflow.shard.keys:{keys}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True, timeout=120)
    assert "Lua" not in done.stderr, done.stderr
    return [line.split("\t") for line in done.stdout.splitlines()]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_wireshark_reads_what_passes_between_the_runners(by_volume: Units) -> None:
    """With the units' own key log: every datagram of either direction verifies, and their packets are what the hosts sent and got."""
    units = by_volume
    while units.counts("a")["key"]["sealed_bytes"] < 0.88e6 * REKEY_MEGABYTES:
        units.iperf3("-n", "40K", "-b", "20M", "-u", "-l", "1200")
    keyed = units.counts("a")["key"]["rekeyed"]
    with contextlib.ExitStack() as captures:
        wires = {name: captures.enter_context(units.capture(unit_place(name), OUTSIDE, "udp")) for name in ENDS}
        hosts = {host: captures.enter_context(units.capture(host, "eth0", "ip")) for host in ADDRESSES}
        assert echoes(units, 20, 0.004, 1472) >= 19
        for _ in range(20):
            if units.counts("a")["key"]["rekeyed"] > keyed:
                break
            units.iperf3("-n", "40K", "-b", "20M", "-u", "-l", "1400")
        assert echoes(units, 20, 0.004, 300) >= 19
    keys = units.folder / "keys.log"
    wrong = ("fault", "forged", "repeated", "conflict", "mixed_epoch", "cut")
    wanted = [word for field in ("tag.status", "type", "epoch", "total", "reassembled.data", *wrong) for word in ("-e", f"foreflow.shard.{field}")]
    for name, host, other in (("a", LEFT, RIGHT), ("b", RIGHT, LEFT)):
        to_unit = f"eth.dst == {ENDS[name]['mac']}"
        rows = tshark(wires[name], keys, "-Y", f"{to_unit} && foreflow.shard.type", "-T", "fields", *wanted)
        assert {row[0] for row in rows} == {"good"} and len(rows) > 40, name
        assert {row[1] for row in rows} >= {"1", "3"}, "data and feedback"
        assert len({row[2] for row in rows}) >= 2, "before and after the new key"
        assert {row[3] for row in rows} >= {"1", "2"}, "whole packets and such in fragments"
        assert not any(word for row in rows for word in row[5:]), wrong
        whole = Counter(bytes.fromhex(row[4].replace(":", "")) for row in rows if row[4])
        whole = Counter({frame: count for frame, count in whole.items() if frame[12:14] == IPV4})
        # Of the other host: what it sent, as its own kernel saw it, and what this one received.
        from_other = bytes.fromhex(HOST_MACS[other].replace(":", ""))
        sent, got = (Counter(frame for frame in frames_of(hosts[each]) if frame[6:12] == from_other) for each in (other, host))
        assert whole == got, f"{name}: {sum((whole - got).values())} more, {sum((got - whole).values())} fewer"
        assert not got - sent and sum(got.values()) >= 38
        assert sum((sent - got).values()) <= 2, f"{name}: lost for good"
