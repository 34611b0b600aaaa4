# SPDX-License-Identifier: BSD-3-Clause
"""Generated captures: read by tshark, and compared with the published tables and closed forms."""

import csv
import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from datasets.generate import NAMES, datagrams, distribution, flows, generate, loop, world

ROOT = Path(__file__).resolve().parents[2]
SEED = 7
# Mean sizes of the tables where they were published (linear interpolation), bytes.
PUBLISHED_MEANS = {"websearch": 1.71e6, "datamining": 1.27e7, "hadoop": 1.20e5, "storage": 4.09e4}


def tshark(path: Path, fields: list[str], *more: str) -> list[list[str]]:
    command = ["tshark", "-n", "-r", str(path), "-T", "fields", *more]
    for check in ("ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"):
        command += ["-o", f"{check}:TRUE"]
    for field in fields:
        command += ["-e", field]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [line.split("\t") for line in output.splitlines()]


@pytest.fixture(scope="module")
def capture(tmp_path_factory):
    """Makes each capture once, with whole frames, so that tshark can check every checksum."""
    folder = tmp_path_factory.mktemp("generated")
    made = {}

    def make(name: str) -> tuple[Path, dict]:
        if name not in made:
            path = folder / f"{name}.pcapng"
            made[name] = (path, generate(name, SEED, 12_000, path, snap=0))
        return made[name]

    return make


@pytest.mark.parametrize("name", NAMES)
def test_tshark_finds_nothing_wrong(capture, name):
    path, sidecar = capture(name)
    fields = ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "_ws.malformed", "tcp.analysis.flags"]
    rows = tshark(path, ["frame.time_epoch", "frame.len", *fields])
    assert len(rows) == sidecar["packets"] <= 12_000
    assert len(rows) > 6_000
    assert sum(int(row[1]) for row in rows) == sidecar["wire_bytes"]
    times = [row[0] for row in rows]
    assert times == sorted(times)
    for _, _, ip, tcp, udp, malformed, analysis in rows:
        assert (ip, malformed, analysis) == ("1", "", "")
        assert (tcp, udp) in (("1", ""), ("", "1"))


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_bytes(tmp_path, name):
    first = generate(name, 3, 2_000, tmp_path / "a")
    again = generate(name, 3, 2_000, tmp_path / "b")
    other = generate(name, 4, 2_000, tmp_path / "c")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert first["sha256"] == again["sha256"] != other["sha256"]


def test_cut_frames_keep_headers_and_wire_lengths(tmp_path, capture):
    whole, _ = capture("hadoop")
    cut = tmp_path / "cut.pcapng"
    generate("hadoop", SEED, 12_000, cut, snap=66)
    fields = ["frame.time_epoch", "frame.len", "ip.src", "ip.dst", "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.checksum"]
    assert tshark(cut, fields) == tshark(whole, fields)
    assert {int(row[0]) for row in tshark(cut, ["frame.cap_len"])} == {60, 66}


@pytest.mark.parametrize("name", distribution.NAMES)
def test_sizes_follow_the_published_table(name):
    lines = (ROOT / "datasets/distributions" / f"{name}.csv").read_text().splitlines()
    rows = list(csv.DictReader(io.StringIO("\n".join(l for l in lines if not l.startswith("#")))))
    size = [float(row["bytes"]) for row in rows]
    share = [float(row["share"]) for row in rows]
    assert share[0] == 0 and share[-1] == 1 and share == sorted(share) and size == sorted(size)

    table = distribution.load(name)
    assert table.mean() == pytest.approx(PUBLISHED_MEANS[name], rel=0.01)
    assert len(table.source) > 40
    sample = table.sample(world.stream(SEED, "test").random(50_000))
    assert sample.min() >= 1
    # Rounding up to whole bytes moves the smallest sizes, hence half a byte back.
    result = stats.kstest(sample - 0.5, lambda x: np.interp(x, size, share))
    assert result.pvalue > 0.001, f"seed {SEED}"


def walks(path: Path) -> list[np.ndarray]:
    """The destinations of each VM, in order, as tshark reads them."""
    by_vm: dict[str, list[int]] = {}
    for mac, destination in tshark(path, ["eth.src", "ip.dst"]):
        a, b = map(int, destination.split(".")[2:])
        by_vm.setdefault(mac, []).append(a * 256 + b - 1)
    assert len(by_vm) == datagrams.VMS
    return [np.array(walk) for walk in by_vm.values()]


