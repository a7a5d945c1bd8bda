"""The network, so that the board finds this machine."""

import ast
import socket

from .verdicts import Stop


class Wifi:
    """The Wi-Fi that a board joins: the name and password of a config.py, None where there is none."""

    def __init__(self, path):
        self._names = read_names(path) if path else (None, None)

    def join(self, board, facts):
        """The board's address, when it has joined; None if it has no Wi-Fi."""
        if not facts["network"]:
            return None
        status, address = board.call("join", *self._names)
        if status == "no names":
            raise Stop("the board is not on Wi-Fi: name a file with its name and password in --wifi-from")
        if status not in ("joined", "none"):
            raise Stop(f"the board cannot join Wi-Fi: {status}")
        return address


def read_names(path):
    """(ssid, password) as a config.py has them."""
    try:
        with open(path) as file:
            tree = ast.parse(file.read())
        # Read, not run: it is written for the board.
        names = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and node.targets[0].id.startswith("WIFI_")
        }
        return names["WIFI_SSID"], names["WIFI_PASSWORD"]
    except (OSError, SyntaxError, ValueError, AttributeError, KeyError) as error:
        raise Stop(
            f"{path} does not tell WIFI_SSID and WIFI_PASSWORD as config.example.py does: {error!r}"
        ) from None


def own_address(named, board_address, platform):
    """This machine's address in the network where the board is, unless the user named it."""
    address = named or address_towards(board_address or "127.0.0.1")
    if address.startswith("127.") and platform != "linux":
        raise Stop("which address of this machine the board can reach is not known: name it in --address")
    return address


def address_towards(other):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect((other, 9))  # nothing is sent
        return sock.getsockname()[0]
