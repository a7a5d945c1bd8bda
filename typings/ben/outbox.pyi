"""The hub's rules for who sends, free of sockets and clocks. A board loads them for its first message."""

from collections.abc import Generator
from typing import Any

from .crypto import const as const
from .hub import Hub
from .message import BenError as BenError

def targets() -> Generator[tuple[str, Any], Any, Any]:
    """A generator like `send`, which returns what the server's hub.list gives."""

def send(hub: Hub, target: str, data: Any) -> Generator[tuple[str, Any], Any]:
    """The rules of who sends: yields (action, data), is sent the action's result or thrown what it raises.

    Ends and raises as `Hub.send`. The link's "not run" is "not delivered" here, and its "maybe" is "unknown".
    Source: protocol, The hub.
    """
