"""benserver: the CPython side of ben."""

from ben import __version__ as __version__

from .actions import Sender as Sender
from .actions import sender as sender
from .keys import device_key as device_key
from .keys import generate_new_secret as generate_new_secret
from .server import Server as Server

server = benServer = Server  # the names that BenCommunication's programs use
