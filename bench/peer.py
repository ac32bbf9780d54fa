"""A SOAP peer that answers at once: what is measured is the gateway. `python -m bench.peer`."""

import asyncio
import re
import sys
from collections import Counter
from collections.abc import Sequence

from aiohttp import web

from bench import sample, study

_ACTION = re.compile(rb"Action[^>]*>\s*([^<\s]+)")
_UNIQUE_ID = re.compile(rb"DocumentUniqueId>([^<]+)<")
_EMPTY = b'<q:AdhocQueryResponse xmlns:q="urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0" status="%s"/>'
_SUCCESS = b"urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"
_REGISTERED = (
    b'<r:RegistryResponse xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0" status="' + _SUCCESS + b'"/>'
)
_BOUNDARY = b"uuid:5f0b1c52-8f37-4d3a-9c1e-2a6d1f6a0c11"
_RELATED = (
    'multipart/related; type="application/xop+xml"; start="<root@bench>"; start-info="application/soap+xml"; '
    f'boundary="{_BOUNDARY.decode()}"'
)
_ROOT_HEAD = (
    b"--" + _BOUNDARY + b"\r\n"
    b'Content-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
    b"Content-Transfer-Encoding: binary\r\nContent-ID: <root@bench>\r\n\r\n"
)
_PART_HEAD = (
    b"\r\n--" + _BOUNDARY + b"\r\nContent-Type: application/octet-stream\r\n"
    b"Content-Transfer-Encoding: binary\r\nContent-ID: <%s>\r\n\r\n"
)
_RETRIEVED = "urn:ihe:iti:2007:RetrieveDocumentSetResponse"
_CHUNK = bytes(range(256)) * 1024


