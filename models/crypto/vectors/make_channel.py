#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes channel.txt: the packets of a secure channel, as a second implementation makes them.

    models/crypto/vectors/make_channel.py > models/crypto/vectors/channel.txt

Written from the layouts in secure_channel.cc and the Noise specification, over Debian's python3-cryptography and hashlib; the tests
do not need either. Both ends' random bytes follow from their seeds, so that each packet is known to the bit.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Callable

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SUITES = {1: ("ChaChaPoly", "BLAKE2s"), 2: ("ChaChaPoly", "SHA256"), 3: ("AESGCM", "BLAKE2s"), 4: ("AESGCM", "SHA256")}
NOW = 1_800_000_000 * 10**9
APPLICATION = b"vectors"
INIT, REPLY, RECORD = 1, 2, 4
DATA, ALIVE, CONFIRM = 0, 1, 2


def public(secret: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def agree(secret: bytes, other: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(secret).exchange(X25519PublicKey.from_public_bytes(other))


class Random:
    """ChaCha20 whose first 32 bytes replace the key at each draw."""

    def __init__(self, seed: bytes) -> None:
        self.key = seed

    def draw(self, size: int) -> bytes:
        stream = Cipher(algorithms.ChaCha20(self.key, bytes(16)), None).encryptor().update(bytes(96))
        self.key = stream[:32]
        return stream[32 : 32 + size]


class Noise:
    """The symmetric state; every key encrypts one text."""

    def __init__(self, suite: int, prologue: bytes, responder: bytes) -> None:
        cipher, hash_name = SUITES[suite]
        self.is_aes = cipher == "AESGCM"
        self.hash: Callable = hashlib.sha256 if hash_name == "SHA256" else hashlib.blake2s
        name = f"Noise_IK_25519_{cipher}_{hash_name}".encode()
        self.h = name.ljust(32, b"\0") if len(name) <= 32 else self.hash(name).digest()
        self.ck = self.h
        self.mix_hash(prologue)
        self.mix_hash(responder)

    def mix_hash(self, data: bytes) -> None:
        self.h = self.hash(self.h + data).digest()

    def hkdf(self, data: bytes) -> tuple[bytes, bytes]:
        temporary = hmac.new(self.ck, data, self.hash).digest()
        first = hmac.new(temporary, b"\1", self.hash).digest()
        return first, hmac.new(temporary, first + b"\2", self.hash).digest()

    def mix_key(self, data: bytes) -> None:
        self.ck, self.k = self.hkdf(data)

    def seal(self, key: bytes, number: int, text: bytes, associated: bytes) -> bytes:
        if self.is_aes:
            return AESGCM(key).encrypt(struct.pack(">IQ", 0, number), text, associated)
        return ChaCha20Poly1305(key).encrypt(struct.pack("<IQ", 0, number), text, associated)

    def encrypt(self, text: bytes) -> bytes:
        sealed = self.seal(self.k, 0, text, self.h)
        self.mix_hash(sealed)
        return sealed


def mac(receiver: bytes, message: bytes) -> bytes:
    key = hashlib.blake2s(b"foreflow mac1" + receiver).digest()
    return hashlib.blake2b(message, key=key, digest_size=16).digest()


def endpoint_random(seed: bytes) -> Random:
    """After construction: the cookies' secret and the hosts' key have been drawn."""
    random = Random(seed)
    random.draw(32)
    random.draw(16)
    return random


def index(random: Random) -> int:
    """Of a handshake or session with peer 0."""
    return struct.unpack(">I", random.draw(4))[0] << 12 & 0xFFFFFFFF


def packets(suite: int, a: bytes, b: bytes, seed_a: bytes, seed_b: bytes) -> tuple[list[bytes], bytes]:
    """Message 1, message 2, the confirmation and its answer, a message each way; and the channel's binding."""
    random_a, random_b = endpoint_random(seed_a), endpoint_random(seed_b)
    index_a = index(random_a)
    ephemeral_a = random_a.draw(32)
    header = struct.pack(">BBBBI", INIT, 1, suite, 0, index_a)
    noise = Noise(suite, b"foreflow secure channel\0" + APPLICATION + header, public(b))
    init = header + public(ephemeral_a)
    noise.mix_hash(public(ephemeral_a))
    noise.mix_key(agree(ephemeral_a, public(b)))
    init += noise.encrypt(public(a))
    noise.mix_key(agree(a, public(b)))
    init += noise.encrypt(struct.pack(">Q", NOW))
    init += mac(public(b), init) + bytes(16)

    index_b = index(random_b)
    ephemeral_b = random_b.draw(32)
    reply = struct.pack(">BBBBI", REPLY, 1, suite, 0, index_a) + public(ephemeral_b)
    noise.mix_hash(public(ephemeral_b))
    noise.mix_key(agree(ephemeral_b, public(ephemeral_a)))
    noise.mix_key(agree(ephemeral_b, public(a)))
    reply += noise.encrypt(struct.pack(">I", index_b))
    reply += mac(public(a), reply)

    key_a, key_b = noise.hkdf(b"")

    def record(key: bytes, kind: int, receiver: int, number: int, text: bytes) -> bytes:
        head = struct.pack(">BBBBIQ", RECORD, 1, kind, 0, receiver, number)
        return head + noise.seal(key, number, text, head)

    return [
        init,
        reply,
        record(key_a, CONFIRM, index_b, 0, b""),
        record(key_b, ALIVE, index_a, 0, b""),
        record(key_a, DATA, index_b, 1, b"there"),
        record(key_b, DATA, index_a, 1, b"and back"),
    ], noise.h


def main() -> None:
    print("# Made by make_channel.py: the packets of a channel, of which both ends' keys and seeds are given.")
    for suite in SUITES:
        a, b, seed_a, seed_b = (hashlib.sha256(f"{name} {suite}".encode()).digest() for name in ("a", "b", "seed a", "seed b"))
        made, binding = packets(suite, a, b, seed_a, seed_b)
        print("channel", suite, a.hex(), b.hex(), seed_a.hex(), seed_b.hex(), binding.hex(), *(p.hex() for p in made))


if __name__ == "__main__":
    main()
