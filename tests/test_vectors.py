"""Published and own vectors, on every runtime."""

from pathlib import Path

TESTS = Path(__file__).parent


def test_vectors_hold(board):
    lines = board.run(TESTS / "device" / "vectors.py", TESTS / "vectors").splitlines()
    assert [line for line in lines if not line.startswith("ok ")] == []
    assert len(lines) == 6 + 3 + 1 + 14
