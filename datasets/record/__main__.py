# SPDX-License-Identifier: BSD-3-Clause
"""Records labelled traffic of real programs: python3 datasets/record [--out DIR] [--plan NAME] [--seconds N] [--seed N]"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from datasets.record import capture, servers  # noqa: E402
from datasets.record.namespaces import stop  # noqa: E402
from datasets.record.network import Network, Refused  # noqa: E402
from datasets.record.plan import PLANS, write_labels  # noqa: E402

SNAP_BYTES = 96  # headers and the first words of a payload; wire lengths are kept
PROGRAMS = {  # program -> Debian package
    "ip": "iproute2", "ethtool": "ethtool", "tcpdump": "tcpdump", "nginx": "nginx-light", "curl": "curl",
    "dnsmasq": "dnsmasq-base", "dig": "bind9-dnsutils", "sshd": "openssh-server", "sftp": "openssh-client",
    "redis-server": "redis-server", "redis-cli": "redis-tools", "redis-benchmark": "redis-tools", "iperf3": "iperf3",
    "psql": "postgresql-client-common", "pgbench": "postgresql-contrib",
}  # fmt: skip
MUST_HAVE_RUN = ("curl", "dig", "sftp", "redis-cli", "redis-benchmark", "iperf3", "pgbench")


def check_programs() -> None:
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    missing = sorted({package for program, package in PROGRAMS.items() if not shutil.which(program, path=path)})
    if not sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
        missing.append("postgresql")
    if missing:
        raise Refused(f"record: programs are missing; apt-get install {' '.join(missing)}")


def versions() -> dict[str, str]:
    """Versions of the packages that made the traffic."""
    packages = sorted(set(PROGRAMS.values()) | {"postgresql"})
    query = ["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages]
    lines = subprocess.run(query, capture_output=True, text=True).stdout.splitlines()
    return dict(line.split(" ", 1) for line in lines)


def record(out: Path, name: str, seconds: float, seed: int) -> dict:
    """Writes recorded.pcapng, labels.csv, recording.json and SHA256SUMS into `out`; returns the recording's facts."""
    check_programs()
    plan = PLANS[name]
    python = "/usr/bin/python3"
    with tempfile.TemporaryDirectory(prefix="foreflow-record-") as folder:
        scratch = Path(folder)
        scratch.chmod(0o755)  # nginx and postgres run as other users
        with Network(scratch, plan) as network:
            servers.start_all(network, scratch)
            pcap = scratch / "bridge.pcap"
            dump = network.start_at_switch("tcpdump", "-i", "bridge", "-s", str(SNAP_BYTES), "-B", "8192", "-n", "-Z", "root",
                                           "--time-stamp-precision=nano", "-w", str(pcap))  # fmt: skip
            time.sleep(1)
            length = str(seconds)
            network.start("media", python, "-m", "datasets.record.multicast", "send", name, length, cwd=ROOT)
            for vm in plan.listeners:
                network.start(vm, python, "-m", "datasets.record.multicast", "hear", name, length, cwd=ROOT)
            clients = [
                network.start(vm, python, "-m", "datasets.record.clients", name, vm, str(seed), length, str(scratch), cwd=ROOT)
                for vm in (*plan.browser_vms, *plan.worker_vms, *plan.backup_vms)
            ]
            for client in clients:
                if client.wait(timeout=seconds + 60) != 0:
                    raise RuntimeError("a client failed:\n" + _logs(scratch))
            stop(dump, signal.SIGINT)

        runs: dict[str, list[int]] = {}
        for path in scratch.glob("tally-*.json"):
            for program, (good, bad) in json.loads(path.read_text()).items():
                total = runs.setdefault(program, [0, 0])
                total[0] += good
                total[1] += bad
        silent = [program for program in MUST_HAVE_RUN if not runs.get(program, [0])[0]]
        if silent:
            raise RuntimeError(f"never succeeded: {', '.join(silent)}\n" + _logs(scratch))
        dropped = re.search(r"(\d+) packets? dropped by kernel", _logs(scratch))

        out.mkdir(parents=True, exist_ok=True)
        packets = capture.to_pcapng(pcap, out / "recorded.pcapng")
    write_labels(plan, out / "labels.csv")
    facts = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "plan": name,
        "seconds": seconds,
        "seed": seed,
        "packets": packets,
        "packets_dropped_by_the_recorder": int(dropped[1]) if dropped else None,
        "snap_bytes": SNAP_BYTES,
        "vms": len(plan.vms),
        "runs": {program: {"good": good, "bad": bad} for program, (good, bad) in sorted(runs.items())},
        "versions": versions(),
    }
    (out / "recording.json").write_text(json.dumps(facts, indent=1) + "\n")
    sums = [(hashlib.sha256((out / f).read_bytes()).hexdigest(), f) for f in ("labels.csv", "recorded.pcapng", "recording.json")]
    (out / "SHA256SUMS").write_text("".join(f"{digest}  {name}\n" for digest, name in sums))
    return facts


def _logs(scratch: Path) -> str:
    return "\n".join(p.read_text(errors="replace")[-2000:] for p in sorted(scratch.glob("*.log")) if p.stat().st_size)


def main() -> int:
    parser = argparse.ArgumentParser(prog="record", description="Records labelled traffic of real programs in network namespaces.")
    parser.add_argument("--out", type=Path, default=ROOT / "runs" / "recorded")
    parser.add_argument("--plan", default="office", help=f"who is there and what they do: {', '.join(PLANS)}")
    parser.add_argument("--seconds", type=float, default=60, help="5 to 3600")
    parser.add_argument("--seed", type=int, default=1, help="chooses what the clients do")
    arguments = parser.parse_args()
    for end in (signal.SIGINT, signal.SIGTERM):
        signal.signal(end, lambda *_: sys.exit(1))  # an exception, so that everything is cleaned up
    try:
        if arguments.plan not in PLANS:
            raise Refused(f"record: --plan is {arguments.plan}, allowed: {', '.join(PLANS)}")
        if not 5 <= arguments.seconds <= 3600:
            raise Refused(f"record: --seconds is {arguments.seconds:g}, allowed: 5 to 3600")
        facts = record(arguments.out, arguments.plan, arguments.seconds, arguments.seed)
    except Refused as refusal:
        print(refusal, file=sys.stderr)
        return 2
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        print(f"record: {error}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {facts['packets']} packets of {facts['vms']} VMs in {facts['seconds']:g} s", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
