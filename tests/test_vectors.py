"""Published and own vectors, on every runtime."""

import os
from pathlib import Path

from Crypto.Cipher import AES

from ben import cpython

TESTS = Path(__file__).parent


def test_vectors_hold(board):
    lines = board.run(TESTS / "device" / "vectors.py", TESTS / "vectors").splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert len(lines) == 6 + 3 + 1 + 14


def test_cpythons_cbc_is_cbc():
    for blocks in (*range(1, 12), 64, 72):
        key, iv, plain = os.urandom(16), os.urandom(16), os.urandom(16 * blocks)
        sealed = AES.new(key, AES.MODE_CBC, iv).encrypt(plain)
        for _ in range(2):  # the second with a cipher that is kept
            out = bytearray(plain)
            cpython.aes(key, 2, iv).encrypt(memoryview(out), memoryview(out))
            assert out == sealed
            assert cpython.aes(key, 2, iv).decrypt(memoryview(sealed)) == plain
