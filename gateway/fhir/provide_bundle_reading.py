"""The submission that a Provide Document Bundle stands for (ITI-65; mapping of IHE MHD 4.2.4 to XDS).

The rules that take more than one entry are checked on the way; every finding is reported at the end.
"""

import uuid
from collections.abc import Mapping

from msgspec.structs import replace

from gateway.fhir.document_reference_read import ReadContext, read_document_reference
from gateway.fhir.findings import Findings
from gateway.fhir.lists import read_folder_list, read_submission_set_list
from gateway.fhir.provide_bundle_associations import AssociationReader
from gateway.fhir.provide_bundle_documents import AttachmentReader, ProvidedDocument
from gateway.fhir.provide_bundle_entries import BundleIndex, EntryKind, RequestEntry, literal_uuid
from gateway.fhir.provide_bundle_folders import Folders, check_nothing_is_removed, check_version
from gateway.fhir.provide_bundle_subjects import Strangers, Subjects
from gateway.fhir.provide_context import PlannedEntry, ProvideBundle, ProvideContext
from gateway.fhir.provide_profiles import MetadataLevel
from gateway.fhir.provide_reports import (
    ProvidedReport,
    check_against_report,
    read_provided_report,
    report_deviations,
)
from gateway.fhir.provide_rules_resources import has_all_of_document, has_all_of_folder, has_all_of_set
from gateway.model import codes
from gateway.model.dtm import dtm_end, dtm_start
from gateway.model.metadata import Cx, DocumentEntry, Folder, Submission, SubmissionSet


class BundleReading:
    """One pass over the entries of a Bundle that is FHIR; see `OpenedBundle`."""

    def __init__(
        self,
        *,
        index: BundleIndex,
        attachments: AttachmentReader,
        context: ProvideContext,
        level: MetadataLevel,
        reports: Mapping[int, ProvidedReport],
        digest: str,
        folders: Folders,
        findings: Findings,
        strangers: Strangers,
    ) -> None:
        self._folders = folders
        self._index = index
        self._findings = findings
        self._digest = digest
        self._namespace = uuid.UUID(bytes=bytes.fromhex(digest)[:16])
        self._base_url = context.base_url
        self._policy = context.policy
        self._level = level
        self._may_be_limited = context.policy.limited_metadata and level is MetadataLevel.MINIMAL
        self._subjects = Subjects(
            context.terminology, context.patient_of, self._index, self._findings, context.domain, strangers
        )
        self._read_context = ReadContext(context.terminology, self._subjects.read, self._findings)
        self._attachments = attachments
        self._reports = reports
        self._context = context

    def read(self) -> ProvideBundle:
        """The submission, once only. Raises OutcomeError as `OpenedBundle.read`."""
        sets = [(e, self._read_set(e)) for e in self._index.of(EntryKind.SUBMISSION_SET)]
        documents = [(e, self._read_document(e)) for e in self._index.of(EntryKind.DOCUMENT)]
        folders = [(e, self._read_folder(e)) for e in self._folder_entries()]
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
            self._index,
            sets[0][1].entry_uuid if sets else "",
            self._namespace,
            self._policy,
            self._findings,
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
        place = f"{entry.resource_path}.extension('{codes.EXT_INTENDED_RECIPIENT}')"
        self._policy.check_recipients(
            ((f"{place}[{number}]", r) for number, r in enumerate(read.intended_recipients)), self._findings
        )
        return replace(
            read,
            limited_metadata=self._may_be_limited and not has_all_of_set(entry.resource),
            entry_uuid=self._entry_uuid(entry, read.entry_uuid),
            unique_id=read.unique_id or self._mint_unique_id(entry),
        )

    def _folder_entries(self) -> list[RequestEntry]:
        """The Folders, where the recipient takes them."""
        entries = list(self._index.of(EntryKind.FOLDER))
        if self._policy.takes("folders"):
            return entries
        for entry in entries:
            self._policy.report("folders", entry.path, self._findings)
        return []

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
            limited_metadata=self._may_be_limited and not has_all_of_folder(entry.resource),
        )

    def _held(self, entry: RequestEntry, folder: Folder) -> frozenset[str]:
        """What is in a Folder before."""
        if entry.method != "PUT":
            return frozenset()
        state = self._folders.get(folder.entry_uuid)
        if state is not None:
            return state.names
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
        if self._level is MetadataLevel.UNCONTAINED and "sourcePatientInfo" not in (
            entry.resource.get("context") or {}
        ):
            named = self._subjects.named(entry.resource.get("subject") or {})
            read = replace(read, source_patient_id=named or read.patient_id)
            self._findings.warn(
                f"{entry.resource_path}.context.sourcePatientInfo",
                "required",
                "XDS requires sourcePatientId; it is taken from the subject.",
            )
        identified = replace(
            read,
            entry_uuid=self._entry_uuid(entry, read.entry_uuid),
            limited_metadata=self._may_be_limited and not has_all_of_document(entry.resource),
        )
        submitted, document = self._attachments.read(entry, identified)
        return self._completed(entry, submitted, document), document

    def _completed(
        self, entry: RequestEntry, submitted: DocumentEntry, document: ProvidedDocument | None
    ) -> DocumentEntry:
        """The entry with what its document says, where that is an imaging report."""
        if document is None:
            return submitted
        report = self._reports.get(entry.index)
        if report is None and self._index.entry_of(_url_of(entry)) is None:
            tables, terminology = self._context.tables, self._context.terminology
            report = read_provided_report(document.content, document.mime_type, terminology, tables)
        if report is None:
            return submitted
        holder = self._index.entry_of(_url_of(entry))
        inline = holder is not None and holder.kind is EntryKind.FHIR_DOCUMENT
        place = f"{entry.resource_path}.content[0].attachment.url"
        if holder is not None:
            place = holder.resource_path if inline else f"{holder.resource_path}.data"
        check_against_report(submitted, report, entry.resource_path, self._policy.reports, self._findings)
        report_deviations(report, place, self._policy.reports, self._findings, inline=inline)
        return report.complete(submitted)

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


def _url_of(entry: RequestEntry) -> str | None:
    url: str | None = entry.resource["content"][0]["attachment"].get("url")
    return url
