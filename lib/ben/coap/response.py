"""What a handler returns where a payload does not say it all."""

from .handling import code_of
from .message import const

_ETAG = const(4)
_LOCATION_PATH = const(8)
_CONTENT_FORMAT = const(12)
_MAX_AGE = const(14)
_LOCATION_QUERY = const(20)


class Response:
    """A payload with a status as "2.01", a format, an ETag, a max_age in seconds, a location, other options."""

    def __init__(
        self, payload=b"", status=None, *, format=None, etag=None, max_age=None, location="", options=()
    ):
        self.payload = payload
        self.code = status and code_of(status)
        self.options = list(options)
        if isinstance(format, str):
            from .formats import number

            format = number(format)
        for number, value in ((_ETAG, etag), (_CONTENT_FORMAT, format), (_MAX_AGE, max_age)):
            if value is not None:
                self.options.append((number, value))
        if location:
            path, query = (location + "?").split("?")[:2]
            self._locate(_LOCATION_PATH, path.strip("/").split("/"))
            self._locate(_LOCATION_QUERY, query.split("&"))

    def _locate(self, number, parts):
        self.options.extend([(number, part) for part in parts if part])

    def fill(self, message):
        """Gives a message its status and its options; returns the payload."""
        if self.code:
            message.code = self.code
        for number, value in self.options:
            message.add(number, value)
        return self.payload
