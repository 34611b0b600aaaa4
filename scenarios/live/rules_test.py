# SPDX-License-Identifier: BSD-3-Clause
"""Rules take effect while traffic flows, and on the very packets they name."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator

import pytest

from datasets.record.namespaces import stop
from scenarios.live.connections_test import ping
from scenarios.live.runner import Runner
from scenarios.live.world import DATA, DESK, WEB, Capture, Frame, World, echoes

pytestmark = pytest.mark.parametrize("world", ["runner"], indirect=True)
BURST = 32


@pytest.fixture(name="runner")
def _runner(world: World) -> Iterator[Runner]:
    yield world.between
    world.between.rules.set()
    world.between.reload()


def dropped(runner: Runner, reason: str) -> int:
    return runner.ask("/foreflow/drops").get(reason, 0)


def _identity(frame: Frame) -> bytes:
    """The number and the time that iperf3 writes into a datagram."""
    return frame.data[42:54]


def test_a_denied_stream_stops_and_others_go_on(world: World, runner: Runner) -> None:
    """1000 datagrams a second to a port; at the moment a rule denies them no more arrive than are on their way."""
    port = 5311
    before = dropped(runner, "deny_rule")
    world.iperf3_server(WEB, port)
    stream = f"udp and src host {DESK.v4} and dst port {port}"
    with Capture(world, DESK, stream) as sent, Capture(world, WEB, stream) as got, Capture(world, DESK, "icmp") as others:
        pings = world.start(DESK.name, "ping", "-q", "-i", "0.01", DATA.v4)
        # Only its datagrams are denied: the connection that steers it, at the same TCP port, goes on.
        client = world.start(DESK.name, "iperf3", "-c", WEB.v4, "-p", str(port), "-u", "-b", "8M", "-l", "1000", "-t", "60")
        time.sleep(1)
        runner.rules.set({"protocol": "udp", "destination_port": [port, port], "action": {"verb": "drop"}})
        denied = runner.reload()
        time.sleep(1)
        assert client.poll() is None
        stop(client)
        stop(pings, signal.SIGINT)
        assert "1 received" in ping(world, DESK, DATA.v4, 56, 1)  # so all before it have had time to be answered
    assert len([frame for frame in sent.frames if frame.time < denied]) >= BURST
    assert len([frame for frame in sent.frames if frame.time > denied]) > 10 * BURST
    assert len([frame for frame in got.frames if frame.time > denied]) <= BURST
    assert dropped(runner, "deny_rule") - before == len(sent.frames) - len(got.frames)
    asked, answered = echoes(others.frames)
    assert len(asked) > 50
    assert answered == asked.keys()


def test_a_denied_service_answers_again_when_the_rule_goes(world: World, runner: Runner) -> None:
    fetch = ["curl", "-sf", "--max-time", "3", "-o", "/dev/null", f"http://{WEB.v4}/small"]
    timed_out = 28  # of curl
    assert world.attempt(DESK.name, *fetch).returncode == 0
    runner.rules.set({"protocol": "tcp", "destination_port": [80, 80], "action": {"verb": "drop"}})
    runner.reload()
    assert world.attempt(DESK.name, *fetch).returncode == timed_out
    runner.rules.set()
    runner.reload()
    assert world.attempt(DESK.name, *fetch).returncode == 0


def test_a_rule_for_one_vm_leaves_the_others_alone(world: World, runner: Runner) -> None:
    runner.rules.set({"vm": DESK.vm, "l3": "ipv4", "protocol": "icmp", "action": {"verb": "drop"}})
    runner.reload()
    assert "0 received" in ping(world, DESK, WEB.v4, 56, 2, wait=0.5)
    assert "5 received" in ping(world, DATA, WEB.v4, 56)
    assert "5 received" in ping(world, DESK, WEB.v6, 56)


def test_a_meter_lets_through_what_its_bucket_holds(world: World, runner: Runner) -> None:
    """20 Mb/s offered to 4 Mb/s: burst + rate * time pass, and every other packet is counted as red."""
    port, rate, burst = 5312, 4e6, 1_000_000  # bit/s, bytes: full again after 2 s, longer than a program waits for a core
    before = dropped(runner, "meter_red")
    runner.rules.set(
        {"protocol": "udp", "destination_port": [port, port], "action": {"verb": "forward", "meter": 0}},
        meters=({"committed_mbps": rate / 1e6, "committed_kb": burst / 1e3, "peak_mbps": rate / 1e6, "peak_kb": burst / 1e3},),
    )
    runner.reload()
    world.iperf3_server(WEB, port)
    stream = f"udp and src host {DESK.v4} and dst port {port}"
    with Capture(world, DESK, stream) as sent, Capture(world, WEB, stream) as got:
        world.run(DESK.name, "iperf3", "-c", WEB.v4, "-p", str(port), "-u", "-b", "20M", "-l", "1000", "-t", "3")
    assert dropped(runner, "meter_red") - before == len(sent.frames) - len(got.frames)
    packet = max(frame.wire_bytes for frame in sent.frames)
    passed = [frame for frame in got.frames if frame.wire_bytes == packet]  # the stream, less what opens it
    assert len([frame for frame in sent.frames if frame.wire_bytes == packet]) > 2 * len(passed)
    # The meter saw each at some time between leaving and arriving.
    left = {_identity(frame): frame.time for frame in sent.frames}

    def seconds(first: Frame, last: Frame) -> tuple[float, float]:
        return left[_identity(last)] - first.time, last.time - left[_identity(first)]

    _, most = seconds(passed[0], passed[-1])
    assert packet * len(passed) <= burst + rate / 8 * most
    # From when the burst is used up, nothing that the rate allows is refused: at the end less than a packet is left.
    later = [frame for frame in passed if frame.time > passed[0].time + 1]
    least, _ = seconds(later[0], later[-1])
    assert packet * (len(later) - 1) >= rate / 8 * least - 2 * packet


def test_a_wrong_rule_file_changes_nothing(world: World, runner: Runner) -> None:
    runner.rules.set({"protocol": "tcp", "destination_port": [90, 80], "action": {"verb": "drop"}})
    with pytest.raises(RuntimeError, match="the lower port comes first"):
        runner.reload()
    assert "5 received" in ping(world, DESK, WEB.v4, 56)
