# SPDX-License-Identifier: BSD-3-Clause
"""Rule sets of the shapes that ClassBench (Taylor, Turner 2007) found in the field, and traffic for them.

Not ClassBench's seed files, which may not be passed on: a model of our own with its published properties. Prefixes come
from a small tree of sites, networks and hosts of skewed popularity, so that they nest and recur; prefix lengths, port
classes and protocols come in joint combinations; the narrow come before the wide, mostly.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import world

SIZES = {"1k": 1_000, "10k": 10_000, "100k": 100_000}
ANY_PORT = (0, 65_535)
HIGH_PORTS = (1_024, 65_535)
TCP, UDP, ICMP, GRE, ANY_PROTOCOL = 6, 17, 1, 47, -1
SERVICES = (80, 443, 53, 25, 22, 21, 23, 110, 143, 123, 161, 389, 445, 1433, 1521, 3306, 3389, 5432, 8080, 8443)
RANGES = ((0, 1023), (137, 139), (6000, 6063), (20, 21), (33434, 33523), (5000, 5100), (67, 68), (1024, 5000))


@dataclass(frozen=True)
class Kind:
    """What rule sets of one kind look like. Weights need not sum to 1."""

    sites: int  # networks of length 16
    skew: float  # of the popularity of sites, networks and hosts: Zipf's exponent
    lengths: tuple[tuple[float, tuple[int, ...], tuple[int, ...]], ...]  # weight, source's, destination's
    ports: tuple[tuple[float, str, str], ...]  # weight, class of the source's, of the destination's
    protocols: tuple[tuple[float, int], ...]
    disorder: float  # how far, in bits of specificity, a rule is from its place in the order


_ALL_LONG = (32,)
_LONG = (32, 32, 32, 32, 31, 30, 30, 29, 28, 28, 27)
_MOSTLY_HOSTS = (32,) * 12 + (31, 30, 28)
_MIDDLE = (24, 24, 24, 24, 26, 25, 23, 22, 21, 20)
_SHORT = (16, 16, 16, 18, 15, 14, 12, 10, 8, 8)

KINDS = {
    "acl": Kind(
        sites=24,
        skew=0.6,
        lengths=((0.60, _ALL_LONG, _ALL_LONG), (0.18, _MIDDLE, _MOSTLY_HOSTS), (0.14, _MOSTLY_HOSTS, _MIDDLE), (0.05, (24,), (24,)),
                 (0.013, (0,), _MOSTLY_HOSTS), (0.006, _SHORT, _MIDDLE), (0.008, (0,), (24,)), (0.027, (0,), (0,))),
        ports=((0.68, "any", "exact"), (0.16, "any", "any"), (0.10, "any", "range"), (0.06, "any", "high")),
        protocols=((0.78, TCP), (0.14, UDP), (0.04, ICMP), (0.04, ANY_PROTOCOL)),
        disorder=4.0,
    ),
    "fw": Kind(
        sites=16,
        skew=1.0,
        lengths=((0.20, (0,), _MOSTLY_HOSTS), (0.17, _MOSTLY_HOSTS, (0,)), (0.18, _MIDDLE, _MOSTLY_HOSTS), (0.32, _MOSTLY_HOSTS, _ALL_LONG),
                 (0.07, (0,), (24, 24, 16)), (0.02, (16,), (24,)), (0.02, (24,), (0,)), (0.006, (0,), (0,))),
        ports=((0.48, "any", "exact"), (0.06, "any", "any"), (0.14, "high", "exact"), (0.14, "exact", "any"), (0.08, "any", "range"),
               (0.06, "exact", "high"), (0.02, "any", "high"), (0.02, "exact", "exact")),
        protocols=((0.62, TCP), (0.24, UDP), (0.06, ICMP), (0.03, GRE), (0.05, ANY_PROTOCOL)),
        disorder=6.0,
    ),
    "ipc": Kind(
        sites=24,
        skew=0.9,
        lengths=((0.40, _LONG, _LONG), (0.18, _MIDDLE, _LONG), (0.16, _LONG, _MIDDLE), (0.09, _MIDDLE, _MIDDLE),
                 (0.06, (0,), _ALL_LONG), (0.05, _ALL_LONG, (0,)), (0.03, (16,), _ALL_LONG), (0.02, _ALL_LONG, (16,)), (0.014, (0,), (0,))),
        ports=((0.40, "any", "exact"), (0.30, "any", "any"), (0.10, "exact", "any"), (0.08, "any", "range"), (0.06, "exact", "exact"),
               (0.06, "any", "high")),
        protocols=((0.50, TCP), (0.26, UDP), (0.10, ICMP), (0.14, ANY_PROTOCOL)),
        disorder=6.0,
    ),
}  # fmt: skip
NAMES = tuple(f"{kind}{size}" for kind in KINDS for size in SIZES)


@dataclass
class RuleSet:
    """Columns, one row a rule, the first wins. Addresses are numbers, their bits behind the length zero."""

    source: np.ndarray  # uint32
    source_length: np.ndarray
    destination: np.ndarray
    destination_length: np.ndarray
    source_ports: np.ndarray  # rows of low and high
    destination_ports: np.ndarray
    protocol: np.ndarray  # ANY_PROTOCOL, or a number

    def __len__(self) -> int:
        return len(self.source)

    def columns(self) -> tuple[np.ndarray, ...]:
        return (self.source, self.source_length, self.destination, self.destination_length, self.source_ports, self.destination_ports,
                self.protocol)  # fmt: skip

    def take(self, rows: np.ndarray) -> RuleSet:
        return RuleSet(*(column[rows] for column in self.columns()))


def _zipf(random: np.random.Generator, many: int, skew: float, count: int) -> np.ndarray:
    """Numbers of 0 .. many - 1, the lower the likelier."""
    weight = np.arange(1, many + 1, dtype=np.float64) ** -skew
    return np.searchsorted(np.cumsum(weight) / weight.sum(), random.random(count), side="right").clip(0, many - 1)


def _mask(length: np.ndarray) -> np.ndarray:
    return np.where(length == 0, 0, (np.uint64(0xFFFFFFFF) << (32 - length).astype(np.uint64)) & np.uint64(0xFFFFFFFF)).astype(np.uint32)


def _addresses(random: np.random.Generator, kind: Kind, base: np.ndarray, count: int, rules: int) -> np.ndarray:
    """Hosts of the kind's sites: a site, one of its networks of length 24, a host there. More rules, more networks."""
    site = _zipf(random, len(base), kind.skew, count)
    networks = min(256, max(8, rules // (8 * len(base))))
    network = (_zipf(random, networks, kind.skew, count) * 37) % 256
    host = (_zipf(random, 254, kind.skew, count) * 101) % 254 + 1
    return (base[site] + (network << 8) + host).astype(np.uint32)


def _lengths(random: np.random.Generator, kind: Kind, count: int) -> tuple[np.ndarray, np.ndarray]:
    weight = np.array([combination[0] for combination in kind.lengths])
    which = random.choice(len(weight), size=count, p=weight / weight.sum())
    source, destination = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    for number, (_, sources, destinations) in enumerate(kind.lengths):
        rows = np.flatnonzero(which == number)
        source[rows] = random.choice(sources, size=len(rows))
        destination[rows] = random.choice(destinations, size=len(rows))
    return source, destination


def _ports(random: np.random.Generator, classes: np.ndarray) -> np.ndarray:
    count = len(classes)
    ports = np.empty((count, 2), dtype=np.int64)
    ports[:] = ANY_PORT
    ports[classes == "high"] = HIGH_PORTS
    exact = np.where(random.random(count) < 0.7, np.array(SERVICES)[_zipf(random, len(SERVICES), 1.0, count)], random.integers(1, 10_000, count))
    ports[classes == "exact"] = exact[classes == "exact", None]
    low = random.integers(1, 60_000, count)
    own = np.stack([low, low + random.integers(1, 2_000, count)], axis=1)
    known = np.array(RANGES)[random.integers(0, len(RANGES), count)]
    ranges = np.where((random.random(count) < 0.7)[:, None], known, own)
    ports[classes == "range"] = ranges[classes == "range"]
    return ports


def rule_set(name: str, seed: int) -> RuleSet:
    """`name`: acl1k to ipc100k. Rules are all different and fewer than the name says by none."""
    if name not in NAMES:
        raise ValueError(f"rule set is {name!r}, allowed: {', '.join(NAMES)}")
    kind, size = next((KINDS[k], SIZES[s]) for k in KINDS for s in SIZES if f"{k}{s}" == name)
    random = world.stream(seed, f"classbench {name}")
    base = (random.choice(np.arange(1, 223), size=kind.sites, replace=False) << 24) + (random.integers(0, 256, kind.sites) << 16)
    made: RuleSet | None = None
    while made is None or len(made) < size:
        count = size + size // 4
        source_length, destination_length = _lengths(random, kind, count)
        weight = np.array([combination[0] for combination in kind.ports])
        which = random.choice(len(weight), size=count, p=weight / weight.sum())
        weight = np.array([protocol[0] for protocol in kind.protocols])
        protocol = np.array([p for _, p in kind.protocols])[random.choice(len(weight), size=count, p=weight / weight.sum())]
        source_class = np.array([combination[1] for combination in kind.ports])[which]
        destination_class = np.array([combination[2] for combination in kind.ports])[which]
        portless = (protocol != TCP) & (protocol != UDP)
        source_class[portless] = destination_class[portless] = "any"
        more = RuleSet(
            _addresses(random, kind, base, count, size) & _mask(source_length),
            source_length,
            _addresses(random, kind, base[::-1], count, size) & _mask(destination_length),
            destination_length,
            _ports(random, source_class),
            _ports(random, destination_class),
            protocol,
        )
        joined = more if made is None else RuleSet(*(np.concatenate(pair) for pair in zip(made.columns(), more.columns())))
        table = np.column_stack([column.astype(np.int64) for column in joined.columns()])
        made = joined.take(np.sort(np.unique(table, axis=0, return_index=True)[1]))
    made = made.take(np.arange(size))
    bits = made.source_length + made.destination_length + 4 * (made.protocol != ANY_PROTOCOL)
    for ports in (made.source_ports, made.destination_ports):
        bits = bits + 16 - np.log2(ports[:, 1] - ports[:, 0] + 1)
    return made.take(np.argsort(-(bits + random.normal(0, kind.disorder, size)), kind="stable"))


def write_filters(path: str | Path, rules: RuleSet) -> None:
    """In ClassBench's form, a rule a line."""

    def address(numbers: np.ndarray, lengths: np.ndarray) -> list[str]:
        return [f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}/{length}" for n, length in zip(numbers.tolist(), lengths.tolist())]

    sources, destinations = address(rules.source, rules.source_length), address(rules.destination, rules.destination_length)
    with Path(path).open("w", encoding="ascii") as file:
        for i, (source, destination) in enumerate(zip(sources, destinations)):
            (a, b), (c, d), protocol = rules.source_ports[i], rules.destination_ports[i], rules.protocol[i]
            last = "0x00/0x00" if protocol == ANY_PROTOCOL else f"0x{protocol:02X}/0xFF"
            file.write(f"@{source}\t{destination}\t{a} : {b}\t{c} : {d}\t{last}\t0x0000/0x0000\n")


@dataclass
class Headers:
    """Columns, one row a packet."""

    source: np.ndarray
    destination: np.ndarray
    source_port: np.ndarray
    destination_port: np.ndarray
    protocol: np.ndarray

    def records(self) -> np.ndarray:
        """What bindings/bench/rules reads."""
        record = np.dtype([("source", "<u4"), ("destination", "<u4"), ("source_port", "<u2"), ("destination_port", "<u2"), ("protocol", "<u4")])
        rows = np.empty(len(self.source), dtype=record)
        for name in record.names:
            rows[name] = getattr(self, name)
        return rows


def headers(rules: RuleSet, packets: int, seed: int, popularity: str) -> Headers:
    """Packets that match rules drawn at random, a header of each drawn once.

    `popularity`: `uniform`, every packet a new header of any rule; or `zipf`, headers recur: flow number n comes with
    weight 1/n.
    """
    random = world.stream(seed, f"headers {popularity}")
    if popularity not in ("uniform", "zipf"):
        raise ValueError(f"popularity is {popularity!r}, allowed: uniform, zipf")
    flows = packets if popularity == "uniform" else max(1, packets // 10)
    row = random.integers(0, len(rules), flows)

    def host(number: np.ndarray, length: np.ndarray) -> np.ndarray:
        return number[row] | (random.integers(0, 2**32, flows).astype(np.uint32) & ~_mask(length[row]))

    def port(ports: np.ndarray) -> np.ndarray:
        return random.integers(ports[row, 0], ports[row, 1] + 1)

    drawn = Headers(
        host(rules.source, rules.source_length),
        host(rules.destination, rules.destination_length),
        port(rules.source_ports),
        port(rules.destination_ports),
        np.where(rules.protocol[row] == ANY_PROTOCOL, random.choice([TCP, UDP], size=flows), rules.protocol[row]),
    )
    if popularity == "uniform":
        return drawn
    which = random.permutation(flows)[_zipf(random, flows, 1.0, packets)]
    return Headers(drawn.source[which], drawn.destination[which], drawn.source_port[which], drawn.destination_port[which],
                   drawn.protocol[which])  # fmt: skip


def tuples(rules: RuleSet) -> int:
    """Different masks: both prefix lengths, protocol or not, and each port's class (any, exact, a range)."""

    def port_class(ports: np.ndarray) -> np.ndarray:
        return np.where(ports[:, 1] == ports[:, 0], 1, np.where(ports[:, 1] - ports[:, 0] == 65_535, 0, 2))

    masks = [rules.source_length, rules.destination_length, rules.protocol != ANY_PROTOCOL, port_class(rules.source_ports),
             port_class(rules.destination_ports)]  # fmt: skip
    return len(np.unique(np.column_stack(masks), axis=0))


def closures(rules: RuleSet) -> np.ndarray:
    """For each rule how many rules before it must be there as well, that it may be: those it overlaps, those they do..."""
    closure: list[int] = []
    source_mask, destination_mask = _mask(rules.source_length), _mask(rules.destination_length)
    for i in range(len(rules)):
        before = slice(0, i)
        overlaps = ((rules.source[before] ^ rules.source[i]) & source_mask[before] & source_mask[i]) == 0
        overlaps &= ((rules.destination[before] ^ rules.destination[i]) & destination_mask[before] & destination_mask[i]) == 0
        for ports in (rules.source_ports, rules.destination_ports):
            overlaps &= (ports[before, 0] <= ports[i, 1]) & (ports[i, 0] <= ports[before, 1])
        protocol = rules.protocol[before]
        overlaps &= (protocol == rules.protocol[i]) | (protocol == ANY_PROTOCOL) | (rules.protocol[i] == ANY_PROTOCOL)
        own = 0
        for j in np.flatnonzero(overlaps)[::-1].tolist():
            if not own >> j & 1:
                own |= closure[j] | 1 << j
        closure.append(own)
    return np.array([own.bit_count() for own in closure])
