# What a board sends in every bench: 40 bytes with the head of its plaintext; the answer is "ok".
READING = {"action": "dht", "data": {"temperature": 21.5, "humidity": 40}}
