"""What /.well-known/core says of the resources of a server (RFC 6690)."""

from .message import const
from .response import Response

_LINK_FORMAT = const(40)


def core(request):
    """The handler of /.well-known/core: the resources that fit the query."""
    wanted = request.query
    links = []
    for path, resource in sorted(request.server.paths.items()):
        attributes = resource.attributes
        if path != request.path and _fits(path, attributes, wanted):
            links.append(
                "</%s>%s" % (path, "".join([_attribute(*each) for each in sorted(attributes.items())]))
            )
    return Response(",".join(links), format=_LINK_FORMAT)


def _attribute(name, value):
    name = name.rstrip("_")  # if_, for if is a word of Python's
    if value is None or value is False:
        return ""
    if value is True:
        return ";" + name
    if isinstance(value, int):
        return ";%s=%d" % (name, value)
    return ';%s="%s"' % (name, str(value).replace("\\", "\\\\").replace('"', '\\"'))


def _fits(path, attributes, wanted):
    for name in wanted:
        if name == "href":
            values = ["/" + path]
        else:
            value = attributes.get(name, attributes.get(name + "_"))
            if value is None or value is False:
                return False
            value = "" if value is True else str(value)
            values = [value] + value.split()
        sought = wanted[name] or ""
        for value in values:
            if value == sought or sought[-1:] == "*" and value.startswith(sought[:-1]):
                break
        else:
            return False
    return True
