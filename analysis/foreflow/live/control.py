# SPDX-License-Identifier: BSD-3-Clause
"""Controlling a device: `Client`, key files, and what `./foreflow control` says.

The protocol is `models/control` behind `models/crypto/secure_channel.h`; here are its sockets and its clock.
"""

from __future__ import annotations

import errno
import ipaddress
import json
import os
import secrets
import select
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from foreflow import config as configuration
from foreflow.errors import Failed, Refused

KEY_DIGITS = 64
FRAME_HEADER = 2  # bytes of length before each packet of a stream
CERTAIN = 65_535  # what stands for a probability of 1 in profiles
VLAN_PRESENT = 0x1000  # of a VLAN key: priority in the bits above, VID below
PROFILE_KEYS = {
    "l3", "protocol", "source", "source_port", "destination", "destination_port", "vlan", "vlan_priority",
    "confidence", "horizon_s", "type", "type_confidence",
}  # fmt: skip


def core() -> Any:
    """The module `foreflow_core`, built where it is not yet."""
    try:
        import foreflow_core
    except ImportError:
        from foreflow.build import build

        sys.path.insert(0, str(build("sim", ["foreflow_core"]) / "bindings" / "python"))
        import foreflow_core
    return foreflow_core


def _key_of(text: str, source: str) -> bytes:
    text = text.strip()
    if len(text) != KEY_DIGITS or set(text) - set("0123456789abcdef"):
        raise Refused(f"{source}: holds no key; allowed are {KEY_DIGITS} lower-case hex digits, as ./foreflow control keygen writes")
    return bytes.fromhex(text)


def load_secret(path: Path) -> bytes:
    """The secret key in `path`; refuses a file that others may read."""
    try:
        if path.stat().st_mode & 0o077:
            raise Refused(f"{path}: others than its owner may use this key file; run: chmod 600 {path}")
        return _key_of(path.read_text(encoding="ascii", errors="replace"), str(path))
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}; ./foreflow control keygen makes a key") from None


def load_tag_key(path: Path) -> bytes:
    """The key of tags in `path`, 32 hex digits."""
    try:
        text = path.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise Refused(f"{path}: cannot be read: {error.strerror}") from None
    if len(text) != 32 or set(text) - set("0123456789abcdef"):
        raise Refused(f"{path}: holds no key of tags; allowed are 32 lower-case hex digits")
    return bytes.fromhex(text)


def load_public(text: str) -> bytes:
    """A public key, given as its hex digits or as a file that holds them."""
    if len(text) == KEY_DIGITS and not Path(text).is_file():
        return _key_of(text, "command line: --device")
    try:
        return _key_of(Path(text).read_text(encoding="ascii", errors="replace"), text)
    except OSError as error:
        raise Refused(f"command line: --device = {text}; allowed are {KEY_DIGITS} hex digits, or a file of them: {error.strerror}") from None


def generate(path: Path) -> bytes:
    """Writes a new secret key to `path`, its public key to `path`.pub, and returns the latter."""
    secret = secrets.token_bytes(32)
    public: bytes = core().public_key_of(secret)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Refused(f"{path}: is there already; keys are never overwritten") from None
    except OSError as error:
        raise Refused(f"{path}: cannot be written: {error.strerror}") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(secret.hex() + "\n")
    path.with_name(path.name + ".pub").write_text(public.hex() + "\n")
    return public


