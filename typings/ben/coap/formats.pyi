"""Content formats by name (RFC 7252, 12.3, and the registry that it began).

Known are text/plain, application/link-format, application/xml, application/octet-stream, application/json,
application/cbor, application/senml+json and application/senml+cbor. Others go by their numbers.
"""

def number(name: str) -> int:
    """The number of a content format, such as 50 for "application/json"; ValueError for a name not known here."""

def name(number: int) -> str:
    """The name of a content format, or its number as text where it has none here."""
