# SPDX-License-Identifier: BSD-3-Clause
"""The runner under control, at sockets of this host: DPDK ports that carry nothing, and the Python client."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import secrets
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

core = pytest.importorskip("foreflow_core")

from foreflow import config  # noqa: E402
from foreflow.errors import Failed, Refused  # noqa: E402
from foreflow.live import control  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
DPDK = Path(os.environ.get("FOREFLOW_DPDK", "")) / "bindings" / "foreflow-dpdk"
pytestmark = pytest.mark.skipif(not DPDK.is_file(), reason="FOREFLOW_DPDK names no build with the runner")
EAL = ["--no-huge", "-m", "256", "--no-pci", "--no-telemetry"]
SILENT = ("net_null0,no-rx=1", "net_null1,no-rx=1")  # ports
RULE = {"priority": 5, "protocol": "tcp", "action": {"verb": "drop"}}


def rules(count: int) -> list[dict[str, Any]]:
    return [{**RULE, "id": i, "destination_port": [i, i]} for i in range(count)]


class Served:
    """A runner and the keys of its peers."""

    def __init__(self, folder: Path, arm: str = "reactive", ports: tuple[str, ...] = SILENT, options: tuple[str, ...] = (), **changes: Any) -> None:
        self.folder = folder
        self.ports, self.options = ports, options
        self.device = control.generate(folder / "device")
        peers = []
        for name, may in (("operator", ["rules", "keys", "profiles", "statistics"]), ("reader", ["statistics"])):
            public = control.generate(folder / name)
            peers.append({"public_key": public.hex(), "may": may})
        control.generate(folder / "stranger")
        self.document = {"listen": {"udp": "127.0.0.1:0", "tcp": "127.0.0.1:0"}, "key_file": str(folder / "device"), "most_rules": 5000, "peers": peers}
        run = config.resolved_for_run(config.resolve("tag", ["device.flow_entries=40"]), arm, 1, Path("-"), folder)
        (folder / "RESOLVED.json").write_text(json.dumps({**run, **changes}))

    def start(self) -> None:
        (self.folder / "control.json").write_text(json.dumps(self.document))
        self.log = self.folder / f"log-{secrets.token_hex(3)}"
        with self.log.open("w") as log, (self.folder / "result.json").open("w") as result:
            self.process = subprocess.Popen(
                [DPDK, "nic", self.folder / "RESOLVED.json", "--json", "--control", self.folder / "control.json", *self.options, "--", *EAL,
                 *(f"--vdev={port}" for port in self.ports), f"--file-prefix=control-{os.getpid()}-{secrets.token_hex(3)}"],
                stdout=result, stderr=log, env={**os.environ, "RUNTIME_DIRECTORY": str(self.folder)},
            )  # fmt: skip
        end = time.monotonic() + 30
        while not (match := re.search(r"under control at udp (\S+), tcp (\S+)", self.log.read_text())):
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)
        self.udp, self.tcp = match.groups()
        # A restarted one is found where it was.
        self.document["listen"] = {"udp": self.udp, "tcp": self.tcp}

    def stop(self, how: signal.Signals = signal.SIGTERM) -> dict[str, Any] | None:
        self.process.send_signal(how)
        code = self.process.wait(timeout=20)
        if how == signal.SIGKILL:
            return None
        assert code == 0, self.log.read_text()
        return json.loads((self.folder / "result.json").read_text())

    def client(self, name: str = "operator", transport: str = "udp", **options: Any) -> control.Client:
        secret = control.load_secret(self.folder / name)
        return control.Client(self.udp if transport == "udp" else self.tcp, secret, self.device, transport=transport, **options)


@pytest.fixture(name="served")
def _served(tmp_path: Path) -> Iterator[Served]:
    served = Served(tmp_path)
    served.start()
    yield served
    if served.process.poll() is None:
        served.stop()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_rules_change_and_are_counted(served: Served, transport: str) -> None:
    with served.client(transport=transport) as client:
        client.connect()
        client.set_rules(rules(1000))
        first = client.wait_in_force()
        client.put_rule({**RULE, "id": 7, "priority": 9})
        client.erase_rule(8)
        assert client.wait_in_force() == first + 1
        assert client.counts["whole"] == 1
        statistics = client.statistics()
        assert statistics["control_batches"] == 2
        assert statistics["control_changes"] == 1002
        assert statistics["control_refused_malformed"] == 0
    document = served.stop()
    assert document is not None
    assert document["control"]["rules"] == 999
    assert document["control"]["generation"] == first + 1


def test_rules_that_cannot_be_had_change_nothing(served: Served) -> None:
    with served.client() as client:
        client.connect()
        client.set_rules(rules(3))
        generation = client.wait_in_force()
        client.put_rule({**RULE, "id": 99, "action": {"verb": "forward", "meter": 60}})
        with pytest.raises(Refused, match="meter of rule 99"):
            client.wait_in_force()
        client.set_rules(rules(5001))
        with pytest.raises(Refused, match="room for 5000 rules"):
            client.wait_in_force()
        assert client.generation == generation
        client.set_rules(rules(4))
        assert client.wait_in_force() > generation
    with served.client() as client:
        with pytest.raises(core.Refusal, match="replace says first"):
            client.put_rule({**RULE, "id": 1})
        with pytest.raises(Refused, match="priority"):
            client.set_rules([{"id": 1, "action": {"verb": "drop"}}])


def test_filters_in_the_form_of_classbench(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "filters"
    file.write_text("@10.0.0.0/8\t192.168.1.0/24\t0 : 65535\t80 : 80\t0x06/0xFF\t0x0000/0x0000\n@0.0.0.0/0\t0.0.0.0/0\t0 : 65535\t0 : 65535\t0x00/0x00\n")
    with served.client() as client:
        client.connect()
        client.set_rules(str(file))
        client.wait_in_force()
        assert client.rules == 2
        assert client.statistics()["control_changes"] == 2
        file.write_text("@10.0.0.0/40 0.0.0.0/0 0 : 1 0 : 1 0x06/0xFF\n")
        with pytest.raises(Refused, match="filters:1: source"):
            client.set_rules(str(file))


def test_tag_keys_rotate_by_epochs(served: Served) -> None:
    with served.client() as client:
        client.connect()
        client.rotate_keys(3, secrets.token_bytes(16), 0.5)
        with pytest.raises(Refused, match="the epoch is not later than the one in use"):
            client.rotate_keys(3, secrets.token_bytes(16), 0.5)
        client.rotate_keys(4, secrets.token_bytes(16), 0.5)
    result = served.stop()
    assert result is not None
    assert result["counters"]["tag_rotations"] == 2


def test_a_peer_does_what_it_may(served: Served) -> None:
    with served.client("reader") as reader:
        reader.connect()
        before = reader.statistics()["control_refused_forbidden"]
        reader.set_rules(rules(3))
        with pytest.raises(Refused, match="this key may not do that"):
            reader.wait_in_force()
        with pytest.raises(Refused, match="this key may not do that"):
            reader.rotate_keys(1, bytes(16), 1)
        assert reader.statistics()["control_refused_forbidden"] == before + 2
        assert reader.statistics()["control_batches"] == 0
    with served.client("stranger") as stranger, pytest.raises(Failed, match="no device answers"):
        stranger.connect(1.5)
    with served.client("reader") as reader:
        reader.connect()
        assert reader.statistics()["channel_unknown_peer"] > 0


FIRST_PORT, SERVICES, ROUNDS, FRAME_BYTES, APART_US = 2001, 5, 400, 60, 1000


def rounds_of_services(path: Path) -> None:
    """One VM's datagrams to five ports of one host in turn, one every millisecond, as a pcap file."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for i in range(SERVICES * ROUNDS):
            ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, FRAME_BYTES - 14, i, 0, 64, 17, 0, bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2]))
            udp = struct.pack(">HHHH", 40_000, FIRST_PORT + i % SERVICES, FRAME_BYTES - 34, 0)
            frame = (bytes.fromhex("020000000002020000000001") + b"\x08\x00" + ip + udp).ljust(FRAME_BYTES, b"\0")
            seconds, micros = divmod(i * APART_US, 1_000_000)
            file.write(struct.pack("<IIII", 1_700_000_000 + seconds, micros, len(frame), len(frame)) + frame)


