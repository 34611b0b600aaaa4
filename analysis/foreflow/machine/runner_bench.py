# SPDX-License-Identifier: BSD-3-Clause
"""The runner's whole path on one core beside testpmd and Open vSwitch's DPDK data path, on the same loops and rules.

All are started, then measured in turns, for ROUNDS rounds; the figure is the median.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from datasets.generate import loop, rulesets
from foreflow import config as configuration
from foreflow.errors import Failed, Refused
from foreflow.machine import open_vswitch, openflow
from foreflow.machine.contenders import CACHES, Contender, Cores, OvsContender, Runner, Sample, Testpmd

PREFIX = "runner/"  # of the names of all rows
ARMS = ("predictive", "reactive")
ROUNDS = 9
SETTLE_SECONDS, WINDOW_SECONDS = 0.2, 0.5
FLUSH_ROUNDS, FLUSH_SECONDS = 3, 1.0
CHOICE_ROUNDS = 2  # in which Open vSwitch's best way to remember is found
SEED = 1
FLOW_ENTRIES = 65536  # all flows fit on the device, as all fit Open vSwitch's flow limit
MOST_MISSES = 0.001  # of the packets: more would measure slow paths
MOST_SHARE_APART = 0.002  # counts of packets received and sent are read one after the other
MIXED_RULES = 700


@dataclass(frozen=True)
class Case:
    rules: str
    flows: int
    modes: tuple[str, ...] = ()  # of testpmd

    def rows(self, arm: str) -> dict[str, str]:
        """The names of an arm's rows, and the contender that is the peer in each."""
        name = f"{PREFIX}{arm}/{self.flows} flows" + ("" if self.rules == "datacentre" else f", {self.rules}")
        return {name: "ovs"} | {f"{name}, beside {mode}": mode for mode in self.modes}

    def names(self, arm: str) -> list[str]:
        return [*self.rows(arm), self.flush_row(arm)]

    def flush_row(self, arm: str) -> str:
        return f"{next(iter(self.rows(arm)))}, second after a flush"


CASES = (
    Case("datacentre", 64, ("macswap", "5tswap")),
    Case("datacentre", 8000, ("macswap", "5tswap")),
    Case("datacentre", 30000, ("macswap", "5tswap")),
    Case("1 rule", 8000),
    Case(f"{MIXED_RULES} rules", 8000),
)


def row_names() -> list[str]:
    return [name for case in CASES for arm in ARMS for name in case.names(arm)]


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)


def cores() -> Cores:
    """The last allowed CPU forwards, the first does all else."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise Refused("the runner's benchmark needs two CPUs, one to forward and one for all else; this process may use one")
    return Cores(forwarding=allowed[-1], control=allowed[0])


def _ruleset_of(case: Case, folder: Path) -> str:
    """What `ruleset` is set to; made and written where it is not one of the project's."""
    if case.rules == "datacentre":
        return case.rules
    path = folder / "rules.yaml"
    made = rulesets.one_rule() if case.rules == "1 rule" else rulesets.mixed_masks(MIXED_RULES, SEED)
    path.write_text(yaml.safe_dump(made, sort_keys=False))
    return str(path)


def _best_caches(switch: OvsContender) -> str:
    """Of CACHES, by packets a second; all packets of a round have been seen before it is measured."""
    rates: dict[str, list[float]] = {name: [] for name in CACHES}
    for _ in range(CHOICE_ROUNDS):
        for name in CACHES:
            switch.resume()
            switch.use(name)
            rates[name].append(switch.measure(2 * SETTLE_SECONDS, WINDOW_SECONDS).rate)
    best = max(CACHES, key=lambda name: max(rates[name]))
    _say("Open vSwitch: " + ", ".join(f"{name} {max(rate) / 1e6:.2f}" for name, rate in rates.items()) + f" Mpackets/s; best is {best}")
    switch.resume()
    switch.use(best)
    switch.pause()
    return best


