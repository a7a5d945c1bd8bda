"""Reading what /.well-known/core says (RFC 6690)."""


def parse(text):
    """The links of /.well-known/core, bytes or text, as a list of (path, attributes); ValueError."""
    if not isinstance(text, str):
        text = text.decode()
    links = []
    at = 0
    while at < len(text):
        end = text.find(">", at)
        if text[at] != "<" or end < 0:
            raise ValueError("no link: " + text[at : at + 20])
        attributes = {}
        links.append((text[at + 1 : end], attributes))
        at = end + 1
        while text[at : at + 1] == ";":
            at = _read(text, at + 1, attributes)
        if at < len(text):
            if text[at] != ",":
                raise ValueError("no link: " + text[at : at + 20])
            at += 1
    return links


def _read(text, at, attributes):
    # One attribute, name or name=value or name="value"; where it ends.
    begin = at
    while at < len(text) and text[at] not in "=;,":
        at += 1
    name = text[begin:at]
    if text[at : at + 1] != "=":
        attributes[name] = True
        return at
    at += 1
    quoted = text[at : at + 1] == '"'
    at += quoted
    value = ""
    while at < len(text) and text[at] not in ('"' if quoted else ";,"):
        at += quoted and text[at] == "\\"  # what follows is meant as it is
        value += text[at : at + 1]
        at += 1
    if quoted and at >= len(text):
        raise ValueError("no link: " + name)
    attributes[name] = value
    return at + quoted
