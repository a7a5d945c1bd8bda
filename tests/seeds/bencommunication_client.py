import dht
from machine import Pin
from time import sleep
from benclient import client

obj = client("192.168.1.2",8585) # Server ip and port

sensor = dht.DHT11(Pin(14)) #GPIO 14
while True:
    sensor.measure()
    temperature = sensor.temperature()
    humidity = sensor.humidity()
    obj.send({"action":"dhtsensor","data":{
        "temperature":temperature ,
        "humidity":humidity
        }}, noreturn=True) # We set noreturn to true, this will make library continue without waiting for response.
    sleep(60)
