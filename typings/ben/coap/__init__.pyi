"""CoAP: a client and a server (RFC 7252), with block-wise transfer (RFC 7959) and observing (RFC 7641).

    from ben.coap import Client

    client = Client()
    reply = client.get("coap://192.168.1.2/temperature")
    print(reply.status, reply.payload)

A server, which may be on the same board:

    from ben.coap import Server

    server = Server()
    server.add("temperature", get=lambda request: "21.5")
    server.run()

Nothing of it is encrypted: who is on the network can read and forge it.

A name is loaded when it is first asked for:

- `Client`: the blocking client, out of `ben.coap.client`;
- `Server`: the blocking server, out of `ben.coap.server`;
- `Response`: what a handler returns where a payload does not say it all, out of `ben.coap.response`;
- `Error`, `LATER`: what a handler raises, or returns to answer later, out of `ben.coap.handling`;
- `Custom`: a socket that is an object of yours, out of `ben.coap.custom`;
- `aio`: the module with the same for asyncio, `aio.Client` and `aio.Server`;
- `discovery`: the module that reads what /.well-known/core says (RFC 6690), `discovery.parse`;
- `formats`: the module with the names of content formats;
- `micro`: the module with the interface of microCoAPy.

Any other name is looked for among the modules of the package, such as `ben.coap.message`. AttributeError if
there is none.
"""

from . import aio as aio
from . import discovery as discovery
from . import formats as formats
from . import micro as micro
from .client import Client as Client
from .custom import Custom as Custom
from .handling import LATER as LATER
from .handling import Error as Error
from .response import Response as Response
from .server import Server as Server
