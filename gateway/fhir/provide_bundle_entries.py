"""The entries of a Provide Document Bundle (ITI-65), what each of them is, and references between them."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.fhir.datatypes import Json, identifier_role, is_uuid_urn
from gateway.fhir.lists import FOLDER, SUBMISSION_SET, list_kind
from gateway.model import codes
from gateway.model.oids import bare_oid, is_oid

_LITERAL = re.compile(
    r"(?:(?P<base>https?://\S+?)/)?(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})"
    r"(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)


class EntryKind(StrEnum):
    """Slices of the ProvideBundle profiles."""

    SUBMISSION_SET = "SubmissionSet"
    DOCUMENT = "DocumentReference"
    FOLDER = "Folder"
    BINARY = "Binary"
    PATCH = "Patch"
    PATIENT = "Patient"
    FHIR_DOCUMENT = "document Bundle"


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One entry: position, kind (None where no slice takes it), and its parts with their FHIRPath."""

    index: int
    kind: EntryKind | None
    method: str
    url: str
    full_url: str | None
    resource: Json
    if_match: str | None = None

    @property
    def path(self) -> str:
        """FHIRPath of the entry."""
        return f"Bundle.entry[{self.index}]"

    @property
    def resource_path(self) -> str:
        """FHIRPath of its resource."""
        return f"{self.path}.resource"


def read_entries(bundle: Json) -> tuple[RequestEntry, ...]:
    """The entries of a Bundle that is valid FHIR R4."""
    return tuple(_read_entry(number, entry) for number, entry in enumerate(bundle.get("entry") or ()))


def _read_entry(number: int, entry: Json) -> RequestEntry:
    request = entry.get("request") or {}
    resource: Json = entry.get("resource") or {}
    method, url = request.get("method") or "", request.get("url") or ""
    full_url = entry.get("fullUrl")
    kind = _kind(resource, method, url)
    return RequestEntry(number, kind, method, url, full_url, resource, request.get("ifMatch"))


def _kind(resource: Json, method: str, url: str) -> EntryKind | None:
    match resource.get("resourceType"):
        case "List":
            kinds = {SUBMISSION_SET: EntryKind.SUBMISSION_SET, FOLDER: EntryKind.FOLDER}
            return kinds.get(list_kind(resource) or "")
        case "DocumentReference":
            return EntryKind.DOCUMENT
        case "Binary":
            return EntryKind.BINARY
        case "Bundle":
            return EntryKind.FHIR_DOCUMENT
        case "Parameters":
            return EntryKind.PATCH
        case "Patient":
            return EntryKind.PATIENT
        case None if method == "GET" and "Patient" in url.split("/"):
            # the profile asks for a resource even here, where FHIR has no body
            return EntryKind.PATIENT
        case _:
            return None


def literal_id(reference: str, base_url: str) -> tuple[str, str] | None:
    """Resource type and id of a literal reference to this server; None for any other reference."""
    found = _LITERAL.fullmatch(reference)
    if found is None or (found["base"] is not None and found["base"] != base_url):
        return None
    return found["type"], found["id"]


def literal_uuid(reference: str, resource_type: str, base_url: str) -> str | None:
    """entryUUID of a literal reference to a resource of this server, whose ids are UUIDs."""
    found = literal_id(reference, base_url)
    if found is None or found[0] != resource_type:
        return None
    urn = f"urn:uuid:{found[1].lower()}"
    return urn if is_uuid_urn(urn) else None


def unique_id_of(reference: Json) -> str | None:
    """uniqueId that a logical reference may mean; a UUID without type may also be an entryUUID."""
    identifier = reference.get("identifier") or {}
    system, value = identifier.get("system"), identifier.get("value")
    if reference.get("reference") or not system or not value or identifier_role(identifier) == "entryUUID":
        return None
    if system != codes.URI_SYSTEM:
        root = bare_oid(system)
        return f"{root}^{value}" if is_oid(root) else None
    return value.lower() if is_uuid_urn(value) else bare_oid(value)


@dataclass(slots=True)
class BundleIndex:
    """Entries by kind and by fullUrl. `uuids` has the entryUUID of an entry by its position, `registered`
    that of a document of this server by its uniqueId.
    """

    entries: Sequence[RequestEntry]
    base_url: str
    uuids: dict[int, str] = field(default_factory=dict)
    registered: dict[str, str] = field(default_factory=dict)
    _by_url: dict[str, RequestEntry] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for entry in self.entries:
            if entry.full_url:
                self._by_url.setdefault(_key(entry.full_url), entry)

    def of(self, *kinds: EntryKind) -> Iterator[RequestEntry]:
        """The entries of these kinds, in the order of the Bundle."""
        return (entry for entry in self.entries if entry.kind in kinds)

    def entry_of(self, reference: str | None) -> RequestEntry | None:
        """The entry whose fullUrl is this reference."""
        return self._by_url.get(_key(reference)) if reference else None

    def existing(self, reference: Json, resource_type: str) -> str | None:
        """entryUUID of a resource of this server that is not in the Bundle.

        It is named by `Type/<uuid>`, the same below the base URL, or by entryUUID or uniqueId as identifier.
        """
        literal = reference.get("reference")
        if literal:
            return literal_uuid(literal, resource_type, self.base_url)
        identifier = reference.get("identifier") or {}
        unique_id = unique_id_of(reference)
        if unique_id in self.registered:
            return self.registered[unique_id]
        value = identifier.get("value")
        if identifier.get("system") != codes.URI_SYSTEM or not is_uuid_urn(value):
            return None
        return None if identifier_role(identifier) == "uniqueId" else str(value).lower()


def _key(url: str) -> str:
    return url.lower() if url[:9].lower() == "urn:uuid:" else url
