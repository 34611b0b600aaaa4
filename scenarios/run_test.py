# SPDX-License-Identifier: BSD-3-Clause
"""foreflow-run from outside: exit codes, one decision behind every door, traces that add up.

Usage: run_test.py FOREFLOW_RUN FOREFLOW_REPLAY FOREFLOW_REPLAY_NS3
"""

from __future__ import annotations

import copy
import json
import random
import struct
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import h5py
import numpy

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "analysis"), str(ROOT)]
from foreflow import config  # noqa: E402

RUN, REPLAY, REPLAY_NS3 = (Path(argument) for argument in sys.argv[1:4])
ARMS = ("off", "reactive", "predictive", "oracle", "anti_oracle")
ETHERNET = 1
SEED = 5


def frame(source: int, destination: int, port: int, payload: int) -> bytes:
    """A UDP frame of VM `source`."""
    udp = struct.pack("!HHHH", 40000, port, 8 + payload, 0)
    ip = struct.pack("!BBHHHBBH4B4B", 0x45, 0, 28 + payload, 0, 0, 64, 17, 0, 10, 0, 0, source, 10, 0, 1, destination)
    return bytes((2, 0, 0, 0, 0, 200, 2, 0, 0, 0, 0, source, 8, 0)) + ip + udp + bytes(payload)


