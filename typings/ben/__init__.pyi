"""ben: a secure link between a board and Python code.

    from ben import client

    link = client("192.168.1.2", 8585)
    print(link.send({"action": "dht", "data": {"temperature": 21.5}}))

The same package runs on MicroPython and on CPython. A name is loaded when it is first asked for:

- `client` or `Client`: the blocking client, out of `ben.udp`;
- `aio`: the module with the same client for asyncio, `aio.Client`;
- `Hub`: messages to and from other boards and programs, by way of the server, out of `ben.hub`;
- `aiohub`: the module with the same for asyncio, `aiohub.Hub`;
- `BenError`: what `send()` raises when the server says no.

`ben.coap` is a package of its own: CoAP, for peers that speak a standard.

Any other name is looked for among the modules of the package, such as `ben.wire`. AttributeError if there is
none.

The protocol stands in docs/protocol.md; "protocol, Keys" in these texts means its section of that name.
"""

from . import aio as aio
from . import aiohub as aiohub
from .hub import Hub as Hub
from .message import BenError as BenError
from .udp import Client as Client
from .udp import client as client

__version__: str
"""The version of the package, such as "0.1.0"."""