def test_markov_walks_have_the_stated_entropy_and_bayes_accuracy(tmp_path):
    path = tmp_path / "markov.pcapng"
    sidecar = generate("markov", SEED, 50_000, path)
    moves = np.array(sidecar["next_destination"]["transition_matrix"])
    assert moves.sum(axis=1) == pytest.approx(np.ones(len(moves)))
    assert not moves.diagonal().any()
    stay = sidecar["next_packet"]["stay"]
    steps = np.concatenate([np.stack([walk[:-1], walk[1:]]) for walk in walks(path)], axis=1)
    has_moved = steps[0] != steps[1]
    levels = {
        "next_destination": (moves, steps[:, has_moved]),
        "next_packet": (stay * np.eye(len(moves)) + (1 - stay) * moves, steps),
    }
    for level, (matrix, pairs) in levels.items():
        surprise = -np.log2(matrix[pairs[0], pairs[1]])
        hits = matrix[pairs[0]].argmax(axis=1) == pairs[1]
        for sample, key in ((surprise, "entropy_bits"), (hits, "bayes_accuracy")):
            closed_form = sidecar[level][key]
            half_width = 3.3 * sample.std() / np.sqrt(len(sample))
            assert sample.mean() == pytest.approx(closed_form, abs=half_width), f"{level} {key}, seed {SEED}"
            assert half_width < 0.1 * closed_form


def test_entropy_rate_of_a_chain_of_two_states():
    # pi = (b, a) / (a + b); a = 0.1, b = 0.4: pi = (0.8, 0.2), H(0.1) = 0.468996, H(0.4) = 0.970951 bits.
    matrix = np.array([[0.9, 0.1], [0.4, 0.6]])
    assert datagrams.stationary(matrix) == pytest.approx([0.8, 0.2])
    assert datagrams.entropy_rate(matrix) == pytest.approx(0.8 * 0.468996 + 0.2 * 0.970951, abs=1e-6)
    assert datagrams.bayes_accuracy(matrix) == pytest.approx(0.8 * 0.9 + 0.2 * 0.6)


def test_memoryless_destinations_are_even_and_independent(capture):
    path, sidecar = capture("memoryless")
    assert sidecar["next_destination"]["entropy_bits"] == 5
    assert sidecar["next_destination"]["bayes_accuracy"] == 1 / 32
    sequences = walks(path)
    counts = np.bincount(np.concatenate(sequences), minlength=32)
    assert len(counts) == 32
    assert stats.chisquare(counts).pvalue > 0.001, f"seed {SEED}"
    # Pairs of successive destinations, folded to 8 x 8 so that each cell is well filled.
    pairs = np.concatenate([(walk[:-1] % 8) * 8 + walk[1:] % 8 for walk in sequences])
    assert stats.chisquare(np.bincount(pairs, minlength=64)).pvalue > 0.001, f"seed {SEED}"


def test_memoryless_gaps_are_exponential(capture):
    path, _ = capture("memoryless")
    times = np.array([int(row[0].replace(".", "")) for row in tshark(path, ["frame.time_epoch"])])
    gaps = np.diff(times) + world.stream(SEED, "test").random(len(times) - 1)  # times are whole nanoseconds
    assert stats.kstest(gaps, "expon", args=(0.5, 1e9 / datagrams.RATE)).pvalue > 0.001, f"seed {SEED}"


def test_every_transaction_is_whole_and_its_bytes_are_the_drawn_ones(capture):
    path, sidecar = capture("websearch")
    payload: dict[str, int] = {}
    opened: set[str] = set()
    closed: dict[str, int] = {}
    for stream, length, syn, fin in tshark(path, ["tcp.stream", "tcp.len", "tcp.flags.syn", "tcp.flags.fin"]):
        payload[stream] = payload.get(stream, 0) + int(length)
        if syn == "1":
            opened.add(stream)
        closed[stream] = closed.get(stream, 0) + int(fin)
    assert len(payload) == len(opened) == sidecar["transactions"]
    assert set(closed.values()) == {2}
    truth = np.load(f"{path}.npz")
    assert len(truth["transaction"]) == sidecar["packets"]
    cap = sidecar["flows"]["cap_bytes"]
    cut = sum(cap <= size <= cap + 400 + 100 for size in payload.values())  # with request and response
    assert max(payload.values()) <= cap + 500
    assert cut >= sidecar["flows"]["cut_share"] * sidecar["flows"]["count"] > 0


