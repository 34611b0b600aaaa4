#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Makes vectors.txt: packets built by scapy, and what scapy reads in their bytes.

Of each block in vectors.txt the first three lines (name, link, scapy) are the recipe, written by hand or
printed by PacketBuilder::Scapy(). This program evaluates the recipe and rewrites the lines below it. To add
a packet, add its three lines and an empty one, and run this.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from scapy import all as scapy
from scapy.layers.ipsec import AH

PATH = Path(__file__).with_name("vectors.txt")
COMMENT = "# Made by make_vectors.py with scapy. Recipe: name, link, scapy. The rest is computed.\n\n"
RECIPE = ("name", "link", "scapy")
IPV6_EXTENSIONS = (
    scapy.IPv6ExtHdrHopByHop,
    scapy.IPv6ExtHdrDestOpt,
    scapy.IPv6ExtHdrRouting,
    scapy.IPv6ExtHdrFragment,
    AH,
)
# Bindings that scapy lacks.
scapy.bind_layers(scapy.Ether, scapy.Dot1Q, type=0x9100)
scapy.bind_layers(AH, scapy.IPv6ExtHdrDestOpt, nh=60)
ECHOES = {"icmp": (0, 8), "icmpv6": (128, 129)}


def evaluate(expression: str) -> bytes:
    """The bytes of a scapy expression."""
    names = {name: getattr(scapy, name) for name in dir(scapy)} | {"AH": AH}
    return bytes(eval(expression, names))  # pylint: disable=eval-used


def parse(link: str, data: bytes) -> scapy.Packet:
    """`data` as scapy reads it on this link."""
    if link == "null":
        data = data[4:]
        link = "raw"
    if link == "raw":
        return (scapy.IP if data[0] >> 4 == 4 else scapy.IPv6)(data)
    return {"ethernet": scapy.Ether, "sll": scapy.CookedLinux, "sll2": scapy.CookedLinuxV2}[link](data)


def layers(packet: scapy.Packet) -> Iterator[scapy.Packet]:
    """The packet's layers from the outside in."""
    while not isinstance(packet, scapy.NoPayload):
        yield packet
        packet = packet.payload


def padded(address: bytes) -> str:
    """An address as the dissector holds it: 16 bytes."""
    return address.ljust(16, b"\0").hex()


def mac(text: str | None) -> bytes:
    """A MAC from scapy's text."""
    return bytes.fromhex((text or "00:00:00:00:00:00").replace(":", ""))


