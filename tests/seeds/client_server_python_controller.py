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

    def sendTarget(self, target):
        target = target.encode(self.FORMAT)
        target += b' ' * (self.HEADER - len(target))
        self.client.send(target)

    def getArduinos(self):
        target = "|no target|"
        target = target.encode(self.FORMAT)
        target += b' ' * (self.HEADER - len(target))
        self.client.send(target)
        length = self.client.recv(self.HEADER).decode(self.FORMAT)
        raspberrypies = self.client.recv(int(length)).decode(self.FORMAT)
        raspberrypies = raspberrypies.split(",")
        return raspberrypies

    def sendData(self, target, data):
        self.sendTarget(target)
        data = str(data).encode()
        dataLength = str(len(data)).encode(self.FORMAT)
        dataLength += b' ' * (self.HEADER - len(dataLength))
        self.client.send(dataLength)
        self.client.send(data)
        length = self.client.recv(self.HEADER).decode(self.FORMAT)
        response = self.client.recv(int(length)).decode(self.FORMAT)
        return response


client = Client(sys.argv[1], int(sys.argv[2]), "python")
client.sendClientType()
print(client.getArduinos())
for number in range(4, len(sys.argv)):
    print(client.sendData(sys.argv[3], sys.argv[number]))
