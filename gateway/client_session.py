"""One session of an MHD client with a server: publish, search, retrieve (IHE MHD 4.2.4)."""

import base64
import binascii
import hashlib
from collections.abc import AsyncIterator, Sequence
from typing import Any, Final, Self
from urllib.parse import urljoin, urlsplit

import aiohttp
import orjson

from gateway.client_documents import ClientError, Document, Resource
from gateway.progress import Advance

FHIR_JSON: Final = "application/fhir+json"
_LARGEST: Final = 256 * 1024 * 1024
_PIECE: Final = 256 * 1024
_KOS_MARK, _KOS_MARK_AT = b"DICM", 128


class MhdSession:
    """Requests to one FHIR base. An async context manager."""

    def __init__(self, base_url: str, token: str | None) -> None:
        self._base = base_url
        self._headers = {"Accept": FHIR_JSON} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=None, connect=30, sock_read=120), trust_env=True
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def publish(self, content: bytes, sent: Advance) -> Resource:
        """Publish a file by what it is; `sent` is told of bytes that went out. Raises ClientError."""
        path, body = _request_for(content)
        return await self._json("POST", self._base + path, body, sent)

    async def search(
        self, kind: str, pairs: Sequence[tuple[str, str]], most: int
    ) -> tuple[list[Resource], list[str]]:
        """At most so many matches of all pages, and the warnings of the server. Raises ClientError."""
        found: list[Resource] = []
        warnings: list[str] = []
        form = aiohttp.FormData(list(pairs))
        # by POST, so that no identifier is in a URL
        page = await self._json("POST", f"{self._base}/{kind}/_search", form)
        while True:
            for entry in page.get("entry", ()):
                mode = entry.get("search", {}).get("mode")
                if mode == "outcome":
                    warnings += _issues(entry["resource"])
                elif mode == "match":
                    found.append(entry["resource"])
            following = next((x["url"] for x in page.get("link", ()) if x["relation"] == "next"), None)
            if following is None or len(found) >= most:
                return found[:most], list(dict.fromkeys(warnings))
            page = await self._json("GET", self._own(following))

    async def document(self, document_id: str) -> Document:
        """What a DocumentReference says of its document. Raises ClientError."""
        resource = await self._json("GET", f"{self._base}/DocumentReference/{document_id}")
        try:
            attachment = resource["content"][0]["attachment"]
            return Document(self._own(attachment["url"]), attachment.get("size"), attachment.get("hash"))
        except (KeyError, IndexError):
            raise ClientError("the DocumentReference has no attachment.url") from None

    async def download(
        self, document: Document, accept: str, said: dict[str, str] | None = None
    ) -> AsyncIterator[bytes]:
        """The bytes of a document as they come; its Content-Type is put into `said`.

        Raises ClientError, at the end where they are not those that the server told of.
        """
        digest, size = hashlib.sha1(usedforsecurity=False), 0
        try:
            async with self._open.get(
                self._own(document.url), headers={**self._headers, "Accept": accept}, allow_redirects=False
            ) as answer:
                if answer.status != 200:
                    raise ClientError(await _refusal(answer))
                if said is not None:
                    said["contentType"] = answer.headers.get("Content-Type", "")
                async for chunk in answer.content.iter_chunked(_PIECE):
                    size += len(chunk)
                    digest.update(chunk)
                    yield chunk
        except (aiohttp.ClientError, OSError) as error:
            raise ClientError(_broken(error)) from None
        if accept == "*/*":
            _compare(document, size, digest.digest())

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("the session is used outside its context")
        return self._session

    def _own(self, url: str) -> str:
        """An absolute URL at this server: the token is for no other. Raises ClientError."""
        full = urljoin(self._base + "/", url)
        if urlsplit(full)[:2] != urlsplit(self._base)[:2]:
            raise ClientError(f"{full} is at another server than {self._base}, which the token is not for")
        return full

    async def _json(
        self, method: str, url: str, body: Any = None, sent: Advance = lambda _: None
    ) -> Resource:
        headers = dict(self._headers)
        if isinstance(body, bytes):
            headers |= {"Content-Type": FHIR_JSON, "Content-Length": str(len(body))}
            body = _told(body, sent)
        try:
            async with self._open.request(
                method, url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                if answer.status not in {200, 201}:
                    raise ClientError(await _refusal(answer))
                content = await answer.content.read(_LARGEST + 1) if answer.content else b""
                while len(content) <= _LARGEST and (more := await answer.content.read(_LARGEST)):
                    content += more
        except (aiohttp.ClientError, OSError) as error:
            raise ClientError(_broken(error)) from None
        try:
            parsed = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise ClientError(f"{method} {_place(url)}: the answer is not JSON") from None
        if not isinstance(parsed, dict) or "resourceType" not in parsed:
            raise ClientError(f"{method} {_place(url)}: the answer is no FHIR resource")
        return parsed


async def _told(body: bytes, sent: Advance) -> AsyncIterator[bytes]:
    """A body in pieces, each told of when the connection asks for the next one."""
    for at in range(0, len(body), _PIECE):
        piece = body[at : at + _PIECE]
        yield piece
        sent(len(piece))


def _request_for(content: bytes) -> tuple[str, bytes]:
    """Path below the base and body by which a file is published (ITI-65, ITI-105, ITI-106)."""
    operation = "/DocumentReference/$generate-metadata"
    if content[_KOS_MARK_AT : _KOS_MARK_AT + 4] == _KOS_MARK:
        raise ClientError(
            "a DICOM manifest is published as FHIR document: gateway manifest convert IN.dcm OUT.json, or in "
            "a Bundle"
        )
    start = content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if start == b"<":
        return operation, _parameters("text/xml", content)
    try:
        resource = orjson.loads(content)
        kind = resource["resourceType"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        raise ClientError("the file is no FHIR resource in JSON and no XML") from None
    if kind == "DocumentReference":
        return "/DocumentReference", content
    if kind == "Bundle" and resource.get("type") in {"transaction", "batch"}:
        return "", content
    if kind == "Bundle":
        return operation, _parameters(FHIR_JSON, content)
    raise ClientError(f"a {kind} cannot be published: Bundles, DocumentReferences and CDA can")


def _parameters(media_type: str, content: bytes) -> bytes:
    binary = {"resourceType": "Binary", "contentType": media_type, "data": base64.b64encode(content).decode()}
    return orjson.dumps(
        {"resourceType": "Parameters", "parameter": [{"name": "document", "resource": binary}]}
    )


def _compare(document: Document, size: int, sha1: bytes) -> None:
    if document.size is not None and document.size != size:
        raise ClientError(f"the document has {size} bytes, attachment.size says {document.size}")
    if document.sha1 is not None:
        try:
            wanted = base64.b64decode(document.sha1, validate=True)
        except binascii.Error:
            return
        if wanted != sha1:
            raise ClientError("the document is not the one whose SHA-1 attachment.hash says")


async def _refusal(answer: aiohttp.ClientResponse) -> str:
    body = await answer.content.read(64 * 1024)
    try:
        said = _issues(orjson.loads(body))
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        said = []
    return f"HTTP {answer.status}" + (f": {'; '.join(said)}" if said else "")


def _issues(outcome: Resource) -> list[str]:
    return [
        " ".join(
            str(issue.get("diagnostics") or issue.get("details", {}).get("text") or issue["code"]).split()
        )
        for issue in outcome["issue"]
    ]


def _broken(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{error.host}:{error.port}: no connection"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return "the connection broke before the end"


def _place(url: str) -> str:
    return urlsplit(url).path
