# SPDX-License-Identifier: BSD-3-Clause
"""The dissector in tshark, on captures of what the cores sealed, against the codec and OpenSSL's vectors."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest

core = pytest.importorskip("foreflow_core")
scapy = pytest.importorskip("scapy.all")

from foreflow.places import DISSECTOR, ROOT  # noqa: E402

pytestmark = pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark")

PORT = 7800
CIPHERS = {"aes_128_gcm": 16, "aes_256_gcm": 32, "chacha20_poly1305": 32}
FRAME = bytes(scapy.Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / scapy.IP(src="10.1.0.1", dst="10.1.0.2") / scapy.TCP(sport=40000, dport=443, flags="PA") / (b"text " * 200))  # fmt: skip


def key_of(cipher: str, epoch: int = 0) -> bytes:
    return bytes((11 * i + 7 * epoch + 3) % 256 for i in range(CIPHERS[cipher]))


def sender(session: int = 0x01020304, has_uuid: bool = False, cipher: str = "aes_256_gcm", epoch: int = 0, has_paths: bool = False):
    made = core.ShardSender(session, has_uuid, has_paths)
    made.install_key(epoch, cipher, key_of(cipher, epoch))
    return made


def log(folder: Path, *keys: tuple[int, int, str]) -> Path:
    """A key log of (session, epoch, cipher)."""
    path = folder / "keys.log"
    path.write_text("# keys\n" + "".join(core.shard_key_log_line(session, epoch, cipher, key_of(cipher, epoch)) for session, epoch, cipher in keys))
    return path


def framed(datagram: bytes, port: int = PORT) -> bytes:
    return bytes(scapy.Ether() / scapy.IP(src="192.0.2.1", dst="192.0.2.2") / scapy.UDP(sport=50000, dport=port) / datagram)


def written(path: Path, frames: list[bytes], most: int = 65535) -> Path:
    writer = scapy.RawPcapWriter(str(path), linktype=1)
    writer.write_header(None)
    for number, frame in enumerate(frames):
        writer.write_packet(frame[:most], sec=number, usec=0, wirelen=len(frame))
    writer.close()
    return path


def capture(path: Path, datagrams: list[bytes]) -> Path:
    return written(path, [framed(datagram) for datagram in datagrams])


def tshark(path: Path, *arguments: str, keys: Path | None = None, before: Path | None = None, ports: str = str(PORT)) -> str:
    command = ["tshark", "-n", "-r", str(path)]
    if before:
        command += ["-X", f"lua_script:{before}"]
    command += ["-X", f"lua_script:{DISSECTOR}", "-o", f"foreflow.shard.ports:{ports}"]
    command += ["-o", f"foreflow.shard.keys:{keys}"] if keys else []
    done = subprocess.run([*command, *arguments], capture_output=True, check=True, text=True)
    assert "Lua" not in done.stderr, done.stderr
    return done.stdout


Fields = dict[str, list[Any]]


def flat(tree: Any, into: Fields) -> Fields:
    """Every value of every name, at any depth."""
    if isinstance(tree, list):
        for each in tree:
            flat(each, into)
    elif isinstance(tree, dict):
        for name, value in tree.items():
            into.setdefault(name, []).extend(value if isinstance(value, list) else [value])
            flat(value, into)
    return into


def layers(path: Path, **more: Any) -> list[Fields]:
    """Of each frame, all that is shown of it, in a second pass."""
    told = json.loads(tshark(path, "-2", "-T", "json", "--no-duplicate-keys", **more))
    return [flat(packet["_source"]["layers"], {}) for packet in told]


def found(tree: Fields, name: str) -> list[Any]:
    return tree.get(name, [])


def one(tree: Fields, name: str) -> str:
    values = found(tree, name)
    assert len(values) == 1, (name, values)
    return values[0]


def faults(tree: Fields) -> set[str]:
    """Names of expert information on contradictions."""
    start = "foreflow.shard.fault."
    return {name[len(start) :] for name in tree if name.startswith(start)}


def has(tree: Fields, name: str) -> bool:
    return f"foreflow.shard.{name}" in tree


def expect_headers(tree: Fields, datagram: bytes) -> None:
    """All that the codec reads in a datagram is what tshark shows."""
    said = core.read_shard_message(datagram)
    assert said.pop("fault") == "none"
    assert one(tree, "foreflow.shard.type") == str(["data", "repair", "feedback", "probe"].index(said["type"]) + 1)
    assert (one(tree, "foreflow.shard.has_uuid") in ("1", "True")) == said["has_uuid"]
    assert int(one(tree, "foreflow.shard.session"), 0) == said["session"]
    for name in ("version", "epoch", "number", "base_delta", "base", "index", "total", "length", "sent_us"):
        assert [int(value) for value in found(tree, f"foreflow.shard.{name}")] == ([said[name]] if name in said else []), name
    for name in ("sealed", "tag"):
        assert bytes.fromhex("".join(found(tree, f"foreflow.shard.{name}")).replace(":", "")) == said[name], name
    for name, field in (("path", "path"), ("same", "path.same")):
        assert [int(value, 0) for value in found(tree, f"foreflow.shard.{field}")] == ([said[name]] if name in said else []), name
    if said["has_uuid"]:
        assert one(tree, "foreflow.shard.uuid").replace("-", "") == said["uuid"].hex()


@pytest.mark.parametrize(("cipher", "has_uuid"), [("aes_256_gcm", False), ("aes_256_gcm", True), ("aes_128_gcm", False), ("chacha20_poly1305", True)])
def test_every_type_says_what_the_codec_says(cipher: str, has_uuid: bool, tmp_path: Path) -> None:
    at = sender(0xA1B2C3D4, has_uuid, cipher, 0x7B)
    datagrams = at.split(FRAME, 300, now=123_456_789)
    datagrams += [at.repair(124_000_000), at.again(1, 130_000_000)]
    rows = struct.pack(">QQQIII", 1000, 995, 348_250, 3, 1, 25) + bytes.fromhex("123456") + bytes([2, 1, 0, 0, 0])
    rows += struct.pack(">QQQH", 0xFFFFFFFFFFFF7FFF, 0x7FFFFFFFFFFFFFFF, 985, 1)
    datagrams += [at.message("feedback", rows), at.message("probe", bytes.fromhex("abcdef00") + bytes(100))]
    datagrams += at.split(FRAME, 2000)
    path = capture(tmp_path / "all.pcap", datagrams)
    told = layers(path, keys=log(tmp_path, (0xA1B2C3D4, 0x7B, cipher)))
    assert len(told) == len(datagrams)
    for tree, datagram in zip(told, datagrams):
        expect_headers(tree, datagram)
        assert faults(tree) == set()
        assert one(tree, "foreflow.shard.tag.status") == "good"
    pieces = len(datagrams) - 5
    text = [bytes.fromhex(one(tree, "foreflow.shard.text").replace(":", "")) for tree in told]
    assert b"".join(text[:pieces]) == FRAME
    assert [len(found(tree, "tcp.dstport")) for tree in told] == [0] * (pieces - 1) + [1, 0, 0, 0, 0, 1]
    assert [one(tree, "foreflow.shard.reassembled.in") for tree in told[: pieces - 1]] == [str(pieces)] * (pieces - 1)
    assert one(told[pieces + 1], "foreflow.shard.sent_again") in ("1", "True")
    feedback = told[pieces + 2]
    said = core.read_shard_feedback(rows)
    for name in ("highest", "received", "received_bytes", "marked", "spurious", "held_us", "sent_us"):
        assert int(one(feedback, f"foreflow.shard.feedback.{name}")) == said[name], name
    assert [int(value, 0) for value in found(feedback, "foreflow.shard.feedback.word")] == said["words"]
    assert [int(one(feedback, f"foreflow.shard.feedback.gap.{name}")) for name in ("first", "count")] == list(said["gaps"][0])
    assert one(told[pieces + 3], "foreflow.shard.probe.sent_us") == str(0xABCDEF)
    assert one(told[pieces + 3], "foreflow.shard.probe.bytes") == str(len(datagrams[pieces + 3]))


@pytest.mark.parametrize("has_uuid", [False, True], ids=["compact", "explicit"])
def test_of_several_paths_each_message_says_its_own(has_uuid: bool, tmp_path: Path) -> None:
    at = sender(has_uuid=has_uuid, has_paths=True)
    rows = struct.pack(">QQQIII", 1000, 995, 348_250, 3, 1, 25) + bytes.fromhex("123456") + bytes([1, 0, 2, 0, 0])
    rows += struct.pack(">Q", 2**64 - 1) + struct.pack(">IQIII", 25, 1000, 500, 174_125, 3) + struct.pack(">IQIII", 15 << 24 | 325, 999, 495, 174_125, 0)
    datagrams = [*at.split(FRAME, 300, path=3), at.repair(path=15), at.message("feedback", rows, path=3), at.message("probe", bytes(100)), *at.split(FRAME, 300, path=15)]
    told = layers(capture(tmp_path / "paths.pcap", datagrams), keys=log(tmp_path, (0x01020304, 0, "aes_256_gcm")))
    for tree, datagram in zip(told, datagrams):
        expect_headers(tree, datagram)
        assert faults(tree) == set() and one(tree, "foreflow.shard.tag.status") == "good"
    # Of the 28 numbers before each: 4 fragments, 0 to 3, and feedback, 5, by path 3; 4 and 7 to 10 by path 15.
    same = [int(one(tree, "foreflow.shard.path.same"), 0) for tree in told]
    assert same[:6] == [0, 1 << 27, 3 << 26, 7 << 25, 0, 0b01111 << 23]
    assert same[6:] == [0, 1 << 25, 0b1001 << 24, 0b11001 << 23, 0b111001 << 22]
    assert len(found(told[-1], "tcp.dstport")) == 1
    said = core.read_shard_feedback(rows)
    feedback = told[5]
    names = ("number", "highest", "received", "received_bytes", "marked", "held_us")
    assert said["paths"] == list(zip(*([int(value) for value in found(feedback, f"foreflow.shard.feedback.path.{name}")] for name in names)))


def test_without_keys_the_headers_are_read_and_packets_are_followed(tmp_path: Path) -> None:
    datagrams = sender().split(FRAME, 300)
    told = layers(capture(tmp_path / "a.pcap", datagrams))
    for tree, datagram in zip(told, datagrams):
        expect_headers(tree, datagram)
        assert one(tree, "foreflow.shard.tag.status") == "unknown: no key"
        assert not found(tree, "foreflow.shard.text") and not found(tree, "tcp.dstport")
    assert one(told[0], "foreflow.shard.reassembled.in") == str(len(datagrams))


def test_any_order_and_any_one_lost_gives_the_frame(tmp_path: Path) -> None:
    """Four fragments in every order; each one lost, with the repair at any place; tshark in one pass and in two."""
    at = sender()
    sequences = []
    for order in itertools.permutations(range(4)):
        pieces = at.split(FRAME, 300)
        sequences.append([pieces[i] for i in order])
    for lost in range(4):
        for place in range(4):
            pieces = at.split(FRAME, 300)
            repair = at.repair()
            del pieces[lost]
            pieces.insert(place, repair)
            sequences.append(pieces)
    path = capture(tmp_path / "orders.pcap", list(itertools.chain(*sequences)))
    keys = log(tmp_path, (0x01020304, 0, "aes_256_gcm"))
    assert len(FRAME) > 900 and len(sequences[0]) == 4
    for passes in ([], ["-2"]):
        shown = tshark(path, *passes, "-T", "fields", "-e", "frame.number", "-e", "foreflow.shard.reassembled.length", "-e", "tcp.payload", "-e", "foreflow.shard.repaired", keys=keys)
        rows = [line.split("\t") for line in shown.splitlines()]
        whole = [row for row in rows if row[1]]
        assert [int(row[0]) for row in whole] == [4 * (i + 1) for i in range(len(sequences))]
        assert {row[1] for row in whole} == {str(len(FRAME))}
        assert {row[2].replace(":", "") for row in whole} == {(b"text " * 200).hex()}
        assert [row[3] for row in whole[24:]] == [str(lost) for lost in range(4) for _ in range(4)]


def test_each_contradiction_is_flagged_as_the_codec_names_it(tmp_path: Path) -> None:
    """Datagrams of both modes, cut anywhere, and with changed bytes; the codec says what is wrong with each."""
    seed = 5
    rng = random.Random(seed)
    datagrams = []
    for has_uuid in (False, True):
        at = sender(has_uuid=has_uuid)
        for good in [*at.split(FRAME, 300), at.repair(), at.message("feedback", bytes(44)), at.message("probe", bytes(10))]:
            datagrams += [good[:size] for size in range(0, 60, 2) if size] + [good[:-1], good + b"\0"]
            for _ in range(25):
                changed = bytearray(good)
                changed[rng.choice((0, 0, 14, 15, 16, 17, 18, 19, 20, rng.randrange(len(good))))] = rng.choice((0, 1, 3, 4, 16 + rng.randrange(16), 64, 65, rng.randrange(256)))
                datagrams.append(bytes(changed))
            early = bytearray(good)
            early[6:14] = bytes(8)
            datagrams.append(bytes(early))
    wanted = [core.read_shard_message(datagram)["fault"] for datagram in datagrams]
    assert {"none", "short", "version", "type", "total", "index", "number", "uuid", "size"} == set(wanted), f"seed {seed}"
    told = layers(capture(tmp_path / "broken.pcap", datagrams))
    for number, (tree, fault, datagram) in enumerate(zip(told, wanted, datagrams), 1):
        assert faults(tree) == (set() if fault == "none" else {fault}), (seed, number, datagram.hex())
        assert found(tree, "foreflow.shard.fault") == ([] if fault == "none" else [fault]), (seed, number)
        if fault == "none":
            expect_headers(tree, datagram)
    assert "Lua Error" not in tshark(tmp_path / "broken.pcap", "-V")


def test_plaintexts_that_contradict_themselves_are_flagged(tmp_path: Path) -> None:
    seed = 6
    rng = random.Random(seed)
    at = sender()
    rows = struct.pack(">QQQIII", 1000, 995, 348_250, 3, 1, 25) + bytes.fromhex("123456") + bytes([1, 2, 0, 0, 0])
    rows += struct.pack(">QQHQH", 2**64 - 1, 985, 1, 1001, 64)
    of_path = rows[:41] + b"\1" + rows[42:] + struct.pack(">IQIII", 0, 2**64 - 2, 1, 1, 0)
    texts = [of_path, of_path[:-24] + b"\x10" + of_path[-23:], of_path[:7] + b"\0" + of_path[8:], rows[:41] + b"\x11" + rows[42:] + bytes(17 * 24)]
    texts += [rows, rows[:-1], rows + b"\0", rows[:43], rows[:-2] + b"\0\0", rows[:-2] + b"\0\x41", rows[:-10] + b"\xff" * 10, rows[:41] + b"\1" + rows[42:]]
    for _ in range(100):
        changed = bytearray(rows)
        changed[rng.randrange(len(rows))] = rng.randrange(256)
        texts.append(bytes(changed))
    probes = [b"abc\0", b"abc\1", b"abc", b"abc\0" + bytes(50)]
    datagrams = [at.message("feedback", text) for text in texts] + [at.message("probe", text) for text in probes]
    told = layers(capture(tmp_path / "plain.pcap", datagrams), keys=log(tmp_path, (0x01020304, 0, "aes_256_gcm")))
    wanted = [{"feedback"} if core.read_shard_feedback(text) is None else set() for text in texts] + [set(), {"probe"}, {"probe"}, set()]
    assert [faults(tree) for tree in told] == wanted, f"seed {seed}"
    assert 5 < wanted.count({"feedback"}) < 109


def test_what_is_forged_repeated_or_mixed_takes_no_part(tmp_path: Path) -> None:
    at = sender()
    pieces = at.split(FRAME, 300)
    forged = pieces[1][:-1] + bytes([pieces[1][-1] ^ 1])
    other = core.ShardSender(0x01020304)
    other.install_key(1, "aes_256_gcm", key_of("aes_256_gcm", 1))
    mixed = other.split(FRAME, 300)[1]
    longer = sender().split(FRAME + b"x", 300)[1]
    datagrams = [pieces[0], forged, mixed, longer, pieces[1], pieces[1], at.again(1), *pieces[2:]]
    keys = log(tmp_path, (0x01020304, 0, "aes_256_gcm"), (0x01020304, 1, "aes_256_gcm"))
    told = layers(capture(tmp_path / "bad.pcap", datagrams), keys=keys)
    experts = ("forged", "repeated", "duplicate", "conflict", "mixed_epoch")
    # `longer` bears the number that pieces[1] has: the one that comes first is taken for the true one.
    assert [{name for name in experts if has(tree, name)} for tree in told] == [
        set(), {"forged"}, {"mixed_epoch"}, {"conflict"}, {"repeated"}, {"repeated"}, set(), set(), set()
    ]  # fmt: skip
    assert one(told[1], "foreflow.shard.tag.status") == "bad"
    assert one(told[4], "foreflow.shard.first_in") == "4"
    assert one(told[-1], "foreflow.shard.reassembled.length") == str(len(FRAME))
    assert found(told[-1], "foreflow.shard.fragment") == ["1", "7", "8", "9"]


def test_an_epoch_that_came_back_is_opened_by_the_key_that_fits(tmp_path: Path) -> None:
    one_key, other_key = bytes(range(32)), bytes(range(1, 33))
    datagrams = []
    lines = ""
    for session, key in ((7, one_key), (7, other_key)):
        at = core.ShardSender(session)
        at.install_key(3, "chacha20_poly1305", key)
        if datagrams:
            at.split(FRAME, 2000)
        datagrams += at.split(FRAME, 2000)
        lines += core.shard_key_log_line(session, 3, "chacha20_poly1305", key)
    assert lines.splitlines()[0] == f"SHARD_KEY 00000007 03 chacha20_poly1305 {one_key.hex()}"
    keys = tmp_path / "keys.log"
    keys.write_text(lines + "\nSHARD_KEY 7 03 aes_256_gcm 00\n")
    told = layers(capture(tmp_path / "again.pcap", datagrams), keys=keys)
    assert [one(tree, "foreflow.shard.tag.status") for tree in told] == ["good", "good"]
    assert [found(tree, "tcp.dstport") for tree in told] == [["443"], ["443"]]


def test_a_fragment_tells_the_port_and_a_cut_capture_is_said(tmp_path: Path) -> None:
    at = sender()
    pieces = at.split(FRAME, 300)
    noise = [bytes(range(200)), b"\x16\xfe\xfd" + bytes(60), b"hello"]
    frames = [framed(each, PORT + 1) for each in noise] + [framed(each) for each in (*pieces, at.message("probe", bytes(8)))]
    told = layers(written(tmp_path / "mixed.pcap", frames), ports="")
    assert ["foreflow.shard" in tree for tree in told] == [False] * 3 + [True] * 5
    told = layers(written(tmp_path / "cut.pcap", frames[3:], 100))
    assert [has(tree, "cut") for tree in told] == [True] * 4 + [False]
    assert [int(one(tree, "foreflow.shard.index")) for tree in told[:4]] == [0, 1, 2, 3]


@pytest.mark.parametrize(("has_uuid", "ways"), [(False, 1), (True, 1), (False, 2)], ids=["compact", "explicit", "paths"])
def test_what_two_units_say_over_a_bad_network_is_read_whole(has_uuid: bool, ways: int, tmp_path: Path) -> None:
    """Recorded frames through two units, with repairs, feedback, probes and requests: every frame comes out of tshark as it went in."""
    recorded = core.Capture(str(ROOT / "datasets" / "recorded" / "recorded.pcapng"))
    frames = [frame for frame in (recorded.bytes(i) for i in range(2000, 2200)) if len(frame) <= 1514][:100]
    paths = [{"delay": 2_000_000 + 300_000 * way, "loss": 0.05, "late": 0.05, "late_least": 300_000, "late_most": 900_000} for way in range(ways)]
    units = core.Units(paths, seed=4, has_uuid=has_uuid, is_robust=True)
    for number, frame in enumerate(frames):
        units.input(frame, number * 400_000)
    units.finish()
    keys = tmp_path / "keys.log"
    keys.write_text(units.key_log)
    path = capture(tmp_path / "units.pcap", [datagram for _, _, datagram in units.datagrams])
    told = layers(path, keys=keys)
    assert {one(tree, "foreflow.shard.tag.status") for tree in told} == {"good"}
    assert all(faults(tree) == set() and not has(tree, "repeated") and not has(tree, "conflict") for tree in told)
    said = [core.read_shard_message(datagram) for _, _, datagram in units.datagrams]
    assert {each["type"] for each in said} == {"data", "repair", "feedback", "probe"}
    assert {each.get("path", 0) for each in said} == set(range(ways)) and has(told[-1], "path") == (ways > 1)
    assert any(has(tree, "feedback.path") for tree in told) == (ways > 1)
    assert any(has(tree, "asks") for tree in told) and any(value in ("1", "True") for tree in told for value in found(tree, "foreflow.shard.sent_again"))
    whole = {one(tree, "foreflow.shard.base"): bytes.fromhex(value.replace(":", "")) for tree in told for value in found(tree, "foreflow.shard.reassembled.data")}
    assert [whole[base] for base in sorted(whole, key=int)] == frames
    assert {frame for _, _, frame in units.frames} <= set(frames) and len(units.frames) > 90
    for tree, datagram in zip(told, (datagram for _, _, datagram in units.datagrams)):
        expect_headers(tree, datagram)


def test_hosts_that_agree_on_keys_at_the_same_port_are_told_apart(tmp_path: Path) -> None:
    hello = core.ControlCore(bytes(32), core.public_key_of(bytes([1] * 32)), bytes([2] * 32), 1).connect(1)
    told = layers(capture(tmp_path / "keys.pcap", [*hello, *sender().split(FRAME, 2000)]))
    assert [found(tree, "foreflow.shard.channel") for tree in told] == [["first message of the handshake"], []]
    assert faults(told[0]) == set()


def pattern(size: int, start: int, step: int) -> bytes:
    return bytes((start + i * step) % 256 for i in range(size))


@pytest.mark.parametrize("library", ["bit32", "bit"])
def test_the_ciphers_open_what_openssl_sealed(library: str, tmp_path: Path) -> None:
    """Lua 5.2 brings bit32; Wireshark brings bit to a later Lua, whose words have a sign."""
    names = list(CIPHERS)
    lines = []
    for line in (ROOT / "models/crypto/vectors/vectors.txt").read_text().splitlines():
        kind, *words = line.split()
        if kind == "aead":
            cipher, step, associated_bytes, text_bytes = names[int(words[0])], *map(int, words[1:4])
            key, nonce = pattern(CIPHERS[cipher], 1, step), pattern(12, 2, step)
            associated, text = pattern(associated_bytes, 4, 5), pattern(text_bytes, 3, 7)
        elif kind == "fill":
            cipher, value, text_bytes = names[int(words[0])], *map(int, words[1:3])
            key, nonce, associated, text = (bytes([value]) * size for size in (CIPHERS[cipher], 12, 16, text_bytes))
        else:
            continue
        if len(text) + len(associated) > 5000:
            continue
        sealed = core.seal_aead(cipher, key, nonce, associated, text)
        assert (hashlib.sha256(sealed[:-16]).hexdigest(), sealed[-16:].hex()) == tuple(words[-2:])
        forged = bytearray(sealed)
        forged[len(lines) % len(sealed)] ^= 1 << len(lines) % 8
        for made, wanted in ((sealed, text.hex() or "-"), (bytes(forged), "forged")):
            lines.append(" ".join([cipher, key.hex(), nonce.hex(), associated.hex() or "-", made[:-16].hex() or "-", made[-16:].hex(), wanted]))
    (tmp_path / "vectors").write_text("\n".join(lines))
    script = tmp_path / "vectors.lua"
    script.write_text(f"""{"" if library == "bit32" else "bit32 = nil"}
