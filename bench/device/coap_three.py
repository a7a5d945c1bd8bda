# Serves three resources at a port.
import sys

from ben.coap import Server

lamp = [b"0"]


def switch(request):
    lamp[0] = request.payload


server = Server(int(sys.argv[1]), "127.0.0.1")
server.add("temperature", get=lambda request: "21.5", rt="temperature-c")
server.add("humidity", get=lambda request: "40")
server.add("lamp", get=lambda request: lamp[0], put=switch)
server.run()