def _contenders(case: Case, program: Path, folder: Path, cores: Cores, stack: ExitStack) -> dict[str, Contender]:
    capture = folder / "loop.pcapng"
    loop.write(case.flows, SEED, capture)
    config = configuration.resolve("tag", [f"device.flow_entries={FLOW_ENTRIES}", "predictor=markov3", f"ruleset={_ruleset_of(case, folder)}"])
    found: dict[str, Contender] = {}
    for arm in ARMS:
        resolved = folder / f"{arm}.json"
        resolved.write_text(json.dumps(configuration.resolved_for_run(config, arm, SEED, capture, folder)))
        found[arm] = stack.enter_context(Runner(f"foreflow-dpdk {arm}", program, resolved, capture, cores, folder / arm))
    if shutil.which("dpdk-testpmd") is None:
        _say("dpdk-testpmd is not installed (Debian package dpdk): its rows have no peer")
    else:
        for mode in case.modes:
            found[mode] = stack.enter_context(Testpmd(mode, capture, cores, folder / mode))
    if not open_vswitch.WITH_DPDK.exists():
        _say("Open vSwitch with DPDK is not installed (Debian package openvswitch-switch-dpdk): its rows have no peer")
    else:
        ports = openflow.Ports(out="in_port")
        flows, meters = openflow.flows_of(config["rules"], ports), openflow.meters_of(config["meters"])
        found["ovs"] = stack.enter_context(OvsContender(capture, flows, meters, cores, folder / "ovs"))
    return found


def _check_same_work(name: str, whole: dict[str, Sample]) -> None:
    """Who has the same rules must forward the same share of the packets, and on the path that is to be measured."""
    shares = {contender: did.sent / did.received for contender, did in whole.items() if contender in (*ARMS, "ovs")}
    for contender, did in whole.items():
        if did.missed > MOST_MISSES * did.received:
            share = f"{did.missed / did.received:.2%} of the packets"
            raise Failed(f"{name}: {contender} asked its slow path for {share}; more than {MOST_MISSES:.2%} is another benchmark")
    if shares and max(shares.values()) - min(shares.values()) > MOST_SHARE_APART:
        shown = ", ".join(f"{contender} {share:.4f}" for contender, share in shares.items())
        raise Failed(f"{name}: the contenders forwarded different shares of the same packets: {shown}")


def _measure_case(case: Case, program: Path, folder: Path, cores: Cores) -> list[dict[str, Any]]:
    with ExitStack() as stack:
        contenders = _contenders(case, program, folder, cores, stack)
        switch = contenders.get("ovs")
        caches = _best_caches(switch) if isinstance(switch, OvsContender) else ""
        samples: dict[str, list[Sample]] = {name: [] for name in contenders}
        for _ in range(ROUNDS):
            for name, contender in contenders.items():
                samples[name].append(contender.measure(SETTLE_SECONDS, WINDOW_SECONDS))
        whole = {name: contender.whole() for name, contender in contenders.items()}
        after_flush: dict[str, list[float]] = {name: [] for name in (*ARMS, "ovs") if name in contenders}
        for _ in range(FLUSH_ROUNDS):
            for name, shares in after_flush.items():
                shares.append(contenders[name].measure_flush(SETTLE_SECONDS, FLUSH_SECONDS))
    _check_same_work(f"{case.flows} flows, {case.rules}", whole)
    rates = {name: statistics.median(sample.rate for sample in taken) for name, taken in samples.items()}
    _say(f"{case.flows} flows, {case.rules}: " + ", ".join(f"{name} {rate / 1e6:.2f}" for name, rate in rates.items()) + " Mpackets/s")
    kept = {name: statistics.median(shares) for name, shares in after_flush.items()}
    _say("in the second after a flush: " + ", ".join(f"{name} {share:.1%}" for name, share in kept.items()))
    rows = []
    for arm in ARMS:
        for name, key in case.rows(arm).items():
            theirs = rates.get(key)
            peer = f"Open vSwitch {open_vswitch.version()}, {caches}" if key == "ovs" else f"dpdk-testpmd {key}"
            row = {"name": name, "unit": "packets/s", "value": rates[arm], "peer": None, "peer_value": None, "ratio": None}
            rows.append(row if theirs is None else row | {"peer": peer, "peer_value": theirs, "ratio": rates[arm] / theirs})
        row = {"name": case.flush_row(arm), "unit": "share of an undisturbed second's packets", "value": kept[arm], "peer": None, "peer_value": None, "ratio": None}
        if "ovs" in kept:
            row |= {"peer": f"Open vSwitch {open_vswitch.version()}, {caches}", "peer_value": kept["ovs"], "ratio": kept[arm] / kept["ovs"]}
        rows.append(row)
    return rows


def measure(program: Path, wanted: list[str]) -> list[dict[str, Any]]:
    """The rows of the cases of which at least one is wanted (all when empty); about a minute a case."""
    own_cores = cores()
    rows = []
    for case in CASES:
        names = [name for arm in ARMS for name in case.names(arm)]
        if wanted and not any(word.lower() in name.lower() for word in wanted for name in names):
            continue
        # Paths of sockets are short: not under the project's own folders.
        with tempfile.TemporaryDirectory(prefix="foreflow-") as folder:
            rows += _measure_case(case, program, Path(folder), own_cores)
    return rows
