"""CoAP: client and server."""

import gc


# As in ben itself: a name is loaded when it is first asked for, with the modules behind it, the biggest first, so
# that each is compiled in a heap as empty as can be, and not inside the import of another.
def __getattr__(name):
    home = {
        "Client": ("layer", "net", "exchange", "request", "client"),
        "Server": ("layer", "resources", "net", "server"),
        "Response": ("response",),
        "Error": ("handling",),
        "LATER": ("handling",),
        "Custom": ("custom",),
    }
    for module in ("message",) + home.get(name, ("layer", "net", name)):
        try:
            module = __import__("ben.coap." + module, None, None, (name,))
        except ImportError:
            raise AttributeError(name)
        gc.collect()
    value = globals()[name] = getattr(module, name) if name in home else module
    return value
