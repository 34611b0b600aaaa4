# SPDX-License-Identifier: BSD-3-Clause
"""Programs measured in turn: what is stopped does not run, and what did other work is not compared."""

from __future__ import annotations

import shutil
import tempfile
import time
from pathlib import Path

import pytest

from datasets.generate import loop
from foreflow.errors import Failed, Refused
from foreflow.machine import contenders, runner_bench
from foreflow.machine.contenders import Sample


def test_a_rate_is_packets_a_second_of_cpu_time() -> None:
    did = Sample(3_000, 2_900, 1, 600_000_000) - Sample(1_000, 1_000, 1, 100_000_000)
    assert did == Sample(2_000, 1_900, 0, 500_000_000)
    assert did.rate == 4_000


def test_contenders_that_forwarded_other_shares_are_not_compared() -> None:
    same = {"predictive": Sample(1000, 970, 0, 1), "ovs": Sample(5000, 4850, 0, 1), "macswap": Sample(10, 10, 0, 1)}
    runner_bench._check_same_work("64 flows", same)
    with pytest.raises(Failed, match="64 flows: the contenders forwarded different shares .* predictive 0.9700, ovs 0.9800"):
        runner_bench._check_same_work("64 flows", same | {"ovs": Sample(5000, 4900, 0, 1)})
    with pytest.raises(Failed, match="ovs asked its slow path for 2.00% of the packets"):
        runner_bench._check_same_work("64 flows", same | {"ovs": Sample(5000, 4850, 100, 1)})


def test_names_of_rows_are_unique() -> None:
    names = runner_bench.row_names()
    assert len(names) == len(set(names)) == 32
    assert all(name.startswith(runner_bench.PREFIX) for name in names)


def test_what_is_not_measured_stands_still(tmp_path: Path) -> None:
    if shutil.which("dpdk-testpmd") is None:
        pytest.skip("dpdk-testpmd is not installed: apt-get install --no-install-recommends dpdk")
    try:
        cores = runner_bench.cores()
    except Refused as refusal:
        pytest.skip(str(refusal))
    loop.write(64, 1, tmp_path / "loop.pcapng")
    with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
        with contenders.Testpmd("macswap", tmp_path / "loop.pcapng", cores, Path(folder) / "macswap") as contender:
            did = contender.measure(0.05, 0.2)
            assert did.sent > 0 and did.received > 0
            contender.resume()
            before = contender.sample()
            contender.pause()
            time.sleep(0.5)
            contender.resume()
            after = contender.sample()
            contender.pause()
        assert (after - before).cpu_ns < 250_000_000
