# Readings of boards go to MQTT, and Home Assistant finds them by itself. On the server:
#     pip install "paho-mqtt>=2"
#     python mqtt_forwarder.py
import json

from paho.mqtt.client import CallbackAPIVersion, Client

from benserver import sender, server

BROKER = "localhost"
BROKER_PORT = 1883
PORT = 8585
DEVICES = {0x00000001: "kitchen"}  # ids, as "python -m benserver serve" prints them, and their names
SENSORS = {"temperature": "°C", "humidity": "%"}  # of a reading: no board makes up topics of its own


def publish(topic, value):
    """Retained: who comes later, such as a restarted Home Assistant, gets it, too."""
    if broker.publish(topic, json.dumps(value), retain=True).rc:
        raise ConnectionError  # the broker is away: the board is told so, as BenError(1, "ConnectionError")


def reading(data):
    board, name = f"ben_{sender().device:08x}", sender().name
    for sensor in SENSORS.keys() & data.keys():
        about = {
            "name": sensor,
            "unique_id": f"{board}_{sensor}",
            "device_class": sensor,
            "unit_of_measurement": SENSORS[sensor],
            "state_topic": f"ben/{board}/{sensor}",
            "device": {"identifiers": [board], "name": name},
        }
        publish(f"homeassistant/sensor/{board}_{sensor}/config", about)
        publish(about["state_topic"], data[sensor])


broker = Client(CallbackAPIVersion.VERSION2)
broker.connect_async(BROKER, BROKER_PORT)
broker.loop_start()  # a thread that makes the connection, and makes it again when it is lost
ben = server("0.0.0.0", PORT, devices=DEVICES)
ben.add_action_handler("dht", reading)  # what main.py sends
ben.on_listening = lambda: print("forwarding from port", ben.port, flush=True)
ben.start()
