from benserver import server, benServer
udpserver = benServer("0.0.0.0",8585)
def echo(text):
    return  text
udpserver.add_action_handler("echo", echo) # When user send {"action":"echo","data":...}, it will return same data.
udpserver.start() # Start listening for infinite time.
