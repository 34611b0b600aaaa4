# SPDX-License-Identifier: BSD-3-Clause
"""What two packet dynamics units cost and save: the same hosts, with and without them, over a good and a bad network.

    PYTHONPATH=analysis:. /usr/bin/python3 -P -m scenarios.live.measure_units [ROUNDS]

As root. For each way: Mbit/s of TCP by iperf3 (2 s), round trips by ping (500, 4 ms apart; p50 and p99 of those answered) and
lost echoes; medians of ROUNDS (3) that take turns. All programs share the machine's cores.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import tempfile
from pathlib import Path

from scenarios.live.units import ADDRESSES, LEFT, RIGHT, Units

GOOD: dict[str, object] = {}
BAD = {"delay_us": 500, "jitter_us": 100, "burst": {"to_bad": 0.005, "to_good": 0.4}}
ECHOES = 500
SECONDS = 2


def _measure(hosts: Units) -> dict[str, float]:
    server = hosts.start(RIGHT, "iperf3", "-s", "-1")
    hosts.wait_for(RIGHT, "sh", "-c", "ss -Hltn sport = :5201 | grep -q .")
    said = hosts.run(LEFT, "iperf3", "-J", "-t", str(SECONDS), "-c", ADDRESSES[RIGHT], timeout=60)
    server.wait(timeout=10)
    rate = json.loads(said)["end"]["sum_received"]["bits_per_second"] / 1e6
    echoes = hosts.attempt(LEFT, "ping", "-i", "0.004", "-c", str(ECHOES), "-W", "1", ADDRESSES[RIGHT]).stdout
    times = sorted(float(time) for time in re.findall(r"time=([\d.]+) ms", echoes))
    return {
        "Mbit/s": rate,
        "p50 ms": times[len(times) // 2],
        "p99 ms": times[len(times) * 99 // 100],
        "lost %": 100 * (1 - len(times) / ECHOES),
    }


def main(rounds: int) -> None:
    rows: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="foreflow-live-") as name:
        for number in range(rounds):
            for title, path, has_units in (
                ("good network", GOOD, False),
                ("good network, units", GOOD, True),
                ("bad network", BAD, False),
                ("bad network, units", BAD, True),
            ):
                folder = Path(name) / f"{len(rows)}-{number}-{title.replace(' ', '-')}"
                folder.mkdir()
                with Units(folder, has_units) as hosts:
                    hosts.connect(path)
                    hosts.attempt(LEFT, "ping", "-c", "3", "-i", "0.1", ADDRESSES[RIGHT])
                    rows.setdefault(title, []).append(_measure(hosts))
                    hosts.disconnect()
    columns = list(next(iter(rows.values()))[0])
    print("| | " + " | ".join(columns) + " |\n|---|" + "---|" * len(columns))
    for title, measured in rows.items():
        print(f"| {title} | " + " | ".join(f"{statistics.median(one[column] for one in measured):.3g}" for column in columns) + " |")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
