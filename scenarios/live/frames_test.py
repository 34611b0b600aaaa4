# SPDX-License-Identifier: BSD-3-Clause
"""Frames that are not everyday's: VLAN tags, unknown protocols, frames above the MTU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from scenarios.live.connections_test import large_ping, ping
from scenarios.live.world import DESK, HOSTS, SWITCH, WEB, Capture, Host, World

scapy = pytest.importorskip("scapy.all")


def send(world: World, host: Host, frames: list[bytes]) -> None:
    """Puts frames on the wire of a host as they are."""
    code = "import socket,sys; s=socket.socket(socket.AF_PACKET,socket.SOCK_RAW); s.bind(('eth0',0))\n"
    code += "for f in sys.argv[1:]: s.send(bytes.fromhex(f))"
    world.run(host.name, "/usr/bin/python3", "-c", code, *(frame.hex() for frame in frames))


def wait_for_frames(world: World, host: Host) -> None:
    """What was sent before has arrived when an echo that was sent after it is answered."""
    assert "1 received" in ping(world, host, WEB.v4, 56, 1)


def test_vlan_tags_arrive_as_they_left(world: World) -> None:
    sent = []
    for vlan, priority, size in ((7, 3, 10), (4094, 0, 500), (7, 7, 1400)):
        inner = scapy.IP(src=DESK.v4, dst=WEB.v4) / scapy.UDP(sport=4000, dport=9) / bytes(size)
        sent.append(bytes(scapy.Ether(src=DESK.mac, dst=WEB.mac) / scapy.Dot1Q(vlan=vlan, prio=priority) / inner))
    with Capture(world, WEB, "vlan") as got:
        send(world, DESK, sent)
        wait_for_frames(world, DESK)
    # In any order: what is predicted of each chooses its queue.
    assert sorted((frame.wire_bytes, frame.data) for frame in got.frames) == [(len(frame), frame[:128]) for frame in sent]


@pytest.mark.parametrize("world", ["bridge", "runner_on_libpcap"], indirect=True)
def test_service_tags_arrive_as_they_left(world: World) -> None:
    """Not over net_af_packet: it makes every outer tag one of 802.1Q."""
    inner = scapy.IP(src=DESK.v4, dst=WEB.v4) / scapy.UDP(sport=4000, dport=9) / bytes(100)
    tagged = scapy.Dot1AD(vlan=100) / scapy.Dot1Q(vlan=7) / inner
    sent = [bytes(scapy.Ether(src=DESK.mac, dst=WEB.mac) / tagged)]
    with Capture(world, WEB, "ether[12:2] == 0x88a8 or vlan") as got:
        send(world, DESK, sent)
        wait_for_frames(world, DESK)
    assert [(frame.wire_bytes, frame.data) for frame in got.frames] == [(len(frame), frame[:128]) for frame in sent]


def test_a_protocol_without_ip_arrives(world: World) -> None:
    sent = [bytes(scapy.Ether(src=DESK.mac, dst=WEB.mac, type=0x88B5)) + bytes(range(100))]  # for experiments (IEEE 802)
    with Capture(world, WEB, "ether proto 0x88b5") as got:
        send(world, DESK, sent)
        wait_for_frames(world, DESK)
    assert [frame.data for frame in got.frames] == sent


def test_a_broadcast_arrives_at_every_other_port_once(world: World) -> None:
    sent = bytes(scapy.Ether(src=DESK.mac, dst="ff:ff:ff:ff:ff:ff", type=0x88B5)) + bytes(46)
    others = [host for host in HOSTS if host is not DESK]
    captures = [Capture(world, host, "ether proto 0x88b5") for host in others]
    with captures[0], captures[1], captures[2]:
        send(world, DESK, [sent])
        for host in others:
            assert "1 received" in ping(world, DESK, host.v4, 56, 1)
    assert [[frame.data for frame in capture.frames] for capture in captures] == [[sent]] * len(others)


def dropped(world: World) -> Counter[str]:
    return Counter(world.between.ask("/foreflow/drops"))


@pytest.fixture(name="jumbo")
def _jumbo(world: World) -> Iterator[None]:
    """Two hosts believe in frames of 4000 bytes, and their wires carry them."""

    def set_mtu(mtu: int) -> None:
        for host in (DESK, WEB):
            world.ip(host.name, "link", "set", "eth0", "mtu", str(mtu))
            world.ip(SWITCH, "link", "set", host.port_name, "mtu", str(mtu))

    set_mtu(4000)
    yield
    set_mtu(1500)


@pytest.mark.parametrize("world", ["runner"], indirect=True)
def test_a_frame_above_the_mtu_is_dropped_whole_and_counted(world: World, jumbo: None) -> None:
    before = dropped(world)
    with Capture(world, WEB, f"icmp and src host {DESK.v4}") as got:
        assert "0 received" in ping(world, DESK, WEB.v4, 3000, 3, wait=0.5)
        assert "5 received" in ping(world, DESK, WEB.v4, 1400)
    assert len(got.frames) == 5, "not even a part of it arrives"
    assert dropped(world) - before == {"malformed": 3}


@pytest.mark.parametrize("world", ["runner"], indirect=True)
def test_fragments_of_ipv4_are_counted_where_the_driver_joins_them(world: World) -> None:
    """Two datagrams that the kernel put together for net_af_packet, longer than its frames: dropped, and not in silence."""
    before = dropped(world)
    assert "0 received" in large_ping(world, WEB.v4, wait=0.5)
    assert dropped(world) - before == {"malformed": 2}
