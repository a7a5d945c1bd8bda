READING = {"action": "echo", "data": {"temperature": 21.5, "humidity": 40}}  # about 40 bytes on the way