def write_capture(path: Path, packets: int, silence_s: int = 0) -> None:
    """pcap: a few VMs that talk to a few peers, one of them cut short, one that is no packet at all.

    Two silences may lie in it.
    """
    draw = random.Random(SEED)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, ETHERNET))
        time = 1_600_000_000_000_000
        for number in range(packets):
            time += draw.randrange(200) + (silence_s * 1_000_000 if number in (packets // 3, packets // 2) else 0)
            wire = frame(draw.randrange(1, 12), draw.randrange(30), draw.choice((53, 123, 443, 11211)), draw.randrange(1400))
            captured = {7: wire[:20], 8: b"\0" * 14}.get(number, wire)
            file.write(struct.pack("<IIII", time // 1_000_000, time % 1_000_000, len(captured), len(wire)) + captured)


class RunTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.capture = self.folder / "input.pcap"
        write_capture(self.capture, 3000)
        self.base = config.resolve("tag", ["host.vms=8", "link.rate_mbps=10000"])

    def resolved(self, arm: str, name: str = "out") -> dict:
        out = self.folder / name
        out.mkdir(exist_ok=True)
        return config.resolved_for_run(self.base, arm, 1, self.capture, out)

    def replay(self, program: Path, resolved: dict, *options: str | Path) -> dict:
        """What a door's replay program prints."""
        file = self.folder / "resolved.json"
        file.write_text(json.dumps(resolved))
        done = subprocess.run(
            [program, "--json", "--config", file, *options, self.capture], capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def run_program(self, resolved: dict, *options: str) -> subprocess.CompletedProcess:
        file = self.folder / "resolved.json"
        file.write_text(json.dumps(resolved))
        return subprocess.run([RUN, *options, file], capture_output=True, text=True, timeout=60, check=False)

    def summary(self, resolved: dict, *options: str) -> dict:
        done = self.run_program(resolved, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("progress 3000 3000", done.stderr)
        return json.loads((Path(resolved["out"]) / "summary.json").read_text())

    def test_every_packet_is_accounted_for(self) -> None:
        for arm in ARMS:
            with self.subTest(arm=arm):
                packets = self.summary(self.resolved(arm))["packets"]
                self.assertEqual(packets["in"], 3000)
                self.assertEqual(packets["held"], 0)
                self.assertEqual(packets["in"], packets["out"] + sum(packets["dropped"].values()))
                self.assertGreater(packets["dropped"]["deny_rule"], 0, "memcached amplification is denied")
                self.assertEqual(packets["dropped"]["truncated"], 1, "the packet that was cut short")

    def test_both_doors_decide_alike(self) -> None:
        for arm in ARMS:
            with self.subTest(arm=arm):
                resolved = self.resolved(arm)
                simulated, replayed = self.replay(REPLAY_NS3, resolved), self.replay(REPLAY, resolved)
                self.assertEqual((simulated.pop("door"), replayed.pop("door")), ("ns3", "pcap"))
                # The simulated card loses what its stations and queues have no room for.
                self.assertEqual(simulated.pop("packets")["in"], replayed.pop("packets")["in"])
                self.assertEqual(simulated, replayed)

    def test_both_doors_carry_frames_through_units_alike(self) -> None:
        resolved = self.resolved("reactive")
        way = {"delay_us": 1000, "jitter_us": 50, "loss": 0.03, "late": 0.05, "late_most_us": 900, "duplicate": 0.02, "corrupt": 0.02}
        resolved["shard"] = {"unit": {"preference": "robustness", "gaps": {"rule": "learned"}}, "network": {"paths": [way]}}
        wires = [self.folder / "ns3.pcapng", self.folder / "pcap.pcapng"]
        simulated, replayed = (self.replay(program, resolved, "--wire", wire) for program, wire in zip((REPLAY_NS3, REPLAY), wires))
        self.assertEqual((simulated.pop("door"), replayed.pop("door")), ("ns3", "pcap"))
        self.assertEqual(simulated, replayed)
        self.assertTrue(wires[0].read_bytes() == wires[1].read_bytes(), "what the units send, for Wireshark")
        packets = simulated["packets"]
        self.assertEqual(packets["in"], packets["out"] + sum(packets["dropped"].values()))
        self.assertEqual(packets["dropped"]["truncated"], 2, "what was cut short goes through no unit")
        self.assertGreater(simulated["shard"]["units"][0]["sent"]["resent"], 0)

    def test_a_capture_of_years_is_simulated_like_any_other(self) -> None:
        """Silences that the simulator cannot count through are passed over, which changes no decision and no latency."""
        write_capture(self.capture, 3000, silence_s=400 * 24 * 3600)
        resolved = self.resolved("predictive")
        self.assertEqual(self.replay(REPLAY_NS3, resolved, "--trace", self.folder / "years.h5")["fingerprint"],
                         self.replay(REPLAY, resolved)["fingerprint"])
        write_capture(self.capture, 3000, silence_s=24 * 3600)
        self.replay(REPLAY_NS3, resolved, "--trace", self.folder / "days.h5")
        with h5py.File(self.folder / "years.h5") as years, h5py.File(self.folder / "days.h5") as days:
            one, other = years["packets"][:], days["packets"][:]
        self.assertEqual(one["arrival_ns"][-1] - other["arrival_ns"][-1], 2 * 399 * 24 * 3600 * 10**9)
        left = one["departure_ns"] >= 0
        self.assertTrue(numpy.array_equal(left, other["departure_ns"] >= 0))
        self.assertTrue(numpy.array_equal((one["departure_ns"] - one["arrival_ns"])[left],
                                          (other["departure_ns"] - other["arrival_ns"])[left]))

    def test_the_same_run_twice(self) -> None:
        first = self.summary(self.resolved("predictive", "first"))
        second = self.summary(self.resolved("predictive", "second"))
        for key in ("fingerprint", "packets", "counters", "cycles", "simulated_s"):
            self.assertEqual(first[key], second[key], key)

    def test_load_changes_when_and_never_what(self) -> None:
        results = []
        for cores in (1, 16):
            resolved = self.resolved("predictive", f"cores-{cores}")
            resolved["host"]["slow_path_cores"] = cores
            results.append(self.summary(resolved))
        lost = [result["packets"]["dropped"].get("station_full", 0) for result in results]
        self.assertGreater(lost[0], lost[1], "one core is not enough for the slow path")
        self.assertEqual(results[0]["fingerprint"], results[1]["fingerprint"])

    def test_the_trace_adds_up(self) -> None:
        resolved = self.resolved("predictive")
        summary = self.summary(resolved)
        with h5py.File(Path(resolved["out"]) / "trace.h5") as trace:
            packets, decisions, stations = (trace[name][:] for name in ("packets", "decisions", "stations"))
        self.assertTrue(numpy.array_equal(packets["packet"], numpy.arange(3000)), "in order of arrival")
        self.assertTrue(numpy.array_equal(decisions["packet"], numpy.arange(3000)))
        left = packets["departure_ns"] >= 0
        self.assertEqual(left.sum(), summary["packets"]["out"])
        latency = packets["departure_ns"][left] - packets["arrival_ns"][left]
        # Every byte passes the link at its rate, at 10 Gb/s 0.8 ns each.
        self.assertTrue((latency >= numpy.floor(packets["wire_bytes"][left] * 0.8)).all())
        self.assertAlmostEqual(packets["device_cycles"].mean(), summary["cycles"]["device_per_packet"])
        self.assertAlmostEqual(packets["prediction_cycles"].mean(), summary["cycles"]["prediction_per_packet"])
        count = {row["name"]: (int(row["accepted"]), int(row["refused"])) for row in stations}
        self.assertEqual(sum(count[b"host_core"]), 3000, "every packet comes to the host core")
        self.assertEqual(sum(count[b"bus_transmit"]), count[b"host_core"][0], "and what it serves, to the bus")
        self.assertEqual(sum(count[b"device"]), count[b"bus_transmit"][0])
        self.assertEqual(sum(count[b"slow_path"]), count[b"bus_punt"][0])
        refused = sum(lost for _, lost in count.values())
        self.assertEqual(refused, summary["packets"]["dropped"].get("station_full", 0))
        self.assertLessEqual(sum(count[b"bus_punt"]), decisions["punted"].sum())

    def test_bad_input_is_refused_with_a_sentence(self) -> None:
        cases = {
            "no such capture": lambda resolved: resolved.update(input=str(self.folder / "absent.pcap")),
            "unknown key": lambda resolved: resolved.update(surprise=1),
            "no queue": lambda resolved: resolved["device"].update(queue_packets=0),
            "no folder": lambda resolved: resolved.update(out=str(self.folder / "absent")),
        }
        for name, spoil in cases.items():
            with self.subTest(name):
                resolved = copy.deepcopy(self.resolved("reactive"))
                spoil(resolved)
                done = self.run_program(resolved)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertEqual(len(done.stderr.strip().splitlines()), 1, done.stderr)
        self.assertEqual(subprocess.run([RUN], capture_output=True, check=False).returncode, 2)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
