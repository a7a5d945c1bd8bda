# Sends a file of any length to a CoAP server, block by block: it never has to fit in memory. On the board, as
# main.py. A server for it is  python -m benserver serve --coap 5683 --actions FILE.py , whose FILE.py has
#     def actions(server):
#         server.add_action_handler("log", lambda data: print(len(data), "bytes"), insecure=True)
from config import PORT, SERVER

from ben.coap import Client

URL = f"coap://{SERVER}:{PORT}/log"

client = Client()
with open("log.txt", "rb") as file:
    reply = client.post(URL, file, format="application/octet-stream", size=512)
print(reply.status, reply.payload.decode())
