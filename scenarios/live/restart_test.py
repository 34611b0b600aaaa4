# SPDX-License-Identifier: BSD-3-Clause
"""Whatever is between the ports may die and come back: it breaks no more than what was on its way."""

from __future__ import annotations

import time
from pathlib import Path

from scenarios.live.connections_test import ping, ssh_command
from scenarios.live.world import DESK, WEB, Capture, World, echoes, sha256, write_random


def test_connections_outlive_a_kill(world: World, tmp_path: Path) -> None:
    write_random(tmp_path / "here", 8_000_000, 4)
    with Capture(world, DESK, "icmp") as seen:
        # At 16 Mb/s: 4 s.
        copy = world.start(DESK.name, *ssh_command(world, "scp"), "-l", "16000", str(tmp_path / "here"), f"root@{WEB.v4}:{tmp_path}/there")
        pings = world.start(DESK.name, "ping", "-q", "-i", "0.02", "-c", "250", "-W", "2", WEB.v4)
        time.sleep(1)
        killed = time.time()
        world.between.kill()
        away = time.time()
        assert copy.poll() is None and pings.poll() is None
        time.sleep(0.3)
        world.between.start()
        back = time.time()
        assert copy.wait(timeout=90) == 0
        pings.wait(timeout=90)
        assert "1 received" in ping(world, DESK, WEB.v4, 56, 1)  # so all before it have had time to be answered
    assert sha256(tmp_path / "here") == sha256(tmp_path / "there")
    asked, answered = echoes(seen.frames)
    lost = {number: at for number, at in asked.items() if number not in answered}
    assert len(asked) == 251
    assert lost, f"nothing was lost in the {back - away:.3f} s without anything between the ports"
    assert [at for at in lost.values() if at > back] == []
    # Before, only what was on its way: nothing that was asked later has been answered.
    assert min(lost.values()) > max(at for number, at in asked.items() if number in answered and at < killed)
