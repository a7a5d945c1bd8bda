"""What an aiocoap server offers to the tests: a resource for each thing that a client has to get right."""

import asyncio
import hashlib
import json
from collections import Counter

from aiocoap import CON, NON, Code, Message, error, resource
from aiocoap.numbers.contentformat import ContentFormat

LARGEST = 200_000  # bytes that /upload takes and /size gives


def pattern(length):
    """Bytes of which no block is like another one: byte i is (i + i // 251) % 256."""
    return bytes((i + i // 251) % 256 for i in range(length))


def reply(value, **options):
    """A response that says something in JSON."""
    return Message(payload=json.dumps(value).encode(), content_format=ContentFormat.JSON, **options)


class Refused(error.RenderableError):
    """A response without a payload. aiocoap has classes for most codes, but not in each version."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code

    def to_message(self):
        return Message(code=self.code)


def queries(request):
    """The parts of a query as a dict: {"n": "20"}."""
    return dict(part.partition("=")[::2] for part in request.opt.uri_query)


class Kept(resource.Resource):
    """A resource of a site, which keeps what its handlers ran for."""

    def __init__(self, site, path, **attributes):
        super().__init__()
        self.site = site
        self.path = path
        self.attributes = attributes

    async def render(self, request):
        path = "/" + "/".join(self.whole_path(request))
        self.site.ran[path] += 1
        self.site.requests.append((str(request.code), path, request))
        return await super().render(request)

    def whole_path(self, request):
        """aiocoap leaves those segments in a request that are below the resource."""
        return (*self.path, *request.opt.uri_path)

    def get_link_description(self):
        return {**super().get_link_description(), **self.attributes}


class Echo(Kept):
    """Says what it was asked, with any method: /echo, /echo/a/b/..."""

    async def render_get(self, request):
        known = {"path": self.whole_path(request), "query": request.opt.uri_query}
        options = [[int(option.number), option.encode().hex()] for option in request.opt.option_list()]
        return reply(
            {
                "method": str(request.code),
                **known,
                "payload": request.payload.decode(errors="replace"),
                "length": len(request.payload),
                "type": str(request.mtype),
                "token": request.token.hex(),
                "options": [pair for pair in options if pair[0] != 11],  # the path's are partly gone
            }
        )

    render_put = render_post = render_delete = render_get
    render_fetch = render_patch = render_ipatch = render_get


class Size(Kept):
    """So many bytes of pattern(): /size/2000, /size?n=2000. They come with ETag and Size2."""

    async def render_get(self, request):
        length = int((request.opt.uri_path or (queries(request).get("n", 0),))[0])
        if length > LARGEST:
            raise Refused(Code.BAD_REQUEST)
        response = Message(payload=pattern(length), content_format=ContentFormat.OCTETSTREAM)
        response.opt.size2 = length
        resource.hashing_etag(request, response)
        return response


class Upload(Kept):
    """Takes a body of any size, and tells its length and SHA-256."""

    async def render_put(self, request):
        if len(request.payload) > LARGEST:  # aiocoap has taken it all before it asks
            raise Refused(Code.REQUEST_ENTITY_TOO_LARGE)
        self.site.uploads.append(request.payload)
        digest = hashlib.sha256(request.payload).hexdigest()
        return reply({"length": len(request.payload), "sha256": digest})

    render_post = render_put


class Notifier(Kept, resource.ObservableResource):
    """/counter: a number to observe. POST /counter?n=20&interval=0.05&type=NON has it count."""

    value = 0
    kind = None  # of the notifications

    async def render_get(self, request):
        response = Message(payload=b"%d" % self.value, content_format=ContentFormat.TEXT)
        response.mtype = self.kind if request.opt.observe == 0 else None
        return response

    async def render_post(self, request):
        wanted = queries(request)
        count, interval = int(wanted.get("n", 1)), float(wanted.get("interval", 0.02))
        counting = self.count(count, interval, wanted.get("type", "CON") == "CON")
        self.site.tasks.append(asyncio.ensure_future(counting))
        return Message()

    async def count(self, number, interval, confirmable):
        """Notifies so often. aiocoap merges notifications between which it does not get to run."""
        self.kind = CON if confirmable else NON
        for _ in range(number):
            self.value += 1
            self.updated_state()
            await asyncio.sleep(interval)
        self.kind = None

    async def end(self, code):
        """Ends all observations, with an error."""
        for observation in list(self._observations):
            observation.trigger(Message(code=code), is_last=True)

    @property
    def observers(self):
        return len(self._observations)


class Slow(Kept):
    """Answers after a while, /slow?t=0.3: after 0.1 s aiocoap acknowledges, and responds separately."""

    async def render_get(self, request):
        await asyncio.sleep(float(queries(request).get("t", 0.3)))
        return Message(payload=b"at last", content_format=ContentFormat.TEXT)

    render_put = render_post = render_get


class Tagged(Kept):
    """A text with an ETag, for which 2.03 comes to who has it already. PUT changes it."""

    text = b"first"

    async def render_get(self, request):
        response = Message(payload=self.text, max_age=5)
        resource.hashing_etag(request, response)
        return response

    async def render_put(self, request):
        self.text = request.payload
        return Message()


class Negotiating(Kept):
    """Text or JSON, as Accept has it."""

    async def render_get(self, request):
        accept = request.opt.accept
        if accept not in (None, ContentFormat.TEXT, ContentFormat.JSON):
            raise Refused(Code.NOT_ACCEPTABLE)
        if accept == ContentFormat.JSON:
            return reply({"temperature": 21.5})
        return Message(payload=b"21.5", content_format=ContentFormat.TEXT)


class Store(Kept):
    """Keeps what is put below it, /store/NAME, if If-Match and If-None-Match allow it.

    POST /store chooses the name itself. FETCH with the payload "2:5" reads bytes 2, 3, 4; PATCH appends;
    iPATCH appends what is not yet the end.
    """

    def check(self, request):
        """The name, once its conditions hold."""
        name = "/".join(request.opt.uri_path)
        there = self.site.stored.get(name)
        tags = request.opt.if_match
        if request.opt.if_none_match and there is not None:
            raise Refused(Code.PRECONDITION_FAILED)
        if tags and (there is None or not {b"", etag(there)} & set(tags)):
            raise Refused(Code.PRECONDITION_FAILED)
        return name

    def existing(self, request):
        """The same, if there is something."""
        name = self.check(request)
        if name not in self.site.stored:
            raise Refused(Code.NOT_FOUND)
        return name

    async def render_get(self, request):
        response = Message(payload=self.site.stored[self.existing(request)])
        resource.hashing_etag(request, response)
        return response

    async def render_put(self, request):
        name = self.check(request)
        code = Code.CHANGED if name in self.site.stored else Code.CREATED
        return self.keep(name, request.payload, code=code)

    async def render_post(self, request):
        name = str(len(self.site.stored) + 1)
        where = {"location_path": ("store", name), "location_query": ("from=post", "n=" + name)}
        return self.keep(name, request.payload, code=Code.CREATED, **where)

    async def render_delete(self, request):
        del self.site.stored[self.existing(request)]
        return Message()

    async def render_fetch(self, request):
        name = self.existing(request)
        start, end = map(int, request.payload.split(b":"))
        return Message(payload=self.site.stored[name][start:end])

    async def render_patch(self, request):
        name = self.existing(request)
        return self.keep(name, self.site.stored[name] + request.payload)

    async def render_ipatch(self, request):
        name = self.existing(request)
        there = self.site.stored[name]
        return self.keep(name, there if there.endswith(request.payload) else there + request.payload)

    def keep(self, name, value, **fields):
        self.site.stored[name] = value
        return Message(etag=etag(value), **fields)


def etag(value):
    """The same one as resource.hashing_etag() gives."""
    return hashlib.sha1(value).digest()[:8]


class Broken(Kept):
    """A handler that fails: 5.00."""

    async def render_get(self, request):
        raise ValueError("this handler always fails")


class Site(resource.Site):
    """All of them; what their handlers did is in the attributes."""

    def __init__(self):
        super().__init__()
        self.ran = Counter()  # of each path: how often a handler ran, once for a block-wise request
        self.requests = []  # (method, path, the request as aiocoap has it)
        self.uploads = []  # bodies
        self.stored = {}
        self.tasks = []
        self.counter = self.add("counter", Notifier, rt="counter", if_="core.s")
        self.add("echo", Echo, below=True, rt="echo")
        self.add("size", Size, below=True, rt="block data", ct="42", sz="2000")
        self.add("upload", Upload, rt="block")
        self.add("slow", Slow, ct="0")
        self.add("etag", Tagged)
        self.add("negotiate", Negotiating, ct="0 50", rt="temperature", if_="core.s")
        self.add("store", Store, below=True)
        self.add("broken", Broken)
        listed = resource.WKCResource(self.get_resources_as_linkheader, impl_info=None)
        self.add_resource([".well-known", "core"], listed)

    def add(self, name, kind, below=False, if_=None, **attributes):
        """A resource, if asked for with what is below its path: for aiocoap that is another one."""
        attributes.update({"if": if_} if if_ else {})
        made = kind(self, (name,), **attributes)
        self.add_resource([name], made)
        if below:
            all_below = type(kind.__name__, (kind, resource.PathCapable), {})
            self.add_resource([name], all_below(self, (name,)))
        return made
