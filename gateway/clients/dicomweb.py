"""A DICOMweb archive as source of images: WADO-RS Retrieve (RAD-107; DICOM PS3.18 10.4).

The URLs are made of the base in the settings (or of a Retrieve URL whose host is allowed) and of UIDs that
have been checked; redirects are not followed, no cookie and no proxy of the environment is used.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Final

import aiohttp
from msgspec.structs import replace as changed

from gateway.chunks import C, Explained
from gateway.clients.fhir_access import Anonymous, FhirAccess, NoAccess
from gateway.clients.http_peers import READ_BUFFER, HttpPeers, failure_of
from gateway.dicom.part10 import NotDicom, identify, transfer_syntax_uid
from gateway.http_body import read_body
from gateway.model.errors import (
    PeerBusy,
    PeerError,
    PeerForbids,
    PeerProtocolError,
    PeerTimeout,
    PeerUnreachable,
)
from gateway.model.images import ImageError, ImagePart, SeriesWanted
from gateway.model.oids import is_oid
from gateway.multipart import BodyPart, MultipartError, MultipartLimits, MultipartReader, parse_media_type
from gateway.soap.exchange import tls_of
from gateway.soap.resilience import AttemptFailed, CallObserver, Peer, unobserved
from gateway.spans import span
from gateway.tls import Context, default_context

TRANSACTION: Final = "RAD-107"
DICOM: Final = "application/dicom"
MULTIPART: Final = "multipart/related"
MISSING: Final = "missing"
_LIMITS: Final = MultipartLimits(parts=1_000_000)
_AHEAD: Final = 4
"""Requests for single instances that are opened before their turn."""
_UID_BOUNDS: Final = 64
_JSON: Final = "application/dicom+json"
_ANONYMOUS: Final = Anonymous()
_BROKEN: Final = (MultipartError, aiohttp.ClientError, OSError)
"""What an answer can break with."""
RecordRetrieve = Callable[[str, str, str | None, Mapping[str, str]], None]
"""Told of each request: base URL of the archive, path below it, why it failed (None where it did not), and
the headers that were sent, where that is known."""


def unrecorded(url: str, path: str, failure: str | None, headers: Mapping[str, str]) -> None:
    """Nobody keeps a record."""


class DicomWebClient(HttpPeers):
    """HTTP to DICOMweb archives. One per process; an async context manager."""

    def __init__(
        self,
        tls: Context = default_context,
        *,
        observe: CallObserver = unobserved,
        headers: Callable[[], Mapping[str, str]] = dict,
        record: RecordRetrieve = unrecorded,
    ) -> None:
        """`headers` gives what each request sends besides; `record` is told of each."""
        super().__init__(tls, observe=observe, headers=headers)
        self._record = record

    @asynccontextmanager
    async def get(
        self, peer: Peer, path: str, accept: str, access: FhirAccess = _ANONYMOUS
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """GET `peer.url` + `path`, with the peer's retries, bounds and circuit. Raises PeerError.

        `access` gives the Authorization header; where it is not taken (401) and there may be another one,
        that is shown once.

        Statuses of a client error other than 401 and 429 are returned: what they mean depends on the request.
        """
        lane = self._lane(peer, TRANSACTION)

        async def attempt() -> aiohttp.ClientResponse:
            response = await self._send(peer, path, accept, access)
            if response.status == 401 and access.refused():
                response.close()
                response = await self._send(peer, path, accept, access)
            refused = _refusal(peer, response.status)
            if refused is not None:
                response.close()
                raise refused
            return response

        failure: str | None = "it was given up"
        sent: dict[str, str] = {}
        try:
            with span(TRANSACTION, "client", {"peer.service": peer.name}):
                async with lane.place():
                    response = await lane.run(attempt, peer.max_attempts)
                    sent = dict(response.request_info.headers)
                    try:
                        yield response
                    finally:
                        lane.traffic.received += response.content.total_bytes
                        response.close()
            failure = None if response.status < 300 else f"HTTP {response.status}"
        except PeerError as error:
            failure = str(error)
            raise
        finally:
            self._record(peer.url, path, failure, sent)

    async def broken(self, peer: Peer, error: Exception) -> PeerError:
        """What to raise for an answer that broke on the way; it speaks against the peer."""
        return await self._broken(peer, TRANSACTION, error)

    async def _send(self, peer: Peer, path: str, accept: str, access: FhirAccess) -> aiohttp.ClientResponse:
        headers = {**({} if peer.external else self._headers()), "Accept": accept}
        try:
            shown = await access.header()
        except NoAccess as error:
            raise AttemptFailed(PeerUnreachable(peer.name, TRANSACTION, str(error))) from None
        if shown is not None:
            headers["Authorization"] = shown
        try:
            return await self._session.get(
                peer.url + path,
                headers=headers,
                timeout=aiohttp.ClientTimeout(
                    total=None, connect=peer.connect_timeout, sock_read=peer.read_timeout
                ),
                allow_redirects=False,
                read_bufsize=READ_BUFFER,
                ssl=tls_of(peer, self._tls),
                server_hostname=peer.tls.server_name if peer.tls else None,
            )
        except (aiohttp.ClientError, OSError) as error:
            raise AttemptFailed(failure_of(peer, TRANSACTION, error), repeatable=True, counts=True) from error


def _refusal(peer: Peer, status: int) -> AttemptFailed | None:
    if status in {429, 503}:
        busy = PeerBusy(peer.name, TRANSACTION, f"the peer is busy (HTTP {status})")
        return AttemptFailed(busy, repeatable=status == 503, counts=status == 503)
    if status == 504:
        late = PeerTimeout(peer.name, TRANSACTION, "a server in front of the peer gave up (HTTP 504)")
        return AttemptFailed(late, repeatable=True, counts=True)
    if status == 401:
        return AttemptFailed(_not_let_in(peer.name, status))
    if status >= 500 or 300 <= status < 400:
        text = f"HTTP {status}" + (", which is not followed" if status < 400 else "")
        error = PeerProtocolError(peer.name, TRANSACTION, text)
        return AttemptFailed(error, repeatable=status == 502, counts=status >= 500)
    return None


def _not_let_in(name: str, status: int) -> PeerError:
    return PeerForbids(name, TRANSACTION, f"the archive does not let this gateway in (HTTP {status})")


@dataclass(frozen=True, slots=True)
class ImagePath:
    """A study, series or instance as the path that follows the base of a DICOMweb service."""

    study_instance_uid: str
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None

    @property
    def text(self) -> str:
        """The path. Raises ValueError where a UID is none."""
        path = f"/studies/{_uid(self.study_instance_uid)}"
        if self.series_instance_uid is not None:
            path += f"/series/{_uid(self.series_instance_uid)}"
        if self.sop_instance_uid is not None:
            path += f"/instances/{_uid(self.sop_instance_uid)}"
        return path


@dataclass(frozen=True, slots=True)
class PassedThrough:
    """An answer of the archive that is not interpreted here."""

    status: int
    content_type: str
    chunks: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class _Request:
    """One GET and the instances it should bring."""

    path: str
    sop_instance_uids: tuple[str, ...]


_Opening = AbstractAsyncContextManager[aiohttp.ClientResponse]


class _Ahead:
    """Answers in the order of their requests, a few of them opened before their turn."""

    def __init__(self, requests: Iterator[tuple[_Request, _Opening]]) -> None:
        self._requests = requests
        self._opened: deque[tuple[_Request, _Opening, asyncio.Task[aiohttp.ClientResponse]]] = deque()

    async def start(self) -> None:
        """Wait for the first answer to begin. Raises PeerError."""
        self._fill()
        if self._opened:
            await self._opened[0][2]

    async def __aiter__(self) -> AsyncIterator[tuple[_Request, aiohttp.ClientResponse]]:
        while self._opened:
            request, opening, task = self._opened[0]
            response = await task
            yield request, response
            self._opened.popleft()
            await opening.__aexit__(None, None, None)
            self._fill()

    async def close(self) -> None:
        """End what is open."""
        for _, _, task in self._opened:
            task.cancel()
        results = await asyncio.gather(*(task for *_, task in self._opened), return_exceptions=True)
        for (_, opening, _), result in zip(self._opened, results, strict=True):
            if not isinstance(result, BaseException):
                await opening.__aexit__(None, None, None)

    def _fill(self) -> None:
        while len(self._opened) < _AHEAD and (following := next(self._requests, None)):
            request, opening = following
            self._opened.append((request, opening, asyncio.ensure_future(opening.__aenter__())))


class DicomWebSource:
    """One archive: an image leg by WADO-RS."""

    def __init__(
        self,
        client: DicomWebClient,
        peer: Peer,
        prefix: str = "",
        studies: str = "studies",
        *,
        access: FhirAccess = _ANONYMOUS,
    ) -> None:
        """`peer.url` and `prefix` are the base that `/studies` follows, or what the service calls it;
        `access` gives its Authorization header."""
        self._client = client
        self._access = access
        self._prefix = prefix
        self._studies = studies
        self.peer = peer

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self.peer.name

    @asynccontextmanager
    async def retrieve(
        self, wanted: Sequence[SeriesWanted], transfer_syntaxes: Sequence[str]
    ) -> AsyncIterator[AsyncIterator[ImagePart | ImageError]]:
        """Whole series by series, single instances one by one (`gateway.clients.image_leg.ImageLeg`)."""
        accept = accept_dicom(transfer_syntaxes)
        queue = _Ahead(
            (request, self._client.get(self.peer, self._place(request.path), accept, self._access))
            for request in _requests(wanted)
        )

        async def items() -> AsyncIterator[ImagePart | ImageError]:
            async for request, response in queue:
                async for item in self._items(request, response):
                    yield item

        try:
            await queue.start()
            yield items()
        finally:
            await queue.close()

    @asynccontextmanager
    async def passed_through(self, path: ImagePath, suffix: str, accept: str) -> AsyncIterator[PassedThrough]:
        """What the archive says at `path` + `suffix` (`/metadata`, `/rendered?...`), as it comes.

        Raises PeerError; the status is the archive's where it has not what is asked for.
        """
        place = self._place(path.text + suffix)
        async with self._client.get(self.peer, place, accept, self._access) as response:
            if response.status == 403:
                raise _not_let_in(self.name, response.status)
            yield PassedThrough(
                response.status,
                response.headers.get("Content-Type", ""),
                self._explained(response.content.iter_any()),
            )

    def _place(self, path: str) -> str:
        return f"{self._prefix}/{self._studies}{path.removeprefix('/studies')}"

    async def _items(
        self, request: _Request, response: aiohttp.ClientResponse
    ) -> AsyncIterator[ImagePart | ImageError]:
        if response.status not in {200, 206}:
            code = f"HTTP {response.status}"
            for uid in request.sop_instance_uids:
                yield ImageError(self.name, code, uid)
            return
        left = dict.fromkeys(request.sop_instance_uids)
        try:
            async for part in _parts(response):
                known = await identify(part)
                if known.sop_instance_uid is not None:
                    left.pop(known.sop_instance_uid, None)
                yield changed(known, chunks=self._explained(known.chunks))
        except (NotDicom, *_BROKEN) as error:
            raise await self._told(error) from error
        for uid in left:
            yield ImageError(self.name, MISSING, uid)

    def _explained(self, chunks: AsyncIterator[C]) -> AsyncIterator[C]:
        return Explained(chunks, _BROKEN, self._told)

    async def _told(self, error: Exception) -> PeerError:
        if isinstance(error, MultipartError | NotDicom):
            return PeerProtocolError(self.name, TRANSACTION, str(error))
        return await self._client.broken(self.peer, error)


def accept_dicom(transfer_syntaxes: Sequence[str]) -> str:
    """Accept header for DICOM files in these transfer syntaxes, the preferred first; none means any."""
    ranges = [f'{MULTIPART}; type="{DICOM}"; transfer-syntax={uid}' for uid in transfer_syntaxes or ("*",)]
    if len(ranges) == 1:
        return ranges[0]
    lowest = 0.1
    step = (1 - lowest) / (len(ranges) - 1)
    return ", ".join(f"{text}; q={1 - number * step:.3g}" for number, text in enumerate(ranges))


def _requests(wanted: Sequence[SeriesWanted]) -> Iterator[_Request]:
    for series in wanted:
        path = ImagePath(series.study_instance_uid, series.series_instance_uid)
        if series.whole:
            yield _Request(path.text, series.sop_instance_uids)
        else:
            for uid in series.sop_instance_uids:
                yield _Request(replace(path, sop_instance_uid=uid).text, (uid,))


def _uid(text: str) -> str:
    # manifests of the field hold UIDs that are none; what is no UID must not become another path
    if is_oid(text) or (re.fullmatch(r"[0-9.]+", text) and len(text) <= _UID_BOUNDS):
        return text
    raise ValueError("not a UID")


async def _parts(response: aiohttp.ClientResponse) -> AsyncIterator[ImagePart]:
    media = parse_media_type(response.headers.get("Content-Type"))
    chunks = read_body(response)
    if media.name == DICOM:
        syntax = transfer_syntax_uid(media.parameters.get("transfer-syntax"))
        yield ImagePart(DICOM, chunks, transfer_syntax=syntax)
        return
    if media.name != MULTIPART:
        raise MultipartError(f"the answer is {media.name or 'of no type'} instead of DICOM")
    reader = MultipartReader(chunks, media.parameters.get("boundary", ""), _LIMITS)
    while (part := await reader.next_part()) is not None:
        yield _part(part)


def _part(part: BodyPart) -> ImagePart:
    media = parse_media_type(part.headers.get("content-type"))
    length = part.headers.get("content-length", "")
    return ImagePart(
        media.name or DICOM,
        part.views(),
        transfer_syntax=transfer_syntax_uid(media.parameters.get("transfer-syntax")),
        size=int(length) if length.isascii() and length.isdigit() else None,
    )
