"""The constants of microCoAPy, under its names (RFC 7252, 12.1 and 12.3)."""

class COAP_TYPE:
    """Types of messages (RFC 7252, 3)."""

    COAP_CON: int
    """To be confirmed."""

    COAP_NONCON: int
    """Not to be confirmed."""

    COAP_ACK: int
    """An acknowledgement."""

    COAP_RESET: int
    """A reset."""

class COAP_METHOD:
    """Codes of requests (RFC 7252, 12.1.1)."""

    COAP_EMPTY_MESSAGE: int
    """0: an empty message."""

    COAP_GET: int
    """GET."""

    COAP_POST: int
    """POST."""

    COAP_PUT: int
    """PUT."""

    COAP_DELETE: int
    """DELETE."""

class COAP_RESPONSE_CODE:
    """Codes of responses, as one byte (RFC 7252, 12.1.2)."""

    COAP_CREATED: int
    """2.01 Created."""

    COAP_DELETED: int
    """2.02 Deleted."""

    COAP_VALID: int
    """2.03 Valid."""

    COAP_CHANGED: int
    """2.04 Changed."""

    COAP_CONTENT: int
    """2.05 Content."""

    COAP_BAD_REQUEST: int
    """4.00 Bad Request."""

    COAP_UNAUTHORIZED: int
    """4.01 Unauthorized."""

    COAP_BAD_OPTION: int
    """4.02 Bad Option."""

    COAP_FORBIDDEN: int
    """4.03 Forbidden."""

    COAP_NOT_FOUND: int
    """4.04 Not Found."""

    COAP_METHOD_NOT_ALLOWD: int
    """4.05 Method Not Allowed."""

    COAP_NOT_ACCEPTABLE: int
    """4.06 Not Acceptable."""

    COAP_PRECONDITION_FAILED: int
    """4.12 Precondition Failed."""

    COAP_REQUEST_ENTITY_TOO_LARGE: int
    """4.13 Request Entity Too Large."""

    COAP_UNSUPPORTED_CONTENT_FORMAT: int
    """4.15 Unsupported Content Format."""

    COAP_INTERNAL_SERVER_ERROR: int
    """5.00 Internal Server Error."""

    COAP_NOT_IMPLEMENTED: int
    """5.01 Not Implemented."""

    COAP_BAD_GATEWAY: int
    """5.02 Bad Gateway."""

    COAP_SERVICE_UNAVALIABLE: int
    """5.03 Service Unavailable."""

    COAP_GATEWAY_TIMEOUT: int
    """5.04 Gateway Timeout."""

    COAP_PROXYING_NOT_SUPPORTED: int
    """5.05 Proxying Not Supported."""

class COAP_CONTENT_FORMAT:
    """Content formats (RFC 7252, 12.3)."""

    COAP_NONE: int
    """None."""

    COAP_TEXT_PLAIN: int
    """text/plain, UTF-8."""

    COAP_APPLICATION_LINK_FORMAT: int
    """application/link-format."""

    COAP_APPLICATION_XML: int
    """application/xml."""

    COAP_APPLICATION_OCTET_STREAM: int
    """application/octet-stream."""

    COAP_APPLICATION_EXI: int
    """application/exi."""

    COAP_APPLICATION_JSON: int
    """application/json."""

    COAP_APPLICATION_CBOR: int
    """application/cbor."""