def fields(link: str, data: bytes) -> dict[str, object]:
    """What the dissector is to say about `data`, from what scapy says."""
    packet = parse(link, data)
    out: dict[str, object] = dict.fromkeys(
        "is_fragment is_first_fragment is_group_addressed ip_protocol dscp ecn ttl tcp_flags ethertype vlan"
        " source_port destination_port tcp_window tcp_sequence tcp_acknowledgement".split(),
        0,
    )
    out |= {"l3": "none", "l4": "none", "source_mac": mac(None).hex(), "destination_mac": mac(None).hex()}
    out |= {"source_address": padded(b""), "destination_address": padded(b"")}
    if link == "ethernet":
        out |= {"source_mac": mac(packet.src).hex(), "destination_mac": mac(packet.dst).hex()}
        out["is_group_addressed"] = mac(packet.dst)[0] & 1
    elif link in ("sll", "sll2"):
        out["source_mac"] = packet.src[:6].hex()
        out["is_group_addressed"] = int(packet.pkttype in (1, 2))

    last = packet  # the last header
    for layer in layers(packet):
        if isinstance(layer, (scapy.Raw, scapy.Padding)):
            break
        last = layer
        if isinstance(layer, (scapy.Dot1Q, scapy.Dot1AD)):
            out["vlan"] = layer.vlan
        elif isinstance(layer, scapy.ARP):
            out |= {"l3": "arp", "ethertype": 0x0806}
            out["source_address"] = padded(scapy.inet_aton(layer.psrc))
            out["destination_address"] = padded(scapy.inet_aton(layer.pdst))
        elif isinstance(layer, scapy.IP):
            out |= {"l3": "ipv4", "ethertype": 0x0800, "dscp": layer.tos >> 2, "ecn": layer.tos & 3}
            out |= {"ttl": layer.ttl, "ip_protocol": layer.proto}
            out["source_address"] = padded(scapy.inet_aton(layer.src))
            out["destination_address"] = padded(scapy.inet_aton(layer.dst))
            out["is_group_addressed"] |= int(layer.dst >= "224" or layer.dst == "255.255.255.255")
            out["is_fragment"] = int(layer.frag > 0 or bool(layer.flags.MF))
            out["is_first_fragment"] = int(layer.frag == 0 and bool(layer.flags.MF))
        elif isinstance(layer, scapy.IPv6):
            out |= {"l3": "ipv6", "ethertype": 0x86DD, "dscp": layer.tc >> 2, "ecn": layer.tc & 3}
            out |= {"ttl": layer.hlim, "ip_protocol": layer.nh}
            out["source_address"] = padded(scapy.inet_pton(scapy.socket.AF_INET6, layer.src))
            out["destination_address"] = padded(scapy.inet_pton(scapy.socket.AF_INET6, layer.dst))
            out["is_group_addressed"] |= int(layer.dst.startswith("ff"))
        elif isinstance(layer, IPV6_EXTENSIONS):
            out["ip_protocol"] = layer.nh
            if isinstance(layer, scapy.IPv6ExtHdrFragment):
                out["is_fragment"] = int(layer.offset > 0 or layer.m == 1)
                out["is_first_fragment"] = int(layer.offset == 0 and layer.m == 1)
        elif isinstance(layer, (scapy.TCP, scapy.UDP)):
            out["l4"] = "tcp" if isinstance(layer, scapy.TCP) else "udp"
            out |= {"source_port": layer.sport, "destination_port": layer.dport}
            if isinstance(layer, scapy.TCP):
                out |= {"tcp_flags": int(layer.flags), "tcp_window": layer.window}
                out |= {"tcp_sequence": layer.seq, "tcp_acknowledgement": layer.ack}
            break
        elif out["ip_protocol"] in (1, 58):
            out["l4"] = "icmp" if out["ip_protocol"] == 1 else "icmpv6"
            out["destination_port"] = layer.type << 8 | layer.code
            if layer.type in ECHOES[str(out["l4"])]:
                out["source_port"] = layer.id
            break

    padding = len(packet[scapy.Padding].load) if scapy.Padding in packet else 0
    after_last = len(bytes(last.payload)) - padding
    # scapy keeps what an ICMPv6 echo carries as a field of the header.
    after_last += len(getattr(last, "data", b"")) if out["l4"] == "icmpv6" else 0
    out["payload_bytes"] = after_last
    out["header_bytes"] = len(data) - padding - after_last
    if out["l3"] in ("ipv4", "ipv6") and out["l4"] == "none":
        has_upper_layer = (not out["is_fragment"] or out["is_first_fragment"]) and out["ip_protocol"] != 59
        out["l4"] = "other" if has_upper_layer else "none"
    return out


def regenerated(text: str) -> str:
    """The whole file anew from its recipe lines."""
    out = COMMENT
    for block in text.split("\n\n"):
        lines = dict(line.split(" ", 1) for line in block.splitlines() if line and not line.startswith("#"))
        if not lines:
            continue
        data = evaluate(lines["scapy"])
        computed = {"hex": data.hex()} | fields(lines["link"], data)
        for key in RECIPE:
            out += f"{key} {lines[key]}\n"
        out += "".join(f"{key} {value}\n" for key, value in computed.items()) + "\n"
    return out


def main() -> int:
    PATH.write_text(regenerated(PATH.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