def _endpoint_of(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise Refused(f"command line: ADDRESS = {text}; allowed is HOST:PORT, an IPv6 address in brackets")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _address_text(address: bytes, l3: str) -> str:
    if l3 in ("ipv4", "ipv6"):
        return str(ipaddress.ip_address(address[: 4 if l3 == "ipv4" else 16]))
    return address[:6].hex(":")


def _address_bytes(text: str, l3: str, where: str) -> bytes:
    try:
        packed = ipaddress.ip_address(text).packed if l3 in ("ipv4", "ipv6") else bytes.fromhex(text.replace(":", ""))
    except ValueError:
        packed = b""
    if len(packed) != {"ipv4": 4, "ipv6": 16}.get(l3, 6):
        raise Refused(f"{where} = {text}; allowed is an address of {l3 if l3 in ('ipv4', 'ipv6') else 'Ethernet'}")
    return packed.ljust(16, b"\0")


def _row_of(raw: tuple[Any, ...]) -> dict[str, Any]:
    """A row of a profile in words."""
    source, destination, source_port, destination_port, protocol, l3_number, vlan, confidence, type_confidence, kind, horizon = raw
    l3 = core().LAYER3[l3_number]
    return {
        "l3": l3,
        "protocol": protocol,
        "source": _address_text(source, l3),
        "source_port": source_port,
        "destination": _address_text(destination, l3),
        "destination_port": destination_port,
        "vlan": vlan & 0xFFF if vlan else None,
        "vlan_priority": vlan >> 13 if vlan else None,
        "confidence": confidence / CERTAIN,
        "horizon_s": horizon / 1e6 if horizon else None,
        "type": core().PACKET_TYPES[kind] if type_confidence else None,
        "type_confidence": type_confidence / CERTAIN,
    }


def _raw_of(row: dict[str, Any], where: str) -> tuple[Any, ...]:
    """The same the other way round; refuses what is unknown or out of range."""
    if not isinstance(row, dict):
        raise Refused(f"{where} = {row}; allowed is a mapping")
    unknown = sorted(set(row) - PROFILE_KEYS)
    if unknown:
        raise Refused(f"{where}.{unknown[0]}: unknown key; known are {', '.join(sorted(PROFILE_KEYS))}")

    def choice(name: str, names: tuple[str, ...], otherwise: str) -> int:
        value = row.get(name) or otherwise
        if value not in names:
            raise Refused(f"{where}.{name} = {value}; allowed is one of {', '.join(names)}")
        return names.index(value)

    def number(name: str, most: float, otherwise: float = 0) -> float:
        value = otherwise if row.get(name) is None else row[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= most:
            raise Refused(f"{where}.{name} = {value}; allowed is 0 .. {most:g}")
        return value

    l3 = choice("l3", core().LAYER3, "ipv4")
    family = core().LAYER3[l3]
    vlan = 0 if row.get("vlan") is None else int(number("vlan_priority", 7)) << 13 | VLAN_PRESENT | int(number("vlan", 4095))
    kind = choice("type", core().PACKET_TYPES, core().PACKET_TYPES[0])
    return (
        _address_bytes(str(row.get("source")), family, f"{where}.source"),
        _address_bytes(str(row.get("destination")), family, f"{where}.destination"),
        int(number("source_port", 65_535)), int(number("destination_port", 65_535)), int(number("protocol", 255)), l3, vlan,
        round(number("confidence", 1, 1) * CERTAIN), round(number("type_confidence", 1) * CERTAIN), kind,
        round(number("horizon_s", 4294) * 1e6),
    )  # fmt: skip


class _Datagrams:
    """Packets over UDP. What cannot be sent is lost; the protocol sends it again."""

    def __init__(self, host: str, port: int) -> None:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind, protocol)
        self.socket.setblocking(False)
        self.socket.connect(address)

    def send(self, packet: bytes) -> None:
        try:
            self.socket.send(packet)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENOBUFS):
                raise

    def receive(self) -> Iterator[bytes]:
        while True:
            try:
                yield self.socket.recv(65536)
            except BlockingIOError:
                return
            except ConnectionError:
                continue  # an ICMP error to something sent before

    def close(self) -> None:
        self.socket.close()