local ciphers = dofile("{DISSECTOR.parent / "foreflow_aead.lua"}")
local function bytes_of(text)
  return text == "-" and "" or (text:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end))
end
local right, wrong = 0, 0
for line in io.lines("{tmp_path / "vectors"}") do
  local cipher, key, nonce, associated, text, tag, wanted = line:match("(%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)")
  local plain = ciphers[cipher].prepare(bytes_of(key))(bytes_of(nonce), bytes_of(associated), bytes_of(text), bytes_of(tag))
  if plain == (wanted ~= "forged" and bytes_of(wanted) or nil) then right = right + 1 else wrong = wrong + 1 end
end
io.stderr:write("right " .. right .. " wrong " .. wrong .. "\\n")
""")
    done = subprocess.run(["tshark", "-X", f"lua_script:{script}", "-v"], capture_output=True, check=True, text=True)
    assert f"right {len(lines)} wrong 0" in done.stderr
    assert len(lines) > 2 * 3 * 50


def test_a_command_of_ours_reads_a_capture(tmp_path: Path) -> None:
    path = capture(tmp_path / "a.pcap", sender().split(FRAME, 300))
    keys = log(tmp_path, (0x01020304, 0, "aes_256_gcm"))
    command = ["/usr/bin/python3", "-P", "-m", "foreflow", "dissect", str(path), "--keys", str(keys)]
    done = subprocess.run([*command, "-Y", "tcp", "-T", "fields", "-e", "tcp.dstport"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "443\n"), done.stderr
    for wrong in ([*command[:5], str(tmp_path / "none")], [*command[:-1], str(tmp_path / "none")]):
        refused = subprocess.run(wrong, capture_output=True, text=True, check=False)
        assert refused.returncode == 2 and "there is no such file" in refused.stderr