@pytest.fixture(name="talking")
def _talking(tmp_path: Path) -> Iterator[Served]:
    """A runner that has carried `rounds_of_services` at the times of the capture; four of the services have a rule."""
    rounds_of_services(tmp_path / "rounds.pcap")
    spelled = config.complete_rules(
        [{"id": 10 + i, "priority": 1, "destination_port": [FIRST_PORT + i] * 2, "action": {"verb": "drop" if i == 3 else "forward"}} for i in range(SERVICES - 1)],
        "rules",
    )
    served = Served(tmp_path, "predictive", (f"net_pcap0,rx_pcap={tmp_path / 'rounds.pcap'}",), ("--clock", "virtual"), rules=spelled)
    served.start()
    yield served
    if served.process.poll() is None:
        served.stop()


def all_carried(client: control.Client) -> dict[str, int]:
    end = time.monotonic() + 20
    while (statistics := client.statistics())["packets_in"] < SERVICES * ROUNDS:
        assert time.monotonic() < end, statistics
        time.sleep(0.02)
    return statistics


def test_rules_and_tags_are_counted_one_by_one(talking: Served) -> None:
    with talking.client("reader") as client:
        client.connect()
        statistics = all_carried(client)
        assert client.rule_statistics() == {10 + i: (ROUNDS, ROUNDS * FRAME_BYTES) for i in range(SERVICES - 1)}
        assert statistics["packets_of_no_rule"] == ROUNDS
        assert statistics["packets_of_later_rules"] == 0
        tag_rules, classes = client.tag_rule_statistics(), client.tag_class_statistics()
    with talking.client() as client:  # a rule that comes has no room of its own
        client.connect()
        client.set_rules([{"id": 10, "priority": 1, "action": {"verb": "forward"}}])
        client.wait_in_force()
        assert client.rule_statistics() == {}  # of a whole set: begun anew
    report = talking.stop()
    assert report is not None
    told = {f"{kind}_{status}": count for kind, row in report["counters"]["tags_by_type"].items() for status, count in row.items() if count}
    assert classes == told and sum(told.values()) > 0
    assert sum(packets for packets, _ in tag_rules.values()) == sum(count for name, count in told.items() if name.endswith("_valid"))


