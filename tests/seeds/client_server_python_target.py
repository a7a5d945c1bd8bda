import socket
import sys


class Client:
    HEADER = 64
    FORMAT = "utf-8"

    def __init__(self, host, port, clientType):
        self.clientType = clientType
        self.client = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.client.connect(socket.getaddrinfo(host, port)[0][-1])

    def sendClientType(self):
        clientTypemsg = self.clientType.encode(self.FORMAT)
        clientTypemsgLength = str(len(clientTypemsg)).encode(self.FORMAT)
        clientTypemsgLength += b' ' * (self.HEADER - len(clientTypemsgLength))
        self.client.send(clientTypemsgLength)
        self.client.send(clientTypemsg)

    def receive(self):
        length = self.client.recv(self.HEADER).decode(self.FORMAT)
        response = self.client.recv(int(length)).decode(self.FORMAT)
        return response

    def disconnect(self):
        message = "|disconnect|".encode(self.FORMAT)
        length = str(len(message)).encode(self.FORMAT)
        length += b' ' * (self.HEADER - len(length))
        self.client.send(length)
        self.client.send(message)


client = Client(sys.argv[1], int(sys.argv[2]), sys.argv[3])
client.sendClientType()
count = int(sys.argv[4])
while count:
    print(client.receive())
    count -= 1
client.disconnect()
print(client.client.recv(client.HEADER))
