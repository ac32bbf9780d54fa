"""Which image of an answer, and which error, belongs to which image that was asked for (RAD-69, RAD-75).

Peers answer in any order, with more or fewer images, and write UIDs in their own way; an image that neither
comes nor is reported is an error all the same (IHE RAD TF 4.69.4.2).
"""

import re
from collections.abc import Iterable, Iterator
from typing import Final

from gateway.ebxml.retrieve import RetrieveAnswer, XopHref
from gateway.model import ImageRequest, RegistryError, Severity
from gateway.model.errors import PeerBusy, PeerError
from gateway.model.images import ImageError
from gateway.soap.mtom import cid_of_href

MISSING: Final = "missing"
"""Code of an image that came neither as image nor as error."""
NO_LOCATION: Final = "XDSUnknownRepositoryId"
FAILED: Final = "XDSRepositoryError"
BUSY: Final = "XDSRepositoryBusy"
DEFAULT_MEDIA_TYPE: Final = "application/dicom"

_UID: Final = re.compile(r"(?<![\d.])\d+(?:\.\d+)+(?![\d.]*\d)")
_WADO_CODE: Final = re.compile(r"urn:dicom:wado:\d{4}")


class Batch:
    """The images of one request and what became of each."""

    def __init__(self, peer: str, requests: tuple[ImageRequest, ...]) -> None:
        self.requests = requests
        self.unasked = 0
        """Images of the answer that were not asked for, or came twice."""
        self._peer = peer
        self._asked = {normal_uid(request.sop_instance_uid): request for request in requests}
        self._inline: list[tuple[str, str, bytes]] = []
        self._attached: dict[str, tuple[str, str]] = {}
        self._open = dict.fromkeys(request.sop_instance_uid for request in requests)

    @property
    def expected(self) -> int:
        """Images that are announced and have not been handed out."""
        return len(self._inline) + len(self._attached)

    def take(self, answer: RetrieveAnswer) -> None:
        """Learn from the envelope which images come, and where their bytes are."""
        taken: set[str] = set()
        for document in answer.documents:
            request = self._asked.get(normal_uid(document.header.document_unique_id))
            if request is None or request.sop_instance_uid in taken:
                self.unasked += 1
                continue
            uid = request.sop_instance_uid
            media_type = document.header.mime_type or DEFAULT_MEDIA_TYPE
            if isinstance(document.content, XopHref):
                content_id = cid_of_href(document.content)
                if content_id in self._attached:
                    continue
                self._attached[content_id] = uid, media_type
            else:
                self._inline.append((uid, media_type, document.content))
            taken.add(uid)

    def errors(self, errors: Iterable[RegistryError]) -> Iterator[ImageError]:
        """One error for each image that does not come; then what belongs to none of them, if all come."""
        coming = {uid for uid, _, _ in self._inline} | {uid for uid, _ in self._attached.values()}
        absent = [uid for uid in self._open if uid not in coming]
        told: dict[str, RegistryError] = {}
        general: list[RegistryError] = []
        for error in errors:
            if error.severity is not Severity.ERROR:
                continue
            named = [uid for uid in self._named(error) if uid not in coming]
            for uid in named:
                told.setdefault(uid, error)
            if not named:
                general.append(error)
        for uid in absent:
            error_of = told.get(uid) or (general[0] if general else None)
            self._open.pop(uid)
            if error_of is None:
                yield ImageError(self._peer, MISSING, uid)
            else:
                yield ImageError(self._peer, wado_code(error_of), uid, error_of.context)
        if not absent:
            for error in general:
                yield ImageError(self._peer, wado_code(error), None, error.context)

    def inline(self) -> Iterator[tuple[str, str, bytes]]:
        """SOP Instance UID, media type and bytes of the images inside the envelope; each is let go of."""
        self._inline.reverse()
        while self._inline:
            uid, media_type, content = self._inline.pop()
            self._open.pop(uid, None)
            yield uid, media_type, content

    def attached(self, content_id: str) -> tuple[str, str] | None:
        """SOP Instance UID and media type of the image that a part holds; None for a part of no image."""
        known = self._attached.pop(content_id, None)
        if known is not None:
            self._open.pop(known[0], None)
        return known

    def failed(self, error: PeerError) -> Iterator[ImageError]:
        """An error for each image that is still open, because the request failed or broke off."""
        code = BUSY if isinstance(error, PeerBusy) else FAILED
        while self._open:
            uid, _ = self._open.popitem()
            yield ImageError(self._peer, code, uid, error.detail)

    def _named(self, error: RegistryError) -> list[str]:
        """Images that an error is about: by its location, as it should be, else by UIDs in its text."""
        request = self._asked.get(normal_uid(error.location or ""))
        if request is not None:
            return [request.sop_instance_uid]
        found = (self._asked.get(uid) for uid in _UID.findall(error.context))
        return list(dict.fromkeys(request.sop_instance_uid for request in found if request is not None))


def normal_uid(text: str) -> str:
    """A UID without URN prefix, brackets and blanks, in which peers return it."""
    bare = text.strip().strip("<>{}").strip("\0").strip()
    return bare[8:] if bare[:8].lower() == "urn:oid:" else bare


def wado_code(error: RegistryError) -> str:
    """The code of DICOM PS3.18 where a source puts one into the text beside a general XDS code."""
    if error.code != FAILED:
        return error.code
    found = _WADO_CODE.search(error.context)
    return found[0] if found else error.code
