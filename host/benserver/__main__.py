"""The command line: python -m benserver keygen | device-key | serve | targets | send."""

from __future__ import annotations

import argparse
import functools
import logging
import runpy
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from ben import BenError

from . import __version__, controller
from .actions import Action, sender
from .keys import device_key, device_number, generate_new_secret
from .server import Server
from .terminal import plain

PORT = 8585
ANY = "0.0.0.0"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns the exit status, 0 when all went well."""
    args = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    try:
        return args.command(args) or 0
    except BenError as error:
        print(f"benserver: {error.text}", file=sys.stderr)
    except (OSError, ValueError) as error:
        print(f"benserver: {_sentence(error)}", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benserver",
        description="The server's side of ben, a secure link to MicroPython boards.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    keygen = commands.add_parser("keygen", help="write a new shared key file, for the server and its boards")
    keygen.add_argument("file", metavar="FILE", help="where to; an existing file is left alone")
    keygen.add_argument(
        "--overwrite", action="store_true", help="replace an existing key: boards that hold it are out"
    )
    keygen.set_defaults(command=_keygen)

    device = commands.add_parser(
        "device-key", help="write the key file of one device: if stolen, it is this one's only"
    )
    device.add_argument("master", metavar="MASTER", help="the shared key file")
    device.add_argument(
        "device", metavar="DEVICE", type=_device, help="the device's id, 8 hex digits, such as 00000001"
    )
    device.add_argument("file", metavar="FILE", help="where to; an existing file is left alone")
    device.add_argument("--overwrite", action="store_true", help="replace an existing file")
    device.set_defaults(command=_device_key)

    serve = commands.add_parser(
        "serve",
        help="listen for boards, until Ctrl-C",
        description="Listens for boards until Ctrl-C or SIGTERM. Without --actions it prints what they send.",
    )
    serve.add_argument(
        "--udp",
        metavar="[HOST:]PORT",
        type=_address,
        default=("", PORT),
        help=f"where to listen (default {PORT})",
    )
    serve.add_argument(
        "--tcp",
        metavar="[HOST:]PORT",
        type=_address,
        help="where to listen for TCP as well (default: nowhere); HOST is that of --udp",
    )
    serve.add_argument(
        "--coap",
        metavar="[HOST:]PORT",
        type=_address,
        help="where to let in CoAP, which no key protects (default: nowhere; its port is 5683 by custom); "
        "HOST is that of --udp",
    )
    serve.add_argument(
        "--key", metavar="FILE", default="key.sec", help="the shared key file (default key.sec)"
    )
    serve.add_argument(
        "--actions", metavar="FILE.py", help="a file that defines actions(server) and adds handlers there"
    )
    serve.add_argument(
        "--device",
        metavar="ID[=NAME]",
        type=_named_device,
        action="append",
        help="answer this device, by its 8 hex digits, and no others but those named so; may be repeated",
    )
    serve.add_argument(
        "--sender",
        metavar="NAME",
        action="append",
        help="let this name send to others by way of the hub, and no others but those named so; may be repeated",
    )
    serve.add_argument(
        "--legacy",
        action="store_true",
        help="let in the plain clients of Client-server-python, over --tcp; no key protects what they say",
    )
    serve.add_argument(
        "--plain",
        metavar="NAME",
        action="append",
        default=[],
        help="with --legacy: open this name of the hub to them; may be repeated",
    )
    serve.set_defaults(command=_serve)
    controller.add_commands(commands, _address, _device, PORT)
    return parser


def _argument(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    # argparse shows the text of this exception only
    @functools.wraps(parse)
    def checked(text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return checked


@_argument
def _device(text: str) -> int:
    return device_number(text)


@_argument
def _named_device(text: str) -> tuple[int, str]:
    number, _, name = text.partition("=")
    return device_number(number), name or number.lower()


@_argument
def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not PORT or HOST:PORT")
    return host.strip("[]"), int(port)


def _keygen(args: argparse.Namespace) -> None:
    generate_new_secret(args.file, overwrite=args.overwrite)
    print(f"{args.file}: a new key. The server and its boards need it; nobody else may have it.")


def _device_key(args: argparse.Namespace) -> None:
    device_key(args.master, args.device, args.file, overwrite=args.overwrite)
    print(f"{args.file}: the key of device {args.device:08x}. Copy it to that board as key.sec.")


def _serve(args: argparse.Namespace) -> None:
    host, _ = args.udp
    server = _server(args)
    if args.actions:
        _load(args.actions)(server)
    else:
        server.actions.fallback = functools.partial(_printer, insecure=server.coap is not None)

    def greet() -> None:
        ports = {"UDP": server.port, "TCP": server.tcp, "CoAP": server.coap}
        each = [f"{port} ({kind})" for kind, port in ports.items() if port is not None]
        all_of_them = " and ".join(filter(None, (", ".join(each[:-1]), each[-1])))
        print(f"listening on {host or ANY} port {all_of_them}; Ctrl-C ends it", flush=True)

    server.on_listening = greet
    server.start()


def _server(args: argparse.Namespace) -> Server:
    host, port = args.udp
    try:
        return Server(
            host or ANY,
            port,
            args.key,
            devices=dict(args.device) if args.device else None,
            tcp=_other_port(args, "tcp"),
            coap=_other_port(args, "coap"),
            senders=set(args.sender) if args.sender else None,
            legacy=args.legacy,
            plain=args.plain,
        )
    except ImportError as error:
        raise ValueError(str(error)) from None


def _other_port(args: argparse.Namespace, option: str) -> int | None:
    host, port = getattr(args, option) or ("", None)
    if host not in ("", args.udp[0]):
        raise ValueError(f"--udp and --{option} have one HOST: --udp {host}:{args.udp[1]}, too")
    return port


def _load(file: str) -> Callable[[Server], None]:
    actions = runpy.run_path(file).get("actions")
    if not callable(actions):
        raise ValueError(f"{file} does not define actions(server)")
    return actions  # type: ignore[no-any-return]


def _printer(name: str, insecure: bool) -> Action:
    def show(*data: Any) -> None:
        asked = sender()
        who = asked.address if asked.device is None else asked.name or f"{asked.device:08x}"
        print(time.strftime("%H:%M:%S"), who, *map(plain, (name, *data)), flush=True)

    return Action(name, show, insecure=insecure)


def _sentence(error: OSError | ValueError) -> str:
    if isinstance(error, FileExistsError):
        return f"{error.filename} exists already; it is left as it is (--overwrite replaces it)"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error)


if __name__ == "__main__":
    sys.exit(main())
