# Copy this to config.py, fill it in and copy that to the board. It holds a password: keep it to yourself.
WIFI_SSID = "my network"
WIFI_PASSWORD = "its password"
SERVER = "192.168.1.2"  # where the server runs: an address is better than a name
PORT = 8585
INTERVAL = 60  # seconds between readings