class Peer:
    """Registry with `{entries}` matches for every search, repository with documents of `{size}` bytes."""

    def __init__(self) -> None:
        self._answers: dict[int, bytes] = {}
        self._calls: Counter[str] = Counter()

    def app(self) -> web.Application:
        """Routes of the peer."""
        app = web.Application(client_max_size=1 << 30)
        app.router.add_post("/registry/{entries}", self.registry)
        app.router.add_post("/repository/{size}", self.repository)
        app.router.add_get("/plain/{size}", self.plain)
        app.router.add_post("/manifests/{series}/{instances}", self.manifest)
        app.router.add_post("/imaging/{size}", self.imaging)
        app.router.add_post("/registered-manifests/{entries}", self.registered_manifests)
        app.router.add_post("/study-manifests/{instances}", self.study_manifests)
        app.router.add_get("/warm/{entries}/{instances}", self.warm)
        app.router.add_get("/calls", self.calls)
        return app

    async def registry(self, request: web.Request) -> web.Response:
        """ITI-18."""
        body = await request.read()
        count = int(request.match_info["entries"])
        if b"14d4debf-8f97-4251-9a74-a90016b0af0d" not in body:
            return self._soap(_EMPTY % _SUCCESS)
        if count not in self._answers:
            self._answers[count] = sample.answer_body(count)
        return self._soap(self._answers[count])

    def _soap(self, body: bytes) -> web.Response:
        action = "urn:ihe:iti:2007:RegistryStoredQueryResponse"
        return web.Response(
            body=sample.envelope(body, action), headers={"Content-Type": "application/soap+xml"}
        )

    async def repository(self, request: web.Request) -> web.StreamResponse:
        """ITI-41 and ITI-43."""
        start = bytearray()
        async for chunk in request.content.iter_any():
            if len(start) < 16_384:
                start += chunk
        if b"RetrieveDocumentSetRequest" not in start:
            action = "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-bResponse"
            return await self._multipart(request, sample.envelope(_REGISTERED, action), 0)
        unique_id = _UNIQUE_ID.search(start)
        assert unique_id is not None
        return await self._multipart(request, _retrieved(unique_id.group(1)), int(request.match_info["size"]))

    async def plain(self, request: web.Request) -> web.StreamResponse:
        """The same bytes without SOAP."""
        size = int(request.match_info["size"])
        response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
        response.content_length = size
        await response.prepare(request)
        await _send(response, size)
        await response.write_eof()
        return response

    async def manifest(self, request: web.Request) -> web.StreamResponse:
        """ITI-43 of the manifest of a study."""
        unique_id = _UNIQUE_ID.search(await request.read())
        assert unique_id is not None
        content = study.manifest_bytes(*(int(request.match_info[n]) for n in ("series", "instances")))
        root = _document_responses([unique_id.group(1)])
        return await self._parts(request, sample.envelope(root, _RETRIEVED), [(content, 0)])

    async def registered_manifests(self, request: web.Request) -> web.Response:
        """ITI-18 of a patient with a manifest in each entry."""
        self._calls["registry"] += 1
        if b"14d4debf-8f97-4251-9a74-a90016b0af0d" not in await request.read():
            return self._soap(_EMPTY % _SUCCESS)
        return self._soap(study.registered(int(request.match_info["entries"])))

    async def study_manifests(self, request: web.Request) -> web.StreamResponse:
        """ITI-43 of the manifests of several studies."""
        self._calls["repository"] += 1
        asked = _UNIQUE_ID.findall(await request.read())
        count = int(request.match_info["instances"])
        root = sample.envelope(_document_responses(asked), _RETRIEVED)
        parts = [(study.manifest_of(uid.decode(), count), 0) for uid in asked]
        return await self._parts(request, root, parts)

    async def warm(self, request: web.Request) -> web.Response:
        """Make what will be asked for."""
        entries, instances = (int(request.match_info[n]) for n in ("entries", "instances"))
        study.registered(entries)
        for number in range(entries):
            study.manifest_of(study.document(number), instances)
        return web.Response()

    async def calls(self, _request: web.Request) -> web.Response:
        """SOAP calls since this was asked last."""
        counted, self._calls = self._calls, Counter()
        return web.json_response(counted)

    async def imaging(self, request: web.Request) -> web.StreamResponse:
        """RAD-69: every instance that is asked for, with `size` bytes of pixels behind its head."""
        asked = _UNIQUE_ID.findall(await request.read())
        size = int(request.match_info["size"])
        root = sample.envelope(_document_responses(asked), _RETRIEVED)
        return await self._parts(request, root, [(study.head(uid.decode()), size) for uid in asked])

    async def _parts(
        self, request: web.Request, root: bytes, parts: Sequence[tuple[bytes, int]]
    ) -> web.StreamResponse:
        """MTOM with several parts: the first bytes of each, and how many follow."""
        heads = [_PART_HEAD % (b"part%d@bench" % number) + head for number, (head, _) in enumerate(parts)]
        start, tail = _ROOT_HEAD + root, b"\r\n--" + _BOUNDARY + b"--\r\n"
        response = web.StreamResponse(headers={"Content-Type": _RELATED})
        # framed in HTTP as `plain` is, so that only what the gateway adds makes a difference
        response.content_length = sum(map(len, [start, *heads, tail])) + sum(size for _, size in parts)
        await response.prepare(request)
        await response.write(start)
        for head, (_, size) in zip(heads, parts):
            await response.write(head)
            await _send(response, size)
        await response.write_eof(tail)
        return response

    async def _multipart(self, request: web.Request, root: bytes, size: int) -> web.StreamResponse:
        head = _ROOT_HEAD + root
        if size:
            head += _PART_HEAD % b"document@bench"
        tail = b"\r\n--" + _BOUNDARY + b"--\r\n"
        response = web.StreamResponse(headers={"Content-Type": _RELATED})
        response.content_length = len(head) + size + len(tail)
        await response.prepare(request)
        await response.write(head)
        await _send(response, size)
        await response.write_eof(tail)
        return response


def _retrieved(unique_id: bytes) -> bytes:
    return sample.envelope(_document_responses([unique_id], b"document@bench"), _RETRIEVED)


def _document_responses(unique_ids: Sequence[bytes], content_id: bytes = b"") -> bytes:
    responses = b"".join(
        b"<x:DocumentResponse><x:RepositoryUniqueId>2.999.10.1</x:RepositoryUniqueId><x:DocumentUniqueId>"
        + unique_id
        + b"</x:DocumentUniqueId><x:mimeType>application/pdf</x:mimeType><x:Document>"
        b'<i:Include xmlns:i="http://www.w3.org/2004/08/xop/include" href="cid:'
        + (content_id or b"part%d@bench" % number).replace(b"@", b"%40")
        + b'"/></x:Document></x:DocumentResponse>'
        for number, unique_id in enumerate(unique_ids)
    )
    return (
        b'<x:RetrieveDocumentSetResponse xmlns:x="urn:ihe:iti:xds-b:2007">'
        b'<r:RegistryResponse xmlns:r="urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0" status="'
        + _SUCCESS
        + b'"/>'
        + responses
        + b"</x:RetrieveDocumentSetResponse>"
    )


async def _send(response: web.StreamResponse, size: int) -> None:
    left = size
    while left > 0:
        await response.write(_CHUNK[: min(left, len(_CHUNK))])
        left -= len(_CHUNK)


async def main() -> None:
    """Serve until the parent closes standard input."""
    runner = web.AppRunner(Peer().app(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    print(f"ready http://127.0.0.1:{runner.addresses[0][1]}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
