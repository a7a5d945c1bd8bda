"""The commands of a controller: python -m benserver targets | send. It asks a server's hub, as any board could."""

from __future__ import annotations

import argparse
import errno
import os
from collections.abc import Callable, Iterator
from typing import Any

from ben import Hub, keys, wire
from ben.crypto import sha256

from .terminal import plain

TIMEOUT = 10.0  # s
TIMEOUT_MAX = 360000  # as of a Client
JSON = 1  # its format on the wire
ENDED = {"delivered": 0, "not delivered": 1, "unknown": 3}  # exit statuses; 2 is for a wrong command line


def add_commands(
    commands: Any, address: Callable[[str], tuple[str, int]], device: Callable[[str], int], port: int
) -> None:
    """Adds both to the subparsers of a command line, whose address and device parse such arguments."""
    about = "A controller talks to the boards that listen at a server's hub."
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--server",
        metavar="[HOST:]PORT",
        type=address,
        default=("", port),
        help=f"where the server listens (default 127.0.0.1:{port})",
    )
    common.add_argument("--tcp", action="store_true", help="PORT is its TCP port")
    common.add_argument(
        "--key",
        metavar="FILE",
        default="key.sec",
        help="the shared key file, or a device's (default key.sec)",
    )
    common.add_argument("--name", default="", help="who asks, where the server's senders have names")
    common.add_argument(
        "--device",
        metavar="ID",
        type=device,
        help="who asks, 8 hex digits, where the server has a list of devices",
    )
    common.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=TIMEOUT,
        help=f"seconds to wait, at most ({TIMEOUT:g}); a message waits for its target for three quarters of it",
    )

    targets = commands.add_parser(
        "targets", parents=[common], help="list the boards that have joined the hub", description=about
    )
    targets.set_defaults(command=_targets)

    send = commands.add_parser(
        "send",
        parents=[common],
        help="send a board data by way of the hub, and say what became of it",
        description=f"{about} The exit status is 0 when it was delivered, 1 when it certainly was not, and 3 when "
        "nobody knows: the board had it once, or not at all.",
    )
    send.add_argument("target", metavar="TARGET", help="a name from the list of targets")
    send.add_argument("data", metavar="DATA", help="JSON, such as '{\"on\": true}', or else a text")
    send.add_argument("--text", action="store_true", help="DATA is a text, even where it could be JSON")
    send.set_defaults(command=_send)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= TIMEOUT_MAX:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 to {TIMEOUT_MAX}")
    return seconds


def _targets(args: argparse.Namespace) -> None:
    found = _asked(args, _hub(args).targets)
    print("\n".join(_table(found)) if found else "nobody has joined")


def _send(args: argparse.Namespace) -> int:
    hub = _hub(args)
    _asked(args, hub.targets)  # or a server that is not there would look like a target that is not
    told = "delivered"
    try:
        hub.send(args.target, args.data if args.text else _value(args.data))
    except OSError as error:
        told = error.args[-1]
        if told not in ENDED:
            raise
    print(f"unknown: {args.target} had it once, or not at all" if told == "unknown" else told)
    return ENDED[told]


def _hub(args: argparse.Namespace) -> Hub:
    host, port = args.server
    device = args.device
    if device is None and not keys.read(args.key)[0]:
        # A name belongs to a device, so one name is always the same one; without a name any will do.
        device = int.from_bytes(
            sha256(args.name.encode()).digest()[:4] if args.name else os.urandom(4), "big"
        )
    return Hub(
        host or "127.0.0.1",
        port,
        args.name,
        "controller",
        args.timeout,
        args.key,
        device=device,
        tcp=args.tcp,
    )


def _asked(args: argparse.Namespace, ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    except OSError as error:
        if error.args[0] != errno.ETIMEDOUT:
            raise
    host, port = args.server
    raise OSError(
        f"no answer from {host or '127.0.0.1'} port {port}: no server there, or another key or device"
    )


def _value(text: str) -> Any:
    try:
        return wire.decode(JSON, text.encode())
    except ValueError:
        return text


def _table(targets: list[dict[str, Any]]) -> Iterator[str]:
    rows = [("NAME", "TYPE", "LISTENS", "JOINED", "LAST HEARD")]
    for each in targets:
        here = "yes" if each["here"] else "no"
        rows.append(
            (plain(each["name"]), plain(each["type"]), here, _ago(each["joined"]), _ago(each["seen"]))
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def _ago(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
