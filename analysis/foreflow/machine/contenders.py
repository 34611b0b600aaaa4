# SPDX-License-Identifier: BSD-3-Clause
"""Programs that forward packets on one core, measured in turn: while one runs the others are stopped.

A figure is packets a second of the forwarding thread's own CPU time, so that what else runs on its core costs it
nothing but the caches.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import time
from dataclasses import astuple, dataclass
from pathlib import Path
from types import TracebackType

from foreflow.errors import Failed
from foreflow.machine.open_vswitch import OpenVSwitch, end

START_SECONDS = 60.0
WARM_SECONDS = 0.5  # of CPU time, several rounds through any loop
PATIENCE = 40  # wall seconds to wait for one of CPU time


@dataclass(frozen=True)
class Cores:
    forwarding: int
    control: int


@dataclass(frozen=True)
class Sample:
    received: int  # packets
    sent: int  # packets
    missed: int  # packets for which a data path had to ask its slow path, where there are two
    cpu_ns: int

    def __sub__(self, other: Sample) -> Sample:
        return Sample(*(mine - theirs for mine, theirs in zip(astuple(self), astuple(other))))

    @property
    def rate(self) -> float:
        """Packets a second of CPU time."""
        return self.received * 1e9 / self.cpu_ns


class Telemetry:
    """DPDK's telemetry socket of one process (programmer's guide, chapter Telemetry)."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(10)
        self._socket.connect(str(path))
        self._most = json.loads(self._socket.recv(1024))["max_output_len"]

    def __call__(self, command: str) -> dict:
        self._socket.send(command.encode())
        return json.loads(self._socket.recv(self._most))[command.partition(",")[0]]

    def close(self) -> None:
        self._socket.close()


def thread_of(pid: int, name: str) -> int:
    """The thread of a process whose name matches."""
    for entry in sorted(Path(f"/proc/{pid}/task").iterdir()):
        if re.fullmatch(name, (entry / "comm").read_text().strip()):
            return int(entry.name)
    raise Failed(f"process {pid} has no thread named {name}")


def cpu_ns_of(pid: int, thread: int) -> int:
    return int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])


class Contender:
    """A process that forwards; a context manager. It is stopped (SIGSTOP) unless it is being measured."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.samples: list[Sample] = []  # the first and the last
        self._pid = 0
        self._thread = 0

    def __enter__(self) -> Contender:
        try:
            self._start()
            self._wait_for_packets()
        except BaseException:
            self.close()
            raise
        self.pause()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _start(self) -> None:
        raise NotImplementedError

    def _counts(self) -> tuple[int, int, int]:
        """As the first fields of a Sample."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    def _wait_for_packets(self) -> None:
        until = time.monotonic() + START_SECONDS
        while self._counts()[0] == 0:
            if time.monotonic() > until:
                raise Failed(f"{self.name} received no packet")
            time.sleep(0.05)

    def pause(self) -> None:
        os.kill(self._pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._pid, signal.SIGCONT)

    def sample(self) -> Sample:
        now = Sample(*self._counts(), cpu_ns_of(self._pid, self._thread))
        self.samples = [*self.samples[:1], now]
        return now

    def whole(self) -> Sample:
        """What it did from the first sample to the last. The counts of a sample are read one after the other: over
        this long a stretch that does not matter."""
        return self.samples[-1] - self.samples[0]

    def _run_for(self, seconds: float) -> Sample:
        """What it did until its thread had had so much CPU time, however long that took."""
        before = now = self.sample()
        until = time.monotonic() + PATIENCE * seconds
        while (now - before).cpu_ns < seconds * 1e9:
            if time.monotonic() > until:
                raise Failed(f"{self.name} had {(now - before).cpu_ns / 1e6:.0f} ms of CPU time in {PATIENCE * seconds:.0f} s; the machine is too busy to measure on")
            time.sleep(max(0.01, seconds - (now - before).cpu_ns / 1e9))
            now = self.sample()
        return now - before

    def flush(self) -> None:
        """Makes it forget all flows, while it runs; its rules stay."""
        raise NotImplementedError

    def measure_flush(self, settle: float, window: float) -> float:
        """Packets that it forwarded in `window` seconds of CPU time from a flush on, by those of as long before it."""
        self.resume()
        self._run_for(settle)
        before = self._run_for(window)
        self.flush()
        after = self._run_for(window)
        self.pause()
        if before.sent <= 0:
            raise Failed(f"{self.name} forwarded nothing in {before.cpu_ns / 1e6:.1f} ms of CPU time")
        return (after.sent / after.cpu_ns) / (before.sent / before.cpu_ns)

    def measure(self, settle: float, window: float) -> Sample:
        """What it did in `window` seconds of CPU time, after `settle` seconds to fill the caches again."""
        self.resume()
        self._run_for(settle)
        did = self._run_for(window)
        self.pause()
        if did.received <= 0:
            raise Failed(f"{self.name} stood still: no packet in {did.cpu_ns / 1e6:.1f} ms of CPU time")
        return did


