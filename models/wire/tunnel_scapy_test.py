# SPDX-License-Identifier: BSD-3-Clause
"""The committed outer packets are scapy's, and Wireshark reads in them what went in."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from scapy import all as scapy

sys.path.insert(0, str(Path(__file__).parent / "vectors"))
import make_tunnels  # noqa: E402


def blocks() -> list[dict[str, str]]:
    text = make_tunnels.PATH.read_text()
    return [dict(line.split(" ", 1) for line in block.splitlines()) for block in text.split("\n\n")[1:] if block]


def test_outer_packets_are_scapys() -> None:
    committed = make_tunnels.PATH.read_text()
    assert make_tunnels.regenerated(committed) == committed


@pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")
def test_wireshark_reads_them(tmp_path: Path) -> None:
    packets = blocks()
    scapy.wrpcap(str(tmp_path / "outer.pcap"), [scapy.Ether(bytes.fromhex(block["outer"])) for block in packets])
    command = ["tshark", "-r", str(tmp_path / "outer.pcap"), "-T", "json", "-o", "udp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE", "-n"]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, text=True).stdout)
    assert len(told) == len(packets)
    for block, packet in zip(packets, told):
        seen = packet["_source"]["layers"]
        tunnel = block["name"].split("_", 1)[0]
        assert int(seen[tunnel][f"{tunnel}.vni"], 0) == 0x0A0B0C, block["name"]
        names = seen["frame"]["frame.protocols"].split(":")
        inner = make_tunnels.evaluate(block["scapy"].split(" | ")[1])
        assert names[names.index(tunnel) + 1] == "eth", names
        last = {"TCP": "tcp", "UDP": "udp", "ARP": "arp"}
        assert any(last[kind] in names[names.index(tunnel) :] for kind in last if inner.haslayer(kind)), names
        assert "malformed" not in seen["frame"]["frame.protocols"].lower()
        text = json.dumps(seen)
        assert '"udp.checksum.status": "0"' not in text and '"ip.checksum.status": "0"' not in text, block["name"]
        if "option" in block["name"]:
            assert "geneve.options" in text and "0102030405060708" in text.replace(":", "")