class _Stream:
    """Packets over TCP, each with its length before it. A connection that breaks is made again."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._buffer = b""
        self._next_try = 0.0
        self.socket = socket.create_connection(self._target, timeout=10)

    def _again(self) -> None:
        self.socket.close()
        self._buffer = b""
        if time.monotonic() < self._next_try:
            return
        self._next_try = time.monotonic() + 0.2
        try:
            self.socket = socket.create_connection(self._target, timeout=1)
        except OSError:
            pass

    def send(self, packet: bytes) -> None:
        try:
            self.socket.sendall(len(packet).to_bytes(FRAME_HEADER, "big") + packet)
        except OSError:
            self._again()

    def receive(self) -> Iterator[bytes]:
        while self.socket.fileno() >= 0 and select.select([self.socket], [], [], 0)[0]:
            try:
                data = self.socket.recv(65536)
            except OSError:
                data = b""
            if not data:
                self._again()
                return
            self._buffer += data
            while len(self._buffer) >= FRAME_HEADER:
                end = FRAME_HEADER + int.from_bytes(self._buffer[:FRAME_HEADER], "big")
                if len(self._buffer) < end:
                    break
                packet, self._buffer = self._buffer[FRAME_HEADER:end], self._buffer[end:]
                yield packet

    def close(self) -> None:
        self.socket.close()


class Client:
    """A controller of one device; a context.

    The device is known by its address (`HOST:PORT`) and public key, we by our secret one (32 bytes each). Rules are spelled
    as in scenarios/rules, keys that are left out have the schema's defaults. Calls that wait take a `timeout` in seconds and
    raise `Failed` when it is over, `Refused` where the device refuses. Not for two threads at once.
    """

    def __init__(
        self, address: str, secret: bytes, device: bytes, *, transport: str = "udp", update_interval: float = 0.0,
        retransmit: float = 0.2, constant_work: bool = False,
    ) -> None:  # fmt: skip
        if transport not in ("udp", "tcp"):
            raise Refused(f"transport = {transport}; allowed is one of udp, tcp")
        self._address = address
        self._last = 0
        self._events: list[dict[str, Any]] = []
        self._refusal: dict[str, Any] | None = None  # of the rules that are wanted now
        self._core = core().ControlCore(
            secret, device, secrets.token_bytes(32), self._now(), update_interval, retransmit, constant_work
        )
        try:
            self._link = (_Datagrams if transport == "udp" else _Stream)(*_endpoint_of(address))
        except OSError as error:
            raise Failed(f"{address}: no {transport} connection: {error.strerror or error}") from None
        self._send(self._core.connect(self._now()))

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Tells the device that nobody is there any more. It keeps its rules."""
        self._send(self._core.close(self._now()))
        self._link.close()

    def _now(self) -> int:
        self._last = max(self._last, time.time_ns())
        return self._last

    def _send(self, packets: list[bytes]) -> None:
        for packet in packets:
            self._link.send(packet)

    def serve(self, seconds: float = 0.0) -> None:
        """Receives, answers and repeats for so long; call it often enough (once a second) to stay connected."""
        self._serve(lambda: False, seconds)

    def _serve(self, is_done: Callable[[], bool], seconds: float) -> bool:
        end = time.monotonic() + seconds
        while True:
            for packet in self._link.receive():
                self._send(self._core.input(packet, self._now()))
            self._send(self._core.tick(self._now()))
            for event in self._core.take_events():
                if event["kind"] == "refused" and event["number"] == 0:
                    self._refusal = event
                self._events.append(event)
            if is_done():
                return True
            left = end - time.monotonic()
            if left <= 0:
                return False
            due = (self._core.next_tick - self._now()) / 1e9
            wait = max(0.0, min(left, due, 0.5))
            if self._link.socket.fileno() < 0:
                time.sleep(min(wait, 0.05))
                self._link.send(b"")  # makes the connection again
            else:
                select.select([self._link.socket], [], [], wait)

    def connect(self, timeout: float = 10.0) -> None:
        """Waits until the device has shaken hands."""
        if not self._serve(lambda: self._core.is_connected, timeout):
            raise Failed(f"{self._address}: no device answers there that knows this key, for {timeout:g} s")

    @property
    def is_connected(self) -> bool:
        """Whether there is a session with the device."""
        return bool(self._core.is_connected)

    @property
    def generation(self) -> int:
        """Of the device's rules, as far as it said."""
        return int(self._core.generation)

    @property
    def counts(self) -> dict[str, int]:
        """Messages, bytes, parts, batches and whole sets sent; refusals received."""
        return dict(self._core.counts)

    def set_rules(self, rules: list[dict[str, Any]] | str, source: str = "rules") -> None:
        """What the device should have, all of it; `wait_in_force` waits until it has. Text: a ClassBench file's name."""
        self._refusal = None
        if isinstance(rules, str):
            try:
                self._core.replace(Path(rules).read_text(encoding="utf-8", errors="replace"))
            except core().Refusal as refusal:
                raise Refused(str(refusal).replace("rules", rules, 1)) from None
        else:
            self._core.replace(json.dumps(configuration.complete_rules(rules, source)))

    @property
    def rules(self) -> int:
        """How many the device should have."""
        return int(self._core.rules)

    def put_rule(self, rule: dict[str, Any]) -> None:
        """Adds one, or replaces that of its id. `set_rules` comes first."""
        self._refusal = None
        self._core.put(json.dumps(configuration.complete_rules([rule], "rule")))

    def erase_rule(self, rule_id: int) -> None:
        """Takes a rule away. Raises Refused where there is none of this id."""
        self._refusal = None
        if not self._core.erase(rule_id):
            raise Refused(f"rule {rule_id}: there is none of this id")

    def wait_in_force(self, timeout: float = 10.0) -> int:
        """Waits until the device decides by the rules that are wanted; their generation."""

        def is_over() -> bool:
            return bool(self._core.is_in_force) or self._refusal is not None

        if not self._serve(is_over, timeout):
            raise Failed(f"{self._address}: the device did not take the rules within {timeout:g} s")
        if self._refusal is not None:
            raise Refused(_sentence_of(self._address, self._refusal))
        return self.generation

    def _answer(self, number: int, timeout: float) -> dict[str, Any]:
        if number == 0:
            raise Failed(f"{self._address}: too many requests wait")
        found: list[dict[str, Any]] = []

        def is_over() -> bool:
            found.extend(event for event in self._events if event["number"] == number)
            self._events.clear()
            return bool(found)

        if not self._serve(is_over, timeout):
            raise Failed(f"{self._address}: no answer within {timeout:g} s")
        if found[0]["kind"] == "refused":
            raise Refused(_sentence_of(self._address, found[0]))
        return found[0]

    def statistics(self, timeout: float = 10.0) -> dict[str, int]:
        """What the device has counted, by name: packets, drops by reason, control messages, refusals."""
        rows = self._rows("counters", timeout)
        return {name: packets for row_id, packets, _ in rows if (name := core().counter_name(row_id))}

    def rule_statistics(self, timeout: float = 10.0) -> dict[int, tuple[int, int]]:
        """Packets and bytes by rule id."""
        return {row_id: (packets, size) for row_id, packets, size in self._rows("rules", timeout)}

    def tag_rule_statistics(self, timeout: float = 10.0) -> dict[int, tuple[int, int]]:
        """Packets and bytes by id of the tag rule that chose for them."""
        return {row_id: (packets, size) for row_id, packets, size in self._rows("tag_rules", timeout)}

    def tag_class_statistics(self, timeout: float = 10.0) -> dict[str, int]:
        """Packets by the type that their tag says and what the device found of the tag, as `request_valid`."""
        return {core().tag_class_name(row_id): packets for row_id, packets, _ in self._rows("tag_classes", timeout)}

    def profile(self, vm: int, timeout: float = 10.0) -> list[dict[str, Any]]:
        """What the device's host expects of a VM, the likeliest first: one flow a row (`l3`, `protocol`, `source`,
        `source_port`, `destination`, `destination_port`, `vlan`, `vlan_priority`), the `confidence` in it (0 .. 1), the
        `horizon_s` within which it is expected in the mean (None: not known), and the `type` that the VM's packets are
        predicted to have, with its own confidence."""
        return [_row_of(row) for row in self._answer(self._core.read_profile(vm), timeout)["rows"]]

    def tell_profile(self, vm: int, rows: list[dict[str, Any]], timeout: float = 10.0) -> None:
        """Tells the device what to expect of a VM, in rows as of `profile`: it may make ready for them. What is left out
        is certain (`confidence`) or not known."""
        if not 1 <= vm <= 65_535:
            raise Refused(f"vm = {vm}; allowed is 1 .. 65535")
        raw = [_raw_of(row, f"row {number}") for number, row in enumerate(rows)]
        for first in range(0, len(raw), core().MOST_PROFILE_ROWS):
            self._answer(self._core.send_profile(vm, raw[first : first + core().MOST_PROFILE_ROWS]), timeout)

    def _rows(self, kind: str, timeout: float) -> list[tuple[int, int, int]]:
        rows: list[tuple[int, int, int]] = []
        first: int | None = 0
        while first is not None:
            answer = self._answer(self._core.read_statistics(kind, first), timeout)
            rows += answer["rows"]
            first = answer["next"]
        return rows

    def rotate_keys(self, epoch: int, key: bytes, overlap: float, timeout: float = 10.0) -> None:
        """Tags are sealed with `key` (16 bytes) from now on; the key before is good for `overlap` seconds more."""
        self._answer(self._core.rotate_keys(epoch, key, overlap), timeout)