def test_profiles_are_read_and_told(talking: Served, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        device = [talking.udp, "--key", str(tmp_path / "operator"), "--device", str(tmp_path / "device.pub")]
        return subprocess.run([sys.executable, "-P", "-m", "foreflow", "control", words[0], *device, *words[1:]], capture_output=True, text=True, check=False, timeout=60)  # fmt: skip

    with talking.client() as client:
        client.connect()
        before = all_carried(client)
        rows = client.profile(1)
        # The VM was at the last service: from the first one on, surely, a millisecond apart.
        assert [row["destination_port"] for row in rows] == [FIRST_PORT + i for i in range(4)]
        for step, row in enumerate(rows, 1):
            assert (row["l3"], row["protocol"], row["source"], row["destination"], row["vlan"]) == ("ipv4", 17, "10.0.0.1", "10.0.0.2", None)
            assert row["confidence"] > 0.9 and row["type"] is not None and 0 < row["type_confidence"] <= 1
            assert row["horizon_s"] == pytest.approx(step * APART_US / 1e6, abs=1e-6)
        assert client.profile(2) == []
        with pytest.raises(Refused, match=r"vm = 65; allowed is 1 \.\. 64"):
            client.profile(65)
        # Another VM is said to come with the same: entries are there before it does, once.
        moved = [{**row, "source": "10.0.0.7", "horizon_s": None} for row in rows]
        client.tell_profile(2, moved)
        client.tell_profile(2, [*moved[:1], {**moved[0], "source": "10.0.0.8", "confidence": 0.01}])
        after = client.statistics()
        assert (after["profile_rows"], after["installs_by_profile"]) == (6, 4)
        assert after["installs_predicted"] == before["installs_predicted"] + 4
        for row, why in (({**moved[0], "source": "10.0.0"}, "address of ipv4"), ({**moved[0], "confidence": 2}, "confidence = 2; allowed is 0 .. 1"),
                         ({**moved[0], "colour": 1}, "unknown key")):  # fmt: skip
            with pytest.raises(Refused, match=why):
                client.tell_profile(2, [row])
    shown = run("profile", "1", "--json")
    assert shown.returncode == 0 and json.loads(shown.stdout) == {"vm": 1, "rows": rows}, shown.stderr
    (tmp_path / "profile.json").write_text(json.dumps({"vm": 3, "rows": rows}))
    told = run("tell", str(tmp_path / "profile.json"))
    assert told.returncode == 0 and told.stdout == "vm 3: 4 rows told\n", told.stderr
    by_rule = run("stats", "--rules")
    assert by_rule.returncode == 0 and re.search(rf"rule +10  packets +{ROUNDS}  bytes +{ROUNDS * FRAME_BYTES}\n", by_rule.stdout), by_rule.stderr
    with talking.client("reader") as reader:
        reader.connect()
        assert reader.profile(1) == rows
        with pytest.raises(Refused, match="this key may not do that"):
            reader.tell_profile(2, rows)


def test_who_predicts_nothing_has_no_profile(served: Served) -> None:
    with served.client() as client:
        client.connect()
        for ask in (lambda: client.profile(1), lambda: client.tell_profile(1, [{"source": "10.0.0.1", "destination": "10.0.0.2"}])):
            with pytest.raises(Refused, match="--arm predictive"):
                ask()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_rubbish_achieves_nothing_but_counts(served: Served, transport: str) -> None:
    chance = random.Random(5)
    host, port = (served.udp if transport == "udp" else served.tcp).rsplit(":", 1)

    def packet() -> bytes:
        return chance.randbytes(chance.choice([1, 16, 80, 144, 148, 600, 1200]))

    for _ in range(20):
        kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
        with socket.socket(socket.AF_INET, kind) as rubbish:
            rubbish.connect((host, int(port)))
            if transport == "udp":
                for _ in range(10):
                    rubbish.send(packet())
            else:
                for _ in range(10):
                    framed = packet()
                    rubbish.sendall(len(framed).to_bytes(2, "big") + framed)
                with contextlib.suppress(OSError):  # a stream that breaks is closed
                    rubbish.sendall(b"\xff\xff" + packet())
                    rubbish.shutdown(socket.SHUT_WR)
                    while rubbish.recv(4096):
                        pass
    with served.client(transport=transport) as client:
        client.connect()
        client.set_rules(rules(2))
        client.wait_in_force()
        statistics = client.statistics()
    refused = sum(statistics[f"channel_{status}"] for status in ("truncated", "unknown_type", "unknown_session", "not_for_us"))
    # Hardly any reads as one of the other kinds; what the kernel has no room for of datagrams is lost.
    assert (100 if transport == "udp" else 180) < refused <= 200
    assert statistics["control_batches"] == 1
    assert statistics["control_refused_malformed"] == 0


def test_either_side_restarts(served: Served) -> None:
    with served.client(retransmit=0.05) as client:
        client.connect()
        client.set_rules(rules(300))
        client.wait_in_force()
        served.stop(signal.SIGKILL)
        client.put_rule({**RULE, "id": 1000})
        client.serve(0.2)
        served.start()  # with the rules of its configuration
        client.wait_in_force(20)
        generation = client.generation
    with served.client() as again:  # knows nothing of what was
        again.connect()
        again.set_rules([*rules(300), {**RULE, "id": 1000}])
        assert again.wait_in_force() == generation
        assert again.counts["batches"] == 0


def test_the_command_line(served: Served, tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "foreflow", "control", *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    made = run("keygen", str(tmp_path / "new"))
    assert made.returncode == 0 and (tmp_path / "new.pub").read_text() == made.stdout
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o600
    again = run("keygen", str(tmp_path / "new"))
    assert again.returncode == 2 and "never overwritten" in again.stderr
    device = [served.udp, "--key", str(tmp_path / "operator"), "--device", str(tmp_path / "device.pub")]
    (tmp_path / "rules.yaml").write_text(json.dumps({"rules": rules(20)}))
    given = run("rules", *device, str(tmp_path / "rules.yaml"), "--json")
    assert given.returncode == 0, given.stderr
    assert json.loads(given.stdout)["rules"] == 20
    shown = run("stats", *device)
    assert shown.returncode == 0 and re.search(r"control_changes +20\n", shown.stdout), shown.stderr
    (tmp_path / "operator").chmod(0o644)
    refused = run("stats", *device)
    assert refused.returncode == 2 and "chmod 600" in refused.stderr
    nobody = run("stats", "127.0.0.1:9", "--key", str(tmp_path / "new"), "--device", served.device.hex(), "--timeout", "0.5")
    assert nobody.returncode == 1 and "no device answers" in nobody.stderr


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"listen": {"udp": None, "tcp": None}}, "listen.udp is null"),
        ({"listen": {"udp": "127.0.0.1", "tcp": None}}, "ADDRESS:PORT"),
        ({"listen": {"udp": "192.0.2.7:7700", "tcp": None}}, "cannot be had"),
        ({"peers": []}, "one or more peers"),
        ({"peers": [{"public_key": "00", "may": []}]}, "64 lower-case hex digits"),
        ({"peers": [{"public_key": "ab" * 32, "may": ["all"]}]}, "rules, keys, profiles, statistics"),
        ({"peers": [{"public_key": "ab" * 32, "may": []}] * 2}, "not there twice"),
        ({"key_file": "/nonexistent/key"}, "no such key file"),
        ({"most_rules": 0}, "1 .. 1000000"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_wrong_control_file_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    served = Served(tmp_path)
    (tmp_path / "control.json").write_text(json.dumps({**served.document, **change}))
    ports = [f"--vdev={port}" for port in SILENT]
    command = [DPDK, "nic", tmp_path / "RESOLVED.json", "--control", tmp_path / "control.json", "--", *EAL, *ports, f"--file-prefix=control-{secrets.token_hex(4)}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "RUNTIME_DIRECTORY": str(tmp_path)})
    assert done.returncode == 2, done.stderr
    assert sentence in done.stderr.splitlines()[-1]
