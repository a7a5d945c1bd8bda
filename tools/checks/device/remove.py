"""The board's files."""

import os


def remove(folder):
    """Removes a folder; the names that are left on the board."""
    remove_all(folder)
    return sorted(os.listdir("/"))


def remove_all(path):
    try:
        names = os.listdir(path)
    except OSError:
        names = ()
    for name in names:
        remove_all(path + "/" + name)
    try:
        os.remove(path)
    except OSError:
        try:
            os.rmdir(path)
        except OSError:
            pass
