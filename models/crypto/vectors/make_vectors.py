#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes vectors.txt: what OpenSSL and Python's hashlib say of ciphers and hashes.

    models/crypto/vectors/make_vectors.py > models/crypto/vectors/vectors.txt

Needs Debian's python3-cryptography, which the tests do not. Byte i of an input named by (start, step) is
(start + i * step) mod 256. Long results are given by their SHA-256.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def pattern(size: int, start: int, step: int) -> bytes:
    return bytes((start + i * step) % 256 for i in range(size))


def aead() -> None:
    """Sizes at and around the blocks, the eight-block and the larger strides of vector code."""
    print("# aead: algorithm, step of key and nonce, bytes of associated data, bytes of text, SHA-256 of the ciphertext, tag")
    sizes = [(13, n) for n in (0, 1, 15, 16, 17, 31, 32, 33, 47, 48, 63, 64, 65, 127, 128, 129, 191, 192, 255, 256)]
    sizes += [(16, n) for n in (257, 383, 511, 512, 513, 767, 768, 769, 1023, 1024, 1400, 2048, 4095, 16384, 65475)]
    sizes += [(n, 0) for n in (0, 1, 15, 16, 17, 128, 1000, 65537)]
    sizes += [(n, 100) for n in (0, 1, 11, 12, 15, 17, 31, 32, 33, 127, 128, 129, 255, 65279, 65280)]
    for name, cipher, key_bytes in (("0", AESGCM, 16), ("1", AESGCM, 32), ("2", ChaCha20Poly1305, 32)):
        for step, (associated, text) in enumerate(sizes, 1):
            sealed = cipher(pattern(key_bytes, 1, step)).encrypt(
                pattern(12, 2, step), pattern(text, 3, 7), pattern(associated, 4, 5)
            )
            print("aead", name, step, associated, text, hashlib.sha256(sealed[:text]).hexdigest(), sealed[text:].hex())
        # Bits that carry: all ones everywhere, and texts whose authentication passes through zero.
        for value in (0x00, 0x01, 0x7F, 0x80, 0xFF):
            for text in (16, 64, 192):
                fill = bytes([value])
                sealed = cipher(fill * key_bytes).encrypt(fill * 12, fill * text, fill * 16)
                print("fill", name, value, text, hashlib.sha256(sealed[:text]).hexdigest(), sealed[text:].hex())


def hashes() -> None:
    print("# hash: bytes of message, SHA-256, BLAKE2s; hmac: bytes of key and message; hkdf: bytes of input, 64 of output")
    for size in (0, 1, 3, 55, 56, 63, 64, 65, 119, 127, 128, 129, 1000):
        message = pattern(size, 5, 3)
        print("hash", size, hashlib.sha256(message).hexdigest(), hashlib.blake2s(message).hexdigest())
    for key_bytes, size in ((0, 0), (1, 10), (32, 0), (32, 33), (32, 64), (63, 100), (64, 1)):
        key, message = pattern(key_bytes, 6, 11), pattern(size, 5, 3)
        print(
            "hmac",
            key_bytes,
            size,
            hmac.new(key, message, hashlib.sha256).hexdigest(),
            hmac.new(key, message, hashlib.blake2s).hexdigest(),
        )
    for size in (0, 32):
        salt, message = pattern(32, 6, 11), pattern(size, 5, 3)
        derived = HKDF(SHA256(), 64, salt, b"").derive(message)
        print("hkdf", size, derived.hex())


if __name__ == "__main__":
    aead()
    hashes()
