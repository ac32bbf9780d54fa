"""What an MHD server answers -> document sharing metadata: DocumentReferences and Lists of anyone's make.

The readers of a publish are strict, since their client can send it again; here nobody can, so what cannot be
mapped is left out of an object, and an object only where nothing would lead to it. Ids that XDS needs and a
resource lacks are made of its FHIR id (`gateway.fhir.peer_ids`).
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from msgspec.structs import replace

from gateway.fhir.datatypes import (
    Json,
    identifier_role,
    is_uuid_urn,
    read_cx,
    read_date_time,
    read_unique_id,
)
from gateway.fhir.document_reference_read import ReadContext, contained_by_id, read_document_reference
from gateway.fhir.findings import Findings
from gateway.fhir.lists import SUBMISSION_SET, list_kind, read_folder_list, read_submission_set_list
from gateway.fhir.peer_ids import entry_uuid_of_id, unique_id_of_uuid
from gateway.fhir.peer_shapes import shaped
from gateway.fhir.terminology import OidMap, Terminology
from gateway.model import codes
from gateway.model.metadata import Cx, DocumentEntry, Folder, SubmissionSet
from gateway.model.oids import bare_oid, is_oid

_MIME_UNKNOWN: Final = "application/octet-stream"
_KNOWN_STATUS: Final = frozenset({"current", "superseded"})
_OFFICIAL, _USUAL = "official", "usual"

ResourceKey = tuple[str, str]
"""Type and id of a resource."""


class LeftOut(Exception):
    """An object cannot be used; the text says why, without anything of its content."""


@dataclass(frozen=True, slots=True)
class FoundDocument:
    """A DocumentReference. `relations` are codes and targets of relatesTo, `attachment` is as it came."""

    key: ResourceKey
    entry: DocumentEntry
    subject: Json
    attachment: Json
    relations: tuple[tuple[str, ResourceKey], ...] = ()


@dataclass(frozen=True, slots=True)
class FoundList:
    """A SubmissionSet or Folder with the keys of its members."""

    key: ResourceKey
    item: SubmissionSet | Folder
    subject: Json
    members: tuple[ResourceKey, ...] = ()


class _AnySystem(OidMap):
    """Code systems that the settings do not map are coding schemes as they stand."""

    def __init__(self, known: OidMap) -> None:
        self._known = known

    def oid(self, uri: str) -> str:
        return self.oid_or_none(uri)

    def oid_or_none(self, uri: str) -> str:
        return self._known.oid_or_none(uri) or uri

    def oids(self, uri: str) -> tuple[str, ...]:
        return self._known.oids(uri) if self._known.oid_or_none(uri) else (uri,)

    def uri(self, oid: str) -> str:
        return self._known.uri(oid)


def with_any_system(terminology: Terminology) -> Terminology:
    """The tables for what another server answers."""
    tables = copy.copy(terminology)
    tables.code_systems = _AnySystem(terminology.code_systems)
    return tables


class PeerReader:
    """Reads resources of one server at `base_url`. `repository_unique_id` is where its documents are."""

    def __init__(self, terminology: Terminology, base_url: str, repository_unique_id: str) -> None:
        self._terminology = with_any_system(terminology)
        self._base_url = base_url
        self._bases = {base_url}
        self._repository = repository_unique_id

    def document(self, resource: object, full_url: object = None) -> FoundDocument:
        """A DocumentReference. Raises LeftOut."""
        read, key = self._start(resource, "DocumentReference", full_url)
        if read.get("status", "current") not in _KNOWN_STATUS:
            raise LeftOut("its status has no place in XDS")
        read.setdefault("status", "current")
        contents = [c for c in read.get("content") or () if c.get("attachment")]
        if not contents:
            raise LeftOut("it has no attachment")
        read["content"] = contents
        entry = read_document_reference(read, self._context(), "")
        uuid, unique_id = self._ids(read, key)
        attachment = contents[0]["attachment"]
        entry = replace(
            entry,
            entry_uuid=uuid,
            unique_id=entry.unique_id or unique_id,
            repository_unique_id=self._repository,
            mime_type=entry.mime_type or _MIME_UNKNOWN,
            object_type=_object_type(entry),
            home_community_id=_home(entry.home_community_id),
            limited_metadata=False,
        )
        related = (
            (relation.get("code", ""), self.key_of(relation.get("target") or {}))
            for relation in read.get("relatesTo") or ()
        )
        relations = tuple((code, target) for code, target in related if target is not None)
        return FoundDocument(key, entry, _subject(read), attachment, relations)

    def list(self, resource: object, full_url: object = None) -> FoundList:
        """A List that is a SubmissionSet or a Folder. Raises LeftOut."""
        read, key = self._start(resource, "List", full_url)
        kind = list_kind(read)
        if kind is None:
            raise LeftOut("it is neither SubmissionSet nor Folder")
        uuid, unique_id = self._ids(read, key)
        context = self._context()
        item: SubmissionSet | Folder
        if kind == SUBMISSION_SET:
            found = read_submission_set_list(read, context, "")
            changed = (read.get("meta") or {}).get("lastUpdated")
            time = found.submission_time or read_date_time(changed, Findings(), "")
            if not time:
                raise LeftOut("it has no date")
            item = replace(found, submission_time=time, source_id=found.source_id or self._repository)
        else:
            item = read_folder_list(read, context, "")
        item = replace(
            item,
            entry_uuid=uuid,
            unique_id=item.unique_id or unique_id,
            home_community_id=_home(item.home_community_id),
        )
        keys = (self.key_of(entry.get("item") or {}) for entry in read.get("entry") or ())
        members = tuple(dict.fromkeys(key for key in keys if key is not None))
        return FoundList(key, item, _subject(read), members)

    def patient_ids(self, resource: object) -> tuple[Cx, ...]:
        """The identifiers of a Patient whose authorities the settings map."""
        read = shaped(resource) or {}
        return tuple(cx for each in read.get("identifier") or () if (cx := self.identifier(each)) is not None)

    def identifier(self, identifier: Json) -> Cx | None:
        """A patient identifier; None where it has no authority that the settings map."""
        return read_cx(identifier, self._terminology, Findings(), "")

    def key_of(self, reference: Json) -> ResourceKey | None:
        """Type and id of what a reference names at this server."""
        literal = reference.get("reference") or ""
        url = urljoin(self._base_url + "/", literal)
        parts = url.partition("/_history/")[0].rsplit("/", 2)
        if len(parts) != 3 or parts[0] not in self._bases:
            return None
        return parts[1], parts[2]

    def _start(self, resource: object, kind: str, full_url: object) -> tuple[Json, ResourceKey]:
        read = shaped(resource)
        if read is None or read["resourceType"] != kind:
            raise LeftOut(f"it is no {kind}")
        resource_id = read.get("id")
        if resource_id is None:
            raise LeftOut("it has no id")
        key = (kind, resource_id)
        suffix = f"/{kind}/{resource_id}"
        if isinstance(full_url, str) and full_url.endswith(suffix) and urlsplit(full_url).scheme:
            # servers behind a proxy call themselves by another name than the settings
            self._bases.add(full_url.removesuffix(suffix))
        read["contained"] = [c for c in read.get("contained") or () if c.get("id") and c.get("resourceType")]
        return read, key

    def _context(self) -> ReadContext:
        # what cannot be mapped is left out: nobody could be told
        return ReadContext(self._terminology, lambda reference, path: None, Findings())

    def _ids(self, read: Json, key: ResourceKey) -> tuple[str, str]:
        """entryUUID, and the uniqueId that stands in another place than IHE MHD 4.2.4 has it, or is made."""
        identifiers = read.get("identifier") or ()
        uuid = _entry_uuid(identifiers) or entry_uuid_of_id(key[1])
        if uuid is None:
            raise LeftOut("it has no entryUUID, and its id is too long to stand for one")
        return uuid, self._unique_id(identifiers) or unique_id_of_uuid(uuid)

    def _unique_id(self, identifiers: Iterable[Json]) -> str | None:
        typed = [i for i in identifiers if identifier_role(i) == "uniqueId"]
        # before MHD 4.2.4 the use told the two apart
        older = [i for i in identifiers if identifier_role(i) is None and i.get("use") == _USUAL]
        for identifier in (*typed, *older):
            found = read_unique_id(identifier, self._terminology, Findings(), "")
            if found is not None:
                return found
        return None


def _subject(read: Json) -> Json:
    """The subject, where it is contained with the first of its identifiers."""
    subject: Json = read.get("subject") or {}
    literal = subject.get("reference") or ""
    if literal.startswith("#"):
        target = contained_by_id(read).get(literal[1:]) or {}
        identifiers = target.get("identifier") or ()
        return {"identifier": identifiers[0]} if identifiers else {}
    return subject


def _object_type(entry: DocumentEntry) -> str:
    """An On-Demand document has no creationTime either; servers without hashes have one as a rule."""
    described = entry.hash or entry.size is not None or entry.creation_time
    return codes.STABLE_DOCUMENT if described else codes.ON_DEMAND_DOCUMENT


def _home(text: str | None) -> str | None:
    bare = bare_oid(text) if text else ""
    return f"urn:oid:{bare}" if is_oid(bare) else None


def _entry_uuid(identifiers: Iterable[Json]) -> str | None:
    uuids = [i for i in identifiers if i.get("system") == codes.URI_SYSTEM and is_uuid_urn(i.get("value"))]
    typed = [i for i in uuids if identifier_role(i) == "entryUUID"]
    older = [i for i in uuids if identifier_role(i) is None and i.get("use") == _OFFICIAL]
    found = next(iter((*typed, *older)), None)
    return str(found["value"]).lower() if found else None
