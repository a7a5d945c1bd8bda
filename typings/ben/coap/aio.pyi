"""Client and Server with await, for asyncio; each loaded when first used.

    from ben.coap import aio

    client = aio.Client()
    reply = await client.get("coap://192.168.1.2/temperature")

They are those of `ben.coap.client` and `ben.coap.server`; handlers may be coroutines.
"""

from .aioclient import Client as Client
from .aioserver import Server as Server
