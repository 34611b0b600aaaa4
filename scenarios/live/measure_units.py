# SPDX-License-Identifier: BSD-3-Clause
"""What two packet dynamics units cost and save: the same hosts, with and without them, over three networks.

    PYTHONPATH=analysis:. /usr/bin/python3 -P -m scenarios.live.measure_units [ROUNDS]

As root. For each way: Mbit/s of TCP by iperf3 (2 s), round trips by ping (400, 4 ms apart; p50 and p99 of those answered) and
lost echoes; medians of ROUNDS (9) that take turns. All programs share the machine's cores.
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from scenarios.live.units import ADDRESSES, LEFT, RIGHT, Units

ECHOES = 400
SECONDS = 2
BURSTY = {"delay_us": 500, "jitter_us": 100, "burst": {"to_bad": 0.005, "to_good": 0.4}}
PATHS = [{"rate_mbps": 100, "delay_us": delay, "loss": 0.002} for delay in (500, 800)]
NETWORKS: dict[str, list[dict[str, Any]]] = {"clean": [{}], "bursty": [BURSTY], "two paths": PATHS}


def _measure(hosts: Units) -> dict[str, float]:
    rate = hosts.iperf3("-t", str(SECONDS))["sum_received"]["bits_per_second"] / 1e6
    echoes = hosts.attempt(LEFT, "ping", "-i", "0.004", "-c", str(ECHOES), "-W", "1", ADDRESSES[RIGHT]).stdout
    times = sorted(float(time) for time in re.findall(r"time=([\d.]+) ms", echoes))
    return {
        "TCP, Mbit/s": rate,
        "p50, ms": times[len(times) // 2],
        "p99, ms": times[len(times) * 99 // 100],
        "echoes lost, %": 100 * (1 - len(times) / ECHOES),
    }


def measure_round(scratch: Path) -> dict[str, dict[str, float]]:
    """One measurement of each way, in an empty folder."""
    rows = {}
    for name, paths in NETWORKS.items():
        for has_units in (False, True):
            folder = scratch / f"{len(rows)}"
            folder.mkdir()
            with Units(folder, has_units) as hosts:
                # Fragments go by all paths in turn; without units a flow has one.
                unit = {"path_weights": [1] * len(paths), "path_rule": "fragment"}
                hosts.connect(*paths, **({"unit": unit} if len(paths) > 1 and has_units else {}))
                hosts.attempt(LEFT, "ping", "-c", "3", "-i", "0.1", ADDRESSES[RIGHT])
                rows[f"{name}, units" if has_units else name] = _measure(hosts)
                hosts.disconnect()
    return rows


def table_of(rounds: list[dict[str, dict[str, float]]]) -> str:
    """Medians over rounds, as Markdown."""
    columns = list(next(iter(rounds[0].values())))
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---|" * len(columns)]
    for title in rounds[0]:
        medians = (statistics.median(each[title][column] for each in rounds) for column in columns)
        lines.append(f"| {title} | " + " | ".join(f"{median:.3g}" for median in medians) + " |")
    return "\n".join(lines)


def main(count: int) -> None:
    rounds = []
    for _ in range(count):
        with tempfile.TemporaryDirectory(prefix="foreflow-live-") as name:
            rounds.append(measure_round(Path(name)))
    print(table_of(rounds))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 9)
