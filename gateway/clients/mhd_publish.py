"""Provide Document Bundle (ITI-65; IHE MHD 4.2.4 2:3.65) to an MHD server, for a submission of XDS.

The Bundle is written to the connection as it goes, with each document in base64 where its Binary is, so that
none is held whole. It is sent once: only who submits can tell whether a repeat is safe.
"""

import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

import orjson
import pybase64
from msgspec.structs import replace

from gateway.clients.fhir_server import (
    FHIR_JSON,
    FhirClient,
    FhirRequest,
    FhirServer,
    Refused,
    outcome_errors,
)
from gateway.clients.mhd_exchange import MhdExchange, recorded
from gateway.clients.mhd_queries import MhdQueries
from gateway.clients.mhd_resources import Found, MhdResources
from gateway.clients.repository import OutgoingDocument
from gateway.fhir.datatypes import Json, write_cx
from gateway.fhir.provide_bundle_writer import (
    BundleParts,
    NotWritable,
    named_elsewhere,
    with_uuids,
    write_provide_bundle,
)
from gateway.fhir.terminology import Terminology
from gateway.model import (
    Cx,
    DocumentEntry,
    RegistryError,
    RegistryFailure,
    RegistryResponse,
    ResponseStatus,
    Severity,
    Submission,
)
from gateway.model.errors import PeerProtocolError, PeerUnsupported
from gateway.multipart import parse_media_type

TRANSACTION: Final = "ITI-65"
_METADATA: Final = "XDSRepositoryMetadataError"
_NO_SUCH_THING: Final = frozenset({404, 405, 501})
_SLICE: Final = 256 * 1024


