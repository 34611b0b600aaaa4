# SPDX-License-Identifier: BSD-3-Clause
"""TCP transactions between VMs and services: small calls, and flows whose sizes follow a published distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import distribution, world
from .frames import ACK, FIN, MAXIMUM_SEGMENT, PSH, SYN, TCP, Packets

VMS = 48
SERVICES = 400
SERVICE_EXPONENT = 0.9  # Zipf popularity of services when scripts are written
PORTS = (80, 443, 8080, 8443, 7001, 7002, 7003, 7004)  # a service's port is the one of its number modulo 8
SCRIPTS_PER_VM = 6
SCRIPT_EXPONENT = 1.0  # Zipf popularity of a VM's scripts
SCRIPT_LENGTHS = (1, 1, 1, 2, 2, 3, 3, 4, 5, 6)  # drawn evenly
FLOW_SHARE = 0.15  # of the steps of scripts; the others are calls
UPLOAD_SHARE = 0.5  # of flows; the others are downloads
PACKETS_PER_TRANSACTION = 20  # sets their number, and so what is left for flows
NATIVE_BITS_PER_SECOND = 250e6  # mean offered rate of the whole capture
FLOW_BITS_PER_SECOND = 50e6  # pace of the segments of one flow
ROUND_TRIP_NS = 2_000_000
TURNAROUND_NS = 100_000  # of a VM
SERVER_MEAN_NS = 4_000_000  # exponential, before the response to a call

CALL, UPLOAD, DOWNLOAD = 0, 1, 2


@dataclass
class Segments:
    """Packets of transactions, before they have addresses: one column a field."""

    transaction: np.ndarray
    outgoing: np.ndarray  # from the VM
    time_ns: np.ndarray
    payload: np.ndarray
    sequence: np.ndarray
    acknowledgement: np.ndarray
    flags: np.ndarray


@dataclass
class Script:
    """The services that one piece of work of a VM visits, in order."""

    services: np.ndarray
    kinds: np.ndarray


def write_scripts(seed: int) -> list[list[Script]]:
    """The scripts of every VM, most popular first."""
    random = world.stream(seed, "scripts")
    popularity = world.zipf_weights(SERVICES, SERVICE_EXPONENT)
    scripts = []
    for _ in range(VMS):
        own = []
        for _ in range(SCRIPTS_PER_VM):
            length = int(random.choice(SCRIPT_LENGTHS))
            services = random.choice(SERVICES, length, replace=False, p=popularity)
            is_flow = random.random(length) < FLOW_SHARE
            is_upload = random.random(length) < UPLOAD_SHARE
            own.append(Script(services, np.where(is_flow, np.where(is_upload, UPLOAD, DOWNLOAD), CALL)))
        scripts.append(own)
    return scripts


def bayes_accuracy(scripts: list[list[Script]]) -> float:
    """Share of transactions whose service is guessed best from the VM's last one, averaged over the VMs.

    From P(next | last) in the long run: inside a script the next step follows, after its last the first of another.
    """
    popularity = world.zipf_weights(SCRIPTS_PER_VM, SCRIPT_EXPONENT)
    right = steps = 0.0
    for own in scripts:
        joint: dict[int, dict[int, float]] = {}
        for weight, script in zip(popularity, own):
            follows = [(a, b, weight) for a, b in zip(script.services, script.services[1:])]
            follows += [(script.services[-1], s.services[0], weight * w) for w, s in zip(popularity, own)]
            for a, b, mass in follows:
                row = joint.setdefault(int(a), {})
                row[int(b)] = row.get(int(b), 0.0) + mass
        own_steps = sum(sum(row.values()) for row in joint.values())
        right += sum(max(row.values()) for row in joint.values()) / own_steps
        steps += 1
    return right / steps


def _walk(seed: int, scripts: list[list[Script]], vm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Service and kind of every transaction, given whose turn it is: each VM goes through one script after another."""
    random = world.stream(seed, "walk")
    popularity = world.zipf_weights(SCRIPTS_PER_VM, SCRIPT_EXPONENT)
    service = np.empty(len(vm), dtype=np.int64)
    kind = np.empty(len(vm), dtype=np.int64)
    for v in range(VMS):
        mine = np.flatnonzero(vm == v)
        played = [scripts[v][s] for s in random.choice(SCRIPTS_PER_VM, len(mine) + 1, p=popularity)]
        service[mine] = np.concatenate([s.services for s in played])[: len(mine)]
        kind[mine] = np.concatenate([s.kinds for s in played])[: len(mine)]
    return service, kind


