"""Peers made of bytes: servers that answer exactly what a test says, and requests sent as they are."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from gateway.model.codes import NS_SOAP12, NS_WSA, NS_XDS

RETRIEVE = f'<RetrieveDocumentSetRequest xmlns="{NS_XDS}"/>'
RETRIEVE_ACTION = "urn:ihe:iti:2007:RetrieveDocumentSet"


@dataclass
class HttpRequest:
    """One request as it came in."""

    head: bytes
    body: bytes

    def header(self, name: str) -> str | None:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.strip().lower() == name.lower():
                return value.strip()
        return None

    @property
    def message_id(self) -> str:
        start = self.body.index(b"MessageID>") + len(b"MessageID>")
        return self.body[start : self.body.index(b"<", start)].decode()


Respond = Callable[[HttpRequest, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class RawPeer:
    """What a test needs to know of a peer made of bytes."""

    url: str
    requests: list[HttpRequest] = field(default_factory=list)
    connections: int = 0


async def _read_request(reader: asyncio.StreamReader) -> HttpRequest | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    request = HttpRequest(head, b"")
    if (length := request.header("Content-Length")) is not None:
        request.body = await reader.readexactly(int(length))
    elif (request.header("Transfer-Encoding") or "").lower() == "chunked":
        while size := int((await reader.readline()).strip(), 16):
            request.body += await reader.readexactly(size)
            await reader.readexactly(2)
        await reader.readexactly(2)
    return request


@asynccontextmanager
async def raw_peer(respond: Respond) -> AsyncIterator[RawPeer]:
    """A server on a free port; `respond` writes whatever it likes, and may close."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        peer.connections += 1
        try:
            while (request := await _read_request(reader)) is not None:
                peer.requests.append(request)
                await respond(request, writer)
                await writer.drain()
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            tasks.discard(asyncio.current_task())

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    peer = RawPeer(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/xds")
    try:
        yield peer
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def http(
    body: bytes, content_type: str | None, status: str = "200 OK", *more: str, chunked: bool = False
) -> bytes:
    """An HTTP response."""
    lines = [f"HTTP/1.1 {status}", *more]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        pieces = [body[at : at + 777] for at in range(0, len(body), 777)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    else:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def answering(response: bytes | Callable[[HttpRequest], bytes]) -> Respond:
    """Answers every request with the same bytes, or those a function makes of the request."""

    async def respond(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(response if isinstance(response, bytes) else response(request))

    return respond


def envelope(body: str, headers: str = "") -> str:
    """A SOAP 1.2 envelope."""
    return (
        f'<env:Envelope xmlns:env="{NS_SOAP12}" xmlns:wsa="{NS_WSA}"><env:Header>{headers}</env:Header>'
        f"<env:Body>{body}</env:Body></env:Envelope>"
    )


def retrieve_answer(*documents: str) -> str:
    """A RetrieveDocumentSetResponse with `documents` as contents of its Document elements."""
    items = "".join(
        "<DocumentResponse><RepositoryUniqueId>2.999.1</RepositoryUniqueId>"
        f"<DocumentUniqueId>2.999.2.{number}</DocumentUniqueId><mimeType>text/plain</mimeType>"
        f"<Document>{content}</Document></DocumentResponse>"
        for number, content in enumerate(documents)
    )
    return (
        f'<RetrieveDocumentSetResponse xmlns="{NS_XDS}">'
        '<rs:RegistryResponse xmlns:rs="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"'
        ' status="urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"/>'
        f"{items}</RetrieveDocumentSetResponse>"
    )


def include(href: str) -> str:
    """An xop:Include."""
    return f'<xop:Include xmlns:xop="http://www.w3.org/2004/08/xop/include" href="{href}"/>'


ROOT_HEADERS = (
    'Content-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"',
    "Content-Transfer-Encoding: binary",
    "Content-ID: <root@peer>",
)


def part(content: bytes, *headers: str) -> bytes:
    """Header fields and content of one part."""
    return "".join(f"{header}\r\n" for header in headers).encode() + b"\r\n" + content


def document_part(content: bytes, content_id: str = "doc@peer", *more: str) -> bytes:
    """A part with a document."""
    return part(content, "Content-Type: text/plain", f"Content-ID: <{content_id}>", *more)


def root_part(xml: str) -> bytes:
    """The envelope as a part."""
    return part(xml.encode(), *ROOT_HEADERS)


def related(*parts: bytes, boundary: str = "b1") -> bytes:
    """A multipart body."""
    line = boundary.encode()
    return b"".join(b"--%b\r\n%b\r\n" % (line, one) for one in parts) + b"--%b--\r\n" % line


RELATED = (
    'multipart/related; type="application/xop+xml"; start="<root@peer>"; '
    'start-info="application/soap+xml"; boundary="b1"'
)


def sha1(content: bytes) -> str:
    """SHA-1 in hex."""
    return hashlib.sha1(content).hexdigest()