class MhdPublisher:
    """Publishes to one server."""

    def __init__(
        self,
        client: FhirClient,
        server: FhirServer,
        queries: MhdQueries,
        resources: MhdResources,
        terminology: Terminology,
    ) -> None:
        self._client = client
        self._server = server
        self._queries = queries
        self._resources = resources
        self._terminology = terminology

    async def provide_and_register(
        self, submission: Submission, documents: Sequence[OutgoingDocument]
    ) -> RegistryResponse:
        """Success with the server's warnings.

        Raises RegistryFailure where nothing was stored, PeerUnsupported for what FHIR has no place for, and
        PeerError (whose `outcome_known` says whether it may have been stored).
        """
        renamed, names = with_uuids(submission)
        contents = {names[document.entry_uuid]: document for document in documents}
        described = replace(
            renamed,
            entries=tuple([await self._described(e, contents[e.entry_uuid]) for e in renamed.entries]),
        )
        marks = {entry.entry_uuid: f"document-{uuid.uuid4().hex}" for entry in described.entries}
        parts = BundleParts(
            terminology=self._terminology,
            existing=await self._existing(described),
            marks=marks,
            patient=await self._patients(described),
        )
        try:
            bundle = write_provide_bundle(described, parts)
        except NotWritable as error:
            raise PeerUnsupported(self._server.peer.name, TRANSACTION, f"the submission: {error}") from None
        exchange = MhdExchange(
            transaction=TRANSACTION,
            url=self._server.peer.url,
            patient=described.submission_set.patient_id,
            submission_set=described.submission_set.unique_id,
        )
        by_mark = {mark: contents[name] for name, mark in marks.items() if contents[name].length}
        with recorded(self._client.record, exchange):
            return await self._send(orjson.dumps(bundle), by_mark)

    async def _send(self, text: bytes, by_mark: Mapping[str, OutgoingDocument]) -> RegistryResponse:
        request = FhirRequest(
            "POST",
            self._server.peer.url,
            body=lambda: _body(text, by_mark),
            headers={"Content-Type": FHIR_JSON, "Prefer": "return=minimal"},
            repeatable=False,
        )
        try:
            answer = await self._client.json(self._server, TRANSACTION, request)
        except Refused as refusal:
            if refusal.status in _NO_SUCH_THING:
                detail = "the server takes no documents"
                raise PeerUnsupported(self._server.peer.name, TRANSACTION, detail) from None
            text_of = f"the server refuses the submission (HTTP {refusal.status})"
            errors = refusal.errors or (RegistryError("XDSRepositoryError", text_of),)
            raise self._failure(*errors) from None
        return RegistryResponse(ResponseStatus.SUCCESS, tuple(self._warnings(answer)))

    def _warnings(self, answer: Json) -> list[RegistryError]:
        """What the server says beside its success. Raises PeerProtocolError for what is no answer."""
        entries = answer.get("entry")
        if answer.get("resourceType") != "Bundle" or not isinstance(entries, list):
            raise PeerProtocolError(
                self._server.peer.name, TRANSACTION, "the answer to a transaction is no Bundle with entries"
            )
        warnings: list[RegistryError] = []
        for entry in entries:
            response = entry.get("response") if isinstance(entry, dict) else None
            outcome = response.get("outcome") if isinstance(response, dict) else None
            found = outcome_errors(outcome if isinstance(outcome, dict) else None)
            # servers confirm what they stored with informational issues
            warnings += [
                replace(error, severity=Severity.WARNING)
                for error in found
                if error.code != "XDSRegistryError" or error.severity is Severity.ERROR
            ]
        return warnings

    async def _described(self, entry: DocumentEntry, document: OutgoingDocument) -> DocumentEntry:
        """The entry with hash and size of its bytes. Raises RegistryFailure where it says others."""
        sha1, size = document.sha1, document.length
        if sha1 is None:
            digest = hashlib.sha1(usedforsecurity=False)
            async for chunk in _chunks(document):
                digest.update(chunk)
            sha1 = digest.hexdigest()
        if entry.hash is not None and entry.hash.lower() != sha1:
            raise self._failure(RegistryError(_METADATA, "hash is not the SHA-1 of the document"))
        if entry.size is not None and entry.size != size:
            text = f"size is not that of the document, {size} bytes"
            raise self._failure(RegistryError(_METADATA, text))
        return replace(entry, hash=sha1, size=size, mime_type=parse_media_type(entry.mime_type).name)

    async def _existing(self, submission: Submission) -> dict[str, str]:
        """References of what the submission names and the server has. Raises RegistryFailure."""
        named = named_elsewhere(submission)
        if not named:
            return {}
        found = Found()
        await self._queries.objects(named, found)
        known = {d.entry.entry_uuid: "/".join(d.key) for d in found.documents}
        known |= {each.item.entry_uuid: "/".join(each.key) for each in found.lists}
        missing = [name for name in named if name not in known]
        if missing:
            text = f"{len(missing)} of the objects that the submission refers to are not there"
            raise self._failure(RegistryError("UnresolvedReferenceException", text))
        return known

    async def _patients(self, submission: Submission) -> Callable[[Cx], Json]:
        """What refers to the patients of a submission: to a Patient of the server where it has one."""
        owned = [submission.submission_set.patient_id]
        owned += [entry.patient_id for entry in submission.entries]
        owned += [folder.patient_id for folder in submission.folders]
        references: dict[Cx, Json] = {}
        for patient in owned:
            if patient is not None and patient not in references:
                resource_id = await self._resources.patient_id(patient, self._terminology)
                literal = {} if resource_id is None else {"reference": f"Patient/{resource_id}"}
                references[patient] = {**literal, "identifier": write_cx(patient, self._terminology)}
        return references.__getitem__

    def _failure(self, *errors: RegistryError) -> RegistryFailure:
        return RegistryFailure(self._server.peer.name, TRANSACTION, errors)


async def _body(text: bytes, by_mark: Mapping[str, OutgoingDocument]) -> AsyncIterator[bytes]:
    """The Bundle with the base64 of each document in place of its mark."""
    rest = text
    for mark, document in by_mark.items():
        before, _, rest = rest.partition(mark.encode())
        yield before
        async for piece in _base64(document):
            yield piece
    yield rest


async def _base64(document: OutgoingDocument) -> AsyncIterator[bytes]:
    left = b""
    async for chunk in _chunks(document):
        left += chunk
        whole = len(left) - len(left) % 3
        if whole:
            yield pybase64.b64encode(left[:whole])
            left = left[whole:]
    if left:
        yield pybase64.b64encode(left)


async def _chunks(document: OutgoingDocument) -> AsyncIterator[bytes]:
    content = document.content
    if not isinstance(content, bytes):
        async for chunk in content():
            yield chunk
        return
    for at in range(0, len(content), _SLICE):
        yield content[at : at + _SLICE]