def _segments_of(size: np.ndarray) -> np.ndarray:
    return -(-size // MAXIMUM_SEGMENT)


def _packets_of(kind: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """Packets of a transaction; `segments` of data (ignored for calls)."""
    flow = 7 + segments + (segments + 1) // 2 + (kind == UPLOAD)
    return np.where(kind == CALL, 9, flow)


def fair_cap(kind: np.ndarray, segments: np.ndarray, packets: int) -> int:
    """The largest number of segments to which all longer flows can be cut so that at most `packets` result.

    Max-min fair: short flows stay whole, long ones all get the same.
    """
    low, high = 1, max(2, int(segments.max()) + 1)
    while high - low > 1:
        middle = (low + high) // 2
        if int(_packets_of(kind, np.minimum(segments, middle)).sum()) <= packets:
            low = middle
        else:
            high = middle
    return low


def _calls(index: np.ndarray, start: np.ndarray, isn: np.ndarray, random: np.random.Generator) -> Segments:
    """SYN, SYN-ACK, ACK, request, response, ACK, FIN, FIN-ACK, ACK."""
    count = len(index)
    request = random.integers(80, 401, count)
    response = random.integers(100, MAXIMUM_SEGMENT + 1, count)
    server = world.exponential(random, SERVER_MEAN_NS, count)
    client, peer = isn[:, 0], isn[:, 1]
    zero = np.zeros(count, dtype=np.int64)
    r, d = ROUND_TRIP_NS, TURNAROUND_NS
    answered = 2 * r + 2 * d + server
    times = [zero, zero + r, zero + r + d, zero + r + 2 * d, answered, answered + d, answered + 2 * d,
             answered + 2 * d + r, answered + 3 * d + r]  # fmt: skip
    out = [1, 0, 1, 1, 0, 1, 1, 0, 1]
    payload = [zero, zero, zero, request, response, zero, zero, zero, zero]
    c, s = client + 1, peer + 1
    after_c, after_s = c + request, s + response
    sequence = [client, peer, c, c, s, after_c, after_c, after_s, after_c + 1]
    acknowledgement = [zero, c, s, s, after_c, after_s, after_s, after_c + 1, after_s + 1]
    flags = [SYN, SYN | ACK, ACK, PSH | ACK, PSH | ACK, ACK, FIN | ACK, FIN | ACK, ACK]
    rows = len(out)
    return Segments(
        np.tile(index, rows),
        np.repeat(np.array(out, dtype=bool), count),
        np.concatenate([start + t for t in times]),
        np.concatenate(payload),
        np.concatenate(sequence),
        np.concatenate(acknowledgement),
        np.repeat(flags, count),
    )


def _flow(index: int, kind: int, start: float, isn: np.ndarray, size: int, request: int) -> Segments:
    """Handshake, request, `size` bytes of paced data with an ACK for every other segment, (response,) FINs."""
    is_upload = kind == UPLOAD
    n = int(_segments_of(np.int64(size)))
    r, d = ROUND_TRIP_NS, TURNAROUND_NS
    k = np.arange(n)
    data = np.full(n, MAXIMUM_SEGMENT)
    data[-1] = size - (n - 1) * MAXIMUM_SEGMENT
    acked = np.unique(np.append(k[1::2], n - 1))
    gap = (MAXIMUM_SEGMENT + 54 + 24) * 8 / FLOW_BITS_PER_SECOND * 1e9
    asked = r + 2 * d
    c, s = isn[0] + 1, isn[1] + 1
    sender, receiver = (c + request, s) if is_upload else (s, c + request)
    data_time = asked + (k + 1) * gap + (0 if is_upload else r)
    ack_time = data_time[acked] + (r if is_upload else d)
    data_flags = np.full(n, ACK)
    data_flags[-1] |= PSH
    blocks = [  # outgoing, time, payload, sequence, acknowledgement, flags
        ([1, 0, 1, 1], [0, r, r + d, asked], [0, 0, 0, request], [c - 1, s - 1, c, c], [0, c, s, s],
         [SYN, SYN | ACK, ACK, PSH | ACK]),
        (np.full(n, is_upload), data_time, data, sender + k * MAXIMUM_SEGMENT, np.full(n, receiver), data_flags),
        (np.full(len(acked), not is_upload), ack_time, np.zeros(len(acked)), np.full(len(acked), receiver),
         sender + np.minimum(size, (acked + 1) * MAXIMUM_SEGMENT), np.full(len(acked), ACK)),
    ]  # fmt: skip
    end_c, end_s = c + request + (size if is_upload else 0), s + (0 if is_upload else size)
    end = ack_time[-1]
    if is_upload:
        blocks.append(([0], [end + d], [100], [end_s], [end_c], [PSH | ACK]))
        end_s += 100
        end += d
    blocks.append(([1, 0, 1], [end + d, end + d + r, end + 2 * d + r], [0, 0, 0], [end_c, end_s, end_c + 1],
                   [end_s, end_c + 1, end_s + 1], [FIN | ACK, FIN | ACK, ACK]))  # fmt: skip
    outgoing, time, payload, sequence, acknowledgement, flags = (np.concatenate(c) for c in zip(*blocks))
    return Segments(
        np.full(len(time), index), outgoing.astype(bool), start + time, payload, sequence, acknowledgement, flags
    )


def transactions(seed: int, packets: int, name: str) -> tuple[Packets, dict[str, np.ndarray], dict]:
    """Transactions whose flow sizes follow the distribution `name`, at most `packets` packets in all."""
    sizes = distribution.load(name)
    scripts = write_scripts(seed)
    count = packets // PACKETS_PER_TRANSACTION
    vm = world.stream(seed, "vm").integers(0, VMS, count)
    service, kind = _walk(seed, scripts, vm)
    drawn = sizes.sample(world.stream(seed, "size").random(count))
    is_flow = kind != CALL
    cap = fair_cap(kind, _segments_of(drawn), packets)
    size = np.minimum(drawn, cap * MAXIMUM_SEGMENT)

    random = world.stream(seed, "headers")
    isn = random.integers(0, 2**32, (count, 2))
    wire_bytes = np.where(is_flow, size + 60 * 1.5 * _segments_of(size), 9 * 100).sum()
    duration = wire_bytes * 8 / NATIVE_BITS_PER_SECOND * 1e9
    # A Poisson process that is known to have `count` points has them uniform and independent.
    start = np.sort(world.stream(seed, "arrivals").random(count)) * duration
    request = random.integers(80, 401, count)

    calls = np.flatnonzero(~is_flow)
    parts = [_calls(calls, start[calls], isn[calls], random)]
    parts += [_flow(i, kind[i], start[i], isn[i], int(size[i]), int(request[i])) for i in np.flatnonzero(is_flow)]
    merged = Segments(*(np.concatenate(columns) for columns in zip(*(vars(p).values() for p in parts))))
    order = np.argsort(merged.time_ns, kind="stable")
    merged = Segments(*(column[order] for column in vars(merged).values()))

    of = merged.transaction
    turn = np.empty(count, dtype=np.int64)  # how many transactions the VM began before this one
    by_vm = np.argsort(vm, kind="stable")
    turn[by_vm] = np.arange(count) - np.searchsorted(vm[by_vm], vm[by_vm])
    client_port = 32_768 + turn % 28_000
    server_port = np.asarray(PORTS)[service % len(PORTS)]
    out = merged.outgoing
    vm_mac, vm_address = world.vm_mac(vm)[of], world.vm_address(vm)[of]
    peer_address = world.service_address(service)[of]
    result = Packets(
        time_ns=world.EPOCH_NS + np.round(merged.time_ns).astype(np.int64),
        source_mac=np.where(out, vm_mac, world.GATEWAY_MAC),
        destination_mac=np.where(out, world.GATEWAY_MAC, vm_mac),
        source=np.where(out, vm_address, peer_address),
        destination=np.where(out, peer_address, vm_address),
        source_port=np.where(out, client_port[of], server_port[of]),
        destination_port=np.where(out, server_port[of], client_port[of]),
        protocol=np.full(len(of), TCP),
        payload=merged.payload.astype(np.int64),
        sequence=merged.sequence.astype(np.int64) % 2**32,
        acknowledgement=merged.acknowledgement.astype(np.int64) % 2**32,
        flags=merged.flags.astype(np.int64),
    )
    truth = {"transaction": of, "vm": vm[of], "service": service[of], "kind": kind[of], "outgoing": out}
    facts = {
        "vms": VMS,
        "services": SERVICES,
        "transactions": count,
        "arrivals": {"process": "Poisson a VM", "transactions_per_second": count / duration * 1e9},
        "next_service": {
            "law": f"each VM plays its own {SCRIPTS_PER_VM} scripts of 1-6 services one after another, a script chosen "
            f"independently with Zipf({SCRIPT_EXPONENT}) popularity; services in scripts by Zipf({SERVICE_EXPONENT}) "
            f"over {SERVICES}",
            "first_order_bayes_accuracy": bayes_accuracy(scripts),
        },
        "kinds": {"call": CALL, "upload": UPLOAD, "download": DOWNLOAD},
        "calls": {
            "share": float((~is_flow).mean()),
            "request_bytes": [80, 400],
            "response_bytes": [100, MAXIMUM_SEGMENT],
            "server_mean_ns": SERVER_MEAN_NS,
        },
        "flows": {
            "count": int(is_flow.sum()),
            "size_distribution": sizes.source,
            "cap_bytes": cap * MAXIMUM_SEGMENT,
            "cap": "all flows longer than this are cut to it, so that the file holds whole transactions only",
            "cut_share": float((drawn > size)[is_flow].mean()),
            "bytes_kept_share": float(size[is_flow].sum() / drawn[is_flow].sum()),
            "bits_per_second": FLOW_BITS_PER_SECOND,
        },
        "round_trip_ns": ROUND_TRIP_NS,
    }
    return result, truth, facts
