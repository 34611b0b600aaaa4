# SPDX-License-Identifier: BSD-3-Clause
"""Two packet dynamics units carry real connections whole over a network that is not a good one, whatever happens to either."""

from __future__ import annotations

import random
import re
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datasets.record.namespaces import stop
from datasets.record.programs import start_nginx
from scenarios.live.runner import ROOT
from scenarios.live.units import ADDRESSES, ENDS, LEFT, NETWORK, OUTSIDE, RIGHT, Units, unit_place
from scenarios.live.world import sha256, write_random

GOOD: dict[str, object] = {}
BAD = {
    "delay_us": 300, "jitter_us": 200, "late": 0.02, "late_least_us": 300, "late_most_us": 1500,
    "burst": {"to_bad": 0.01, "to_good": 0.4}, "loss": 0.005, "duplicate": 0.01, "duplicate_after_us": 100, "corrupt": 0.01,
}  # fmt: skip
REKEY_SECONDS = 0.4
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
    capture = units.folder / "said.pcap"
    # Where they arrive: what net_af_packet sends passes no tap on its way out.
    listen = units.start(unit_place("a"), "tcpdump", "-i", OUTSIDE, "-n", "-s", "0", "-Z", "root", "--immediate-mode", "-U", "-w", str(capture), "udp", log="listen")
    while "listening on" not in (units.folder / "listen.log").read_text():
        time.sleep(0.01)
    assert echoes(units, 30, 0.01) == 30
    time.sleep(0.2)
    stop(listen)
    to_a = bytes.fromhex(ENDS["a"]["mac"].replace(":", ""))
    said = [frame for frame in frames_of(capture) if frame[:6] == to_a and frame[42] >> 4 == 1]
    agreed = [frame for frame in frames_of(capture) if frame[:6] == to_a and frame[42] >> 4 == 0]
    assert len(said) >= 30, f"{len(frames_of(capture))} frames; {(units.folder / 'listen.log').read_text()}"
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
