"""What may come of a check, and the report's lines."""


class Stop(Exception):
    """The checks cannot be made or go on; the message says why."""


class Failed(Exception):
    """A check that failed; the message says what happened."""


class Skipped(Exception):
    """A check that this board has no use for."""


def expect(true, otherwise):
    if not true:
        raise Failed(otherwise)


def report(verdict, what, text):
    print(f"{verdict:<8}{what}: {text}", flush=True)