def _sentence_of(address: str, refusal: dict[str, Any]) -> str:
    why = refusal["sentence"] or {
        "forbidden": "this key may not do that; the device's control file says what it may",
        "too_large": "there are more rules than the device holds",
    }.get(refusal["reason"], refusal["reason"])
    rule = "" if refusal["rule"] is None else f" rule {refusal['rule']}:"
    return f"{address}:{rule} {why}; the device's rules stay as they were"


def resolve_server(path: Path) -> dict[str, Any]:
    """The control file of `nic --control` (YAML), with defaults; its key file's path is relative to it."""
    document = configuration.load_yaml(path)
    if not isinstance(document, dict) or not isinstance(document.get("listen"), dict) or not isinstance(document.get("key_file"), str):
        raise Refused(f"{path}: allowed is a mapping of listen ({{udp, tcp}}), key_file, peers and most_rules")
    filled = {"most_rules": 100_000, **document, "listen": {"udp": None, "tcp": None, **document["listen"]}}
    filled["key_file"] = str((path.parent / filled["key_file"]).absolute())
    return filled


def watch(client: Client, ruleset: str, interval: float) -> None:
    """Keeps the device at the rules of a file, whatever restarts and however often it changes; until Ctrl-C."""
    last_seen: list[dict[str, Any]] | str | None = None
    last_line = ""
    while True:
        try:
            rules = configuration.load_rules(ruleset, Path())["rules"]
            if rules != last_seen:
                client.set_rules(rules, ruleset)
                last_seen = rules
        except Refused as refusal:
            _say_once(str(refusal), last_line)
            last_line = str(refusal)
        client.serve(interval)
        if client.is_connected:
            line = f"generation {client.generation}"
        else:
            line = "no device answers"
        _say_once(line, last_line)
        last_line = line


def _say_once(line: str, last: str) -> None:
    if line != last:
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
