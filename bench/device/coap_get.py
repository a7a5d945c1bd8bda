# One GET of /temperature from a port.
import sys

from ben.coap import Client

print(Client().get("coap://127.0.0.1:" + sys.argv[1] + "/temperature").status)