def test_cap_is_the_largest_that_fits():
    random = world.stream(SEED, "test")
    kind = random.integers(0, 3, 300)
    segments = random.integers(1, 1000, 300)

    def total(cap: int) -> int:
        size = [min(int(s), cap) for s in segments]
        return sum(9 if k == flows.CALL else 7 + s + (s + 1) // 2 + (k == flows.UPLOAD) for k, s in zip(kind, size))

    cap = flows.fair_cap(kind, segments, 20_000)
    assert total(cap) <= 20_000 < total(cap + 1)


def test_many_destinations_are_contacted(capture):
    path, _ = capture("websearch")
    assert len({(vm, peer) for vm, peer in tshark(path, ["ip.src", "ip.dst"])}) >= 500


def test_first_order_accuracy_of_scripts_is_reached_and_not_passed():
    scripts = flows.write_scripts(SEED)
    vm = np.repeat(np.arange(flows.VMS), 20_000)
    service, _ = flows._walk(SEED, scripts, vm)
    hits = 0
    for walk in service.reshape(flows.VMS, -1):
        joint = np.zeros((flows.SERVICES, flows.SERVICES), dtype=int)
        np.add.at(joint, (walk[:-1], walk[1:]), 1)
        hits += joint.max(axis=1).sum()
    assert hits / len(vm) == pytest.approx(flows.bayes_accuracy(scripts), abs=0.005)


@pytest.mark.parametrize(
    "arguments, sentence",
    [
        (["markov", "--packets", "5"], "packets is 5, allowed: 1000 to 5000000"),
        (["markov", "--seed", "-1"], "seed is -1, allowed"),
        (["markov", "--snap", "20"], "snap is 20, allowed: 0 or 58 to 65535"),
        (["lottery"], "invalid choice: 'lottery'"),
    ],
)
def test_bad_arguments_are_refused(tmp_path, arguments, sentence):
    command = [sys.executable, "-m", "datasets.generate", *arguments, "--out", str(tmp_path / "x")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 2
    assert sentence in run.stderr
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("count", [3, 64, 1500])
def test_loop_is_minimum_size_and_every_packet_is_another_flow(tmp_path, count):
    path = tmp_path / "loop.pcapng"
    packets = loop.write(count, SEED, path)
    fields = ["ip.src", "ip.dst", "ip.proto", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"]
    checks = ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status"]
    rows = tshark(path, [*fields, *checks, "frame.len"])
    assert len(rows) == packets >= loop.LEAST_PACKETS and packets % count == 0
    for *_, ip, tcp, udp, length in rows:
        assert (ip, length) == ("1", "60")
        assert (tcp, udp) in (("1", ""), ("", "1"))
    keys = [tuple(row[: len(fields)]) for row in rows]
    assert len(set(keys)) == count
    for i in range(0, packets, count):
        assert len(set(keys[i : i + count])) == count
    assert all(a != b for a, b in zip(keys, keys[1:] + keys[:1]))
    again = tmp_path / "again.pcapng"
    loop.write(count, SEED, again)
    assert path.read_bytes() == again.read_bytes()


def test_loop_meets_every_service_of_its_menu(tmp_path):
    path = tmp_path / "loop.pcapng"
    loop.write(8000, SEED, path)
    met, senders = set(), set()
    for mac, *ports in tshark(path, ["eth.src", "tcp.srcport", "tcp.dstport", "udp.srcport", "udp.dstport"]):
        senders.add(mac)
        tcp, udp = ports[:2], ports[2:]
        number = min(map(int, tcp if tcp[0] else udp))  # the client's is above all services
        met.add((6 if tcp[0] else 17, number))
    assert len(senders) == loop.VMS
    assert met == {(protocol, port) for protocol, port, _ in loop.MENU}
    assert sum(share for *_, share in loop.MENU) == pytest.approx(1)


def test_loop_refuses_too_few_flows(tmp_path):
    with pytest.raises(ValueError, match="flows is 2, allowed: 3 to 1000000"):
        loop.write(2, SEED, tmp_path / "x")
