"""Client and Server with await, for asyncio; each loaded when first used."""


def __getattr__(name):
    if name == "Client":
        from .aioclient import Client

        return Client
    if name == "Server":
        from .aioserver import Server

        return Server
    raise AttributeError(name)
