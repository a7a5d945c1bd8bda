# Observes /counter for ever: driver, port.
import sys

driver, port = sys.argv[1], int(sys.argv[2])
url = f"coap://127.0.0.1:{port}/counter"
if driver == "asyncio":
    import asyncio

    from ben.coap import aio

    async def main():
        async for _ in aio.Client().observe(url):
            pass

    asyncio.run(main())
else:
    from ben.coap import Client

    for _ in Client().observe(url):
        pass
