"""Provide Document Bundle, request of ITI-65 -> submission of ITI-41
(IHE MHD 4.2.4 3.65; ITI TF-2 3.41).

First the Bundle has to be FHIR (400), then it has to keep the rules of the transaction (422). Every finding
of a stage is reported. All ids that the client leaves open follow from the content of the Bundle, so the
same Bundle makes the same submission, whatever its white space, the order of its properties, or the labels
that its entries have for each other.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from gateway.fhir.datatypes import Json, PatientOf
from gateway.fhir.document_reference_read import ReadContext, read_document_reference
from gateway.fhir.findings import Findings
from gateway.fhir.formats import FhirFormat, read_resource
from gateway.fhir.issues import Issue, fail
from gateway.fhir.lists import read_folder_list, read_submission_set_list
from gateway.fhir.provide_bundle_associations import AssociationReader
from gateway.fhir.provide_bundle_digest import content_digest
from gateway.fhir.provide_bundle_documents import AttachmentReader, ProvidedDocument, decode_binaries
from gateway.fhir.provide_bundle_entries import (
    BundleIndex,
    EntryKind,
    RequestEntry,
    literal_uuid,
    read_entries,
)
from gateway.fhir.provide_bundle_fhir_documents import check_fhir_document, serialise_documents
from gateway.fhir.provide_bundle_folders import (
    NO_FOLDERS,
    Folders,
    check_nothing_is_removed,
    check_version,
    updated_folders,
)
from gateway.fhir.provide_bundle_references import (
    Fetched,
    OutsideReference,
    Unreachable,
    contain_outside,
    contain_patient_entries,
    outside_references,
    urls_to_fetch,
)
from gateway.fhir.provide_bundle_subjects import Subjects
from gateway.fhir.provide_rules import check_bundle
from gateway.fhir.terminology import Terminology
from gateway.fhir.validation import is_resource_type, validate_resource
from gateway.model.dtm import dtm_end, dtm_start
from gateway.model.metadata import Cx, DocumentEntry, Folder, Submission, SubmissionSet
from gateway.model.publishing import MetadataTables, PublishingSource

_ANY_SOURCE: Final = PublishingSource()
_NO_TABLES: Final = MetadataTables()
_VALIDATED: Final = frozenset({"List", "DocumentReference", "Binary", "Parameters", "Patient"})


@dataclass(frozen=True, slots=True)
class ProvideContext:
    """What a submission needs beyond the Bundle.

    `base_url` is the FHIR base without trailing slash. `patient_of` resolves a literal Patient reference to
    the identifier of the affinity domain, `patient_reference` goes the other way. `document_url` gives the
    ITI-68 URL of an entry in the repository `repository_unique_id`, which takes the submission. `source` is
    the system whose SubmissionSets are made here. `tables` and `time_zone`, which is that of times without
    offset, are for documents that are the source of their metadata.
    """

    terminology: Terminology
    base_url: str
    patient_of: PatientOf
    patient_reference: Callable[[Cx], Json]
    document_url: Callable[[DocumentEntry], str]
    repository_unique_id: str | None = None
    source: PublishingSource = _ANY_SOURCE
    tables: MetadataTables = _NO_TABLES
    time_zone: tzinfo | None = None
    max_bytes: int = 256 * 1024 * 1024


class PlannedEntry(Struct, frozen=True):
    """What becomes of one request entry.

    `target` is the entryUUID of the object that answers it: the document of a Binary, the superseded
    document of a PATCH. It is None for a Patient, whose identifier is `patient`.
    """

    kind: EntryKind
    method: str
    target: str | None = None
    patient: Cx | None = None


class ProvideBundle(Struct, frozen=True):
    """A request of ITI-65 that keeps every rule. `plan` has one item per request entry, in order.

    `digest` is the SHA-256 (hex) of the content of the Bundle, see `provide_bundle_digest`.
    """

    submission: Submission
    documents: tuple[ProvidedDocument, ...]
    plan: tuple[PlannedEntry, ...]
    warnings: tuple[Issue, ...]
    digest: str


@dataclass(frozen=True, slots=True)
class OpenedBundle:
    """A Bundle that is FHIR and whose entries were looked at one by one.

    `outside` are references to other servers, `updates` the entryUUIDs of Folders that the Bundle adds to;
    what they lead to is wanted for `read`. `size` is that of the request in bytes.
    """

    index: BundleIndex
    attachments: AttachmentReader
    context: ProvideContext
    findings: Findings
    digest: str
    outside: tuple[OutsideReference, ...]
    updates: tuple[str, ...]
    size: int

    @property
    def asks_others(self) -> bool:
        """True where `read` needs what other servers hold."""
        return bool(self.outside or self.updates)

    def read(self, fetched: Fetched, folders: Folders) -> ProvideBundle:
        """The submission; once only.

        Raises OutcomeError 422 with every rule that is broken; where there is none, 412 for a Folder in
        another version and 409 for one that would lose documents.
        """
        contain_outside(self.outside, fetched, self.findings)
        return _Reading(self, folders).read()


def open_provide_bundle(raw: bytes, context: ProvideContext, wire_format: FhirFormat) -> OpenedBundle:
    """Read a request body as far as it goes without other servers.

    Raises OutcomeError: 413 above `max_bytes`, 400 where it is not FHIR.
    """
    if len(raw) > context.max_bytes:
        raise fail(413, "too-long", f"The Bundle has more than {context.max_bytes} bytes.")
    bundle = read_resource(raw, wire_format, "Bundle")
    findings = Findings()
    _validate(bundle, findings)
    findings.raise_errors(400)
    index = BundleIndex(read_entries(bundle), context.base_url)
    contents = decode_binaries(index, findings) | serialise_documents(raw, wire_format, index)
    findings.raise_errors(400)
    digest = content_digest(bundle.get("entry") or (), index.entries, contents)
    size = len(raw)
    return open_entries(bundle, index, contents, context, digest=digest, wire_format=wire_format, size=size)


def open_entries(
    bundle: Json,
    index: BundleIndex,
    contents: Mapping[int, bytes],
    context: ProvideContext,
    *,
    digest: str,
    wire_format: FhirFormat,
    size: int,
) -> OpenedBundle:
    """Look at the entries of a Bundle that is FHIR; `contents` are its documents by position."""
    findings = Findings()
    level = check_bundle(bundle, index, findings)
    outside: tuple[OutsideReference, ...] = ()
    if not level.contained_only:
        contain_patient_entries(index)
        outside = outside_references(index)
    attachments = AttachmentReader(index, contents, wire_format, findings)
    updates = updated_folders(index)
    return OpenedBundle(index, attachments, context, findings, digest, outside, updates, size)


def read_provide_bundle(
    raw: bytes,
    context: ProvideContext,
    wire_format: FhirFormat = FhirFormat.JSON,
    folders: Folders = NO_FOLDERS,
) -> ProvideBundle:
    """Read and check a request body without asking other servers; `folders` are those that exist.

    Raises OutcomeError: 413 above `max_bytes`, 400 where it is not FHIR, 422 where a rule is broken.
    """
    opened = open_provide_bundle(raw, context, wire_format)
    nothing = Unreachable("this server asks no other")
    return opened.read(dict.fromkeys(urls_to_fetch(opened.outside), nothing), folders)


def _validate(bundle: Json, findings: Findings) -> None:
    if bundle.get("resourceType") != "Bundle":
        findings.error("Bundle.resourceType", "value", "The body of this transaction is a Bundle.")
        return
    entries = bundle.get("entry")
    outline = bundle
    if isinstance(entries, list) and all(isinstance(entry, dict) for entry in entries):
        # the resources are validated one by one, and a Binary without its data, which can be large
        outline = {**bundle, "entry": [{k: v for k, v in e.items() if k != "resource"} for e in entries]}
        outline["entry"] = [entry or {"id": "empty"} for entry in outline["entry"]]
        for number, entry in enumerate(entries):
            if "resource" in entry:
                _validate_entry(entry["resource"], f"Bundle.entry[{number}].resource", findings)
    validate_resource(outline, "Bundle", findings)


def _validate_entry(resource: object, path: str, findings: Findings) -> None:
    if not isinstance(resource, dict) or not is_resource_type(resource.get("resourceType")):
        findings.error(path, "structure", "This is not a resource that FHIR R4 defines.")
        return
    if resource["resourceType"] == "Bundle":
        check_fhir_document(resource, path, findings)
    elif resource["resourceType"] in _VALIDATED:
        if resource["resourceType"] == "Binary":
            resource = {name: value for name, value in resource.items() if name != "data"}
        validate_resource(resource, path, findings)


class _Reading:
    """One pass over the entries of a Bundle that is FHIR."""

    def __init__(self, opened: OpenedBundle, folders: Folders) -> None:
        context = opened.context
        self._folders = folders
        self._index = opened.index
        self._findings = opened.findings
        self._digest = opened.digest
        self._namespace = uuid.UUID(bytes=bytes.fromhex(opened.digest)[:16])
        self._base_url = context.base_url
        self._subjects = Subjects(context.terminology, context.patient_of, self._index, self._findings)
        self._read_context = ReadContext(context.terminology, self._subjects.read, self._findings)
        self._attachments = opened.attachments

    def read(self) -> ProvideBundle:
        sets = [(e, self._read_set(e)) for e in self._index.of(EntryKind.SUBMISSION_SET)]
        documents = [(e, self._read_document(e)) for e in self._index.of(EntryKind.DOCUMENT)]
        folders = [(e, self._read_folder(e)) for e in self._index.of(EntryKind.FOLDER)]
        self._attachments.check_unused()
        patients = {e.index: self._subjects.of_entry(e) for e in self._index.of(EntryKind.PATIENT)}
        self._subjects.require_same(
            [
                *((f"{e.resource_path}.subject", s.patient_id) for e, s in sets),
                *((f"{e.resource_path}.subject", d.patient_id) for e, (d, _) in documents),
                *((f"{e.resource_path}.subject", f.patient_id) for e, f in folders),
                *((f"Bundle.entry[{position}].resource", p) for position, p in patients.items()),
            ]
        )
        self._require_unique(
            [
                *((e, s.entry_uuid, s.unique_id) for e, s in sets),
                *((e, d.entry_uuid, d.unique_id) for e, (d, _) in documents),
                *((e, f.entry_uuid, f.unique_id) for e, f in folders),
            ]
        )
        associations = AssociationReader(
            self._index, sets[0][1].entry_uuid if sets else "", self._namespace, self._findings
        )
        associations.read_members(sets[0][0] if sets else None)
        listed = {e.index: associations.read_folder(e, self._held(e, folder)) for e, folder in folders}
        for entry, _ in documents:
            associations.read_relations(entry)
        associations.check_patches()
        self._findings.raise_errors(422)
        for entry, folder in folders:
            if entry.method == "PUT":
                check_version(entry, self._folders[folder.entry_uuid])
                check_nothing_is_removed(entry, self._folders[folder.entry_uuid], listed[entry.index])
        return ProvideBundle(
            submission=Submission(
                submission_set=sets[0][1],
                entries=tuple(d for _, (d, _) in documents),
                folders=tuple(f for e, f in folders if e.method == "POST"),
                associations=associations.associations,
            ),
            documents=tuple(content for _, (_, content) in documents if content is not None),
            plan=tuple(self._plan(e, patients) for e in self._index.entries),
            warnings=tuple(self._findings.warnings),
            digest=self._digest,
        )

    # --- resources --------------------------------------------------------------------------------------
    def _read_set(self, entry: RequestEntry) -> SubmissionSet:
        read = read_submission_set_list(entry.resource, self._read_context, entry.resource_path)
        return replace(
            read,
            entry_uuid=self._entry_uuid(entry, read.entry_uuid),
            unique_id=read.unique_id or self._mint_unique_id(entry),
        )

    def _read_folder(self, entry: RequestEntry) -> Folder:
        read = read_folder_list(entry.resource, self._read_context, entry.resource_path)
        given = read.entry_uuid
        if entry.method == "PUT":
            given = literal_uuid(entry.url, "List", self._base_url) or ""
            self._findings.inform(
                entry.resource_path, "Only members are added to a Folder that exists; the rest stays."
            )
        return replace(
            read,
            entry_uuid=self._entry_uuid(entry, given),
            unique_id=read.unique_id or self._mint_unique_id(entry),
            last_update_time=None,
        )

    def _held(self, entry: RequestEntry, folder: Folder) -> frozenset[str]:
        """What is in a Folder before."""
        if entry.method != "PUT":
            return frozenset()
        state = self._folders.get(folder.entry_uuid)
        if state is not None:
            return state.members
        if literal_uuid(entry.url, "List", self._base_url) is not None:
            self._findings.error(
                f"{entry.path}.request.url", "not-found", "No Folder has this id; create one with POST."
            )
        return frozenset()

    def _read_document(self, entry: RequestEntry) -> tuple[DocumentEntry, ProvidedDocument | None]:
        read = read_document_reference(entry.resource, self._read_context, entry.resource_path)
        start, stop = read.service_start_time, read.service_stop_time
        if start and stop and dtm_start(start) >= dtm_end(stop):
            self._findings.error(
                f"{entry.resource_path}.context.period",
                "invariant",
                "The period ends before it starts (per-1).",
            )
        named = replace(read, entry_uuid=self._entry_uuid(entry, read.entry_uuid))
        return self._attachments.read(entry, named)

    # --- ids --------------------------------------------------------------------------------------------
    def _mint(self, entry: RequestEntry, purpose: str) -> uuid.UUID:
        return uuid.uuid5(self._namespace, f"{purpose} {entry.index}")

    def _entry_uuid(self, entry: RequestEntry, given: str) -> str:
        name = given or self._mint(entry, "entryUUID").urn
        self._index.uuids[entry.index] = name
        return name

    def _mint_unique_id(self, entry: RequestEntry) -> str:
        return f"2.25.{self._mint(entry, 'uniqueId').int}"

    def _require_unique(self, ids: list[tuple[RequestEntry, str, str]]) -> None:
        entry_uuids: set[str] = set()
        unique_ids: set[str] = set()
        for entry, entry_uuid, unique_id in ids:
            if entry_uuid in entry_uuids:
                self._findings.error(
                    f"{entry.resource_path}.identifier",
                    "duplicate",
                    "Another entry has the same entryUUID.",
                )
            if unique_id and unique_id in unique_ids:
                is_document = entry.kind is EntryKind.DOCUMENT
                self._findings.error(
                    f"{entry.resource_path}.{'masterIdentifier' if is_document else 'identifier'}",
                    "duplicate",
                    "Another entry has the same uniqueId.",
                    "XDSRegistryDuplicateUniqueIdInMessage",
                )
            entry_uuids.add(entry_uuid)
            unique_ids.add(unique_id)

    # --- answer -----------------------------------------------------------------------------------------
    def _plan(self, entry: RequestEntry, patients: dict[int, Cx | None]) -> PlannedEntry:
        kind = entry.kind
        assert kind is not None
        target = self._index.uuids.get(entry.index)
        if kind in (EntryKind.BINARY, EntryKind.FHIR_DOCUMENT):
            target = self._attachments.binaries[entry.index]
        elif kind is EntryKind.PATCH:
            target = literal_uuid(entry.url, "DocumentReference", self._base_url)
        return PlannedEntry(kind, entry.method, target, patients.get(entry.index))
