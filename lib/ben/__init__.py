"""ben: a secure link between a board and Python code."""

import gc

__version__ = "0.1.0"

# A name is loaded when it is first asked for, with the modules behind it: a board pays only for
# what it uses. What the link is made of goes first, the biggest first, so that each module is
# compiled in a heap as empty as can be, and not inside the import of another.
_LINK = ("crypto", "message", "exchange", "net")
_HOME = {
    "client": "udp",
    "Client": "udp",
    "aio": "aio",
    "BenError": "message",
    "Hub": "hub",
    "aiohub": "aiohub",
}


def __getattr__(name):
    if name not in _HOME:
        try:  # a board asks here before it looks for the module
            return __import__("ben." + name, None, None, (name,))
        except ImportError:
            raise AttributeError(name)
    for module in _LINK + (_HOME[name],):
        module = __import__("ben." + module, None, None, (name,))
        gc.collect()
    value = globals()[name] = getattr(module, name, module)  # a module is the value of its own name
    return value