class DpdkProgram(Contender):
    """A program of DPDK's own kind: it has one port, and its one worker is an EAL thread."""

    def __init__(self, name: str, command: list[str], folder: Path) -> None:
        super().__init__(name)
        self._command = command
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._telemetry: Telemetry | None = None

    def _start(self) -> None:
        prefix = "foreflow"
        self._folder.mkdir(parents=True)
        with (self._folder / "log.txt").open("wb") as log:
            self._process = subprocess.Popen(
                [part.replace("{prefix}", prefix) for part in self._command],
                env={**os.environ, "RUNTIME_DIRECTORY": str(self._folder)},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        self._pid = self._process.pid
        path = self._folder / "dpdk" / prefix / "dpdk_telemetry.v2"
        until = time.monotonic() + START_SECONDS
        while self._telemetry is None:
            if self._process.poll() is not None or time.monotonic() > until:
                raise Failed(f"{self.name} did not start: {self._last_words()}")
            try:
                self._telemetry = Telemetry(path)
            except OSError:
                time.sleep(0.05)

    def _wait_for_packets(self) -> None:
        super()._wait_for_packets()
        self._thread = thread_of(self._pid, r"(rte|dpdk|lcore)-(worker-?)?\d+")

    def _counts(self) -> tuple[int, int, int]:
        assert self._telemetry is not None and self._process is not None
        try:
            counts = self._telemetry("/ethdev/stats,0")
            return counts["ipackets"], counts["opackets"], 0
        except TypeError:  # the port is not there yet
            return 0, 0, 0
        except OSError:
            raise Failed(f"{self.name} does not answer (exit code {self._process.poll()}): {self._last_words()}") from None

    def _last_words(self) -> str:
        return " | ".join((self._folder / "log.txt").read_text(errors="replace").strip().splitlines()[-3:])

    def close(self) -> None:
        if self._telemetry is not None:
            self._telemetry.close()
        if self._process is not None:
            end(self._process)


def device_of(capture: Path) -> str:
    """A port that receives the capture in an endless loop, and drops what it is to send."""
    return f"net_pcap0,rx_pcap={capture},infinite_rx=1"


def eal_of(cores: Cores, capture: Path, megabytes: int) -> list[str]:
    """No huge pages and no NIC. Lcore 0 is the main one."""
    lcores = f"--lcores=0@{cores.control},1@{cores.forwarding}"
    return [lcores, "--main-lcore=0", "--no-huge", "-m", str(megabytes), "--no-pci", "--file-prefix={prefix}", f"--vdev={device_of(capture)}"]


class Testpmd(DpdkProgram):
    def __init__(self, mode: str, capture: Path, cores: Cores, folder: Path) -> None:
        options = ["--", f"--forward-mode={mode}", "--auto-start", "--port-topology=loop", "--total-num-mbufs=65536", "--no-lsc-interrupt"]
        super().__init__(f"dpdk-testpmd {mode}", ["dpdk-testpmd", *eal_of(cores, capture, 512), *options], folder)


class Runner(DpdkProgram):
    """The project's own: `foreflow-dpdk nic`. With one port VMs are told apart by their MACs."""

    def __init__(self, name: str, program: Path, resolved: Path, capture: Path, cores: Cores, folder: Path) -> None:
        command = [str(program), "nic", str(resolved), "--workers", "1", "--switch", "pair", "--spare-mbufs", "65536", "--", *eal_of(cores, capture, 1024)]
        super().__init__(name, command, folder)

    def flush(self) -> None:
        # The rules are loaded anew: nothing that was decided before counts any more.
        os.kill(self._pid, signal.SIGHUP)


# How Open vSwitch remembers exact matches, in the ways its documentation gives: the exact match cache takes a new
# flow with probability 1 / 100 (the default), always, or never; the signature match cache is off by default.
CACHES = {
    "defaults": (100, False),
    "EMC and SMC": (100, True),
    "EMC always": (1, False),
    "SMC": (0, True),
    "megaflows": (0, False),
}


class OvsContender(Contender):
    """Open vSwitch's DPDK data path with one polling thread."""

    PORT = 1

    def __init__(self, capture: Path, flows: list[str], meters: list[str], cores: Cores, folder: Path) -> None:
        super().__init__("Open vSwitch")
        eal = "--no-huge --legacy-mem -m 2000 --no-pci --file-prefix=foreflow-ovs"
        self._switch = OpenVSwitch(folder, eal, cores.forwarding, cores.control)
        self._capture, self._flows, self._meters = capture, flows, meters
        self.caches = "defaults"

    def _start(self) -> None:
        self._switch.__enter__()
        assert self._switch.process is not None
        self._pid = self._switch.process.pid
        # It must not forget flows, nor take its revalidation for slow, because it was stopped.
        patience = ("max-idle=3600000", "max-revalidator=3600000", "min-revalidate-pps=0", "flow-limit=200000")
        self._switch.vsctl("set", "Open_vSwitch", ".", *(f"other_config:{option}" for option in patience))
        self._switch.load(self._flows, self._meters)
        self._switch.add_port("loop", self.PORT, "dpdk", device_of(self._capture))

    def _wait_for_packets(self) -> None:
        super()._wait_for_packets()
        self._thread = thread_of(self._pid, r"pmd-c\d+/id.*")
        until = time.monotonic() + PATIENCE * WARM_SECONDS
        while self._run_for(WARM_SECONDS).missed > 0:  # its data path has still to learn flows
            if time.monotonic() > until:
                raise Failed(f"{self.name} still asks its slow path after {PATIENCE * WARM_SECONDS:.0f} s")

    def use(self, caches: str) -> None:
        """Sets one of CACHES; it has to run."""
        inverse, signatures = CACHES[caches]
        options = [f"other_config:emc-insert-inv-prob={inverse}", f"other_config:smc-enable={str(signatures).lower()}"]
        self._switch.vsctl("set", "Open_vSwitch", ".", *options)
        self.caches = caches

    def flush(self) -> None:
        assert self._switch.control is not None
        self._switch.control("revalidator/purge")

    def _counts(self) -> tuple[int, int, int]:
        assert self._switch.control is not None
        shown = self._switch.control("dpctl/show", "-s")
        received, sent = (
            int(found.group(1)) if (found := re.search(f"port \\d+: loop .*?{way} packets:(\\d+)", shown, re.DOTALL)) else 0
            for way in ("RX", "TX")
        )
        upcalls = re.findall(r"miss with (?:success|failed) upcall: (\d+)", self._switch.control("dpif-netdev/pmd-stats-show"))
        return received, sent, sum(map(int, upcalls))

    def close(self) -> None:
        self._switch.close()
