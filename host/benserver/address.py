"""Addresses as people write them."""

from __future__ import annotations

from typing import Any


def text(address: tuple[Any, ...]) -> str:
    """Host and port of a socket's address: 192.168.1.2:8585, [::1]:8585."""
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
