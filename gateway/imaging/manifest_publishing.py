"""Manifests that clients publish (RAD-68 by ITI-65, ITI-105 or ITI-106): read, compared with their metadata,
which they complete, stored in the formats that the domain wants, and put in place of the study's earlier
manifest (XDS-I.b RAD-68; IHE RAD MADO 0.1.0).
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final, Literal

import structlog
from msgspec.structs import replace

from gateway.clients.community import Queries
from gateway.correlation.manifests import ManifestStore
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.imaging_documents import manifest_format
from gateway.fhir.imaging_elements import made_id
from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.manifest_metadata import ManifestFormat, check_entry_against_manifest, completed
from gateway.fhir.provide_bundle_documents import ProvidedDocument
from gateway.fhir.provide_bundle_entries import EntryKind
from gateway.fhir.provide_context import ProvideBundle
from gateway.fhir.study_search import MANIFEST_FORMATS
from gateway.fhir.terminology import Terminology
from gateway.imaging.accessions import AS_STATED, Accessions
from gateway.imaging.manifests import ManifestError, Reader, WantedManifest
from gateway.model import Association, DocumentEntry, RegistryFailure, codes
from gateway.model.dtm import dtm_start, is_dtm
from gateway.model.imaging import Finding, Manifest, ReadManifest, Severity
from gateway.model.oids import is_oid
from gateway.model.query import ANY_DOCUMENT, APPROVED, FindDocumentsByReferenceId

_MOST_FINDINGS: Final = 20
_REPLACING: Final = frozenset({codes.RPLC, codes.XFRM_RPLC})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class ManifestPolicy:
    """What becomes of a manifest that a client sends.

    `publish` is the format in which it is stored, `strict` refuses one that cannot be read or contradicts its
    metadata instead of warning of it, `replaces` deprecates the earlier manifest of the study. `dialect` are
    the codes of key object documents, `zone` is that of times without offset, `accessions` gives a number to
    studies that have none.
    """

    publish: Literal["as_sent", "kos", "both"] = "as_sent"
    strict: bool = True
    replaces: bool = True
    dialect: str = "dcm"
    zone: tzinfo | None = None
    accessions: Accessions = AS_STATED


class ManifestPublishing:
    """The part of a publish that is about manifests. Other documents are not touched."""

    def __init__(
        self,
        registry: Queries,
        readers: Mapping[str, Reader],
        store: ManifestStore,
        terminology: Terminology,
        policy: ManifestPolicy,
    ) -> None:
        self._registry = registry
        self._readers = readers
        self._store = store
        self._terminology = terminology
        self._policy = policy

    def checked(self, bundle: ProvideBundle) -> ProvideBundle:
        """The Bundle with complete metadata, in the formats to be stored. Raises OutcomeError 422."""
        if all(manifest_format(entry) is None for entry in bundle.submission.entries):
            return bundle
        checking = _Checking(self._readers, self._terminology, self._policy, bundle)
        return checking.result()

    async def replacing(self, bundle: ProvideBundle) -> ProvideBundle:
        """The Bundle with RPLC of each earlier manifest of its studies. Raises PeerError."""
        if not self._policy.replaces:
            return bundle
        submission = bundle.submission
        own = {entry.unique_id for entry in submission.entries}
        replaced = {a.target for a in submission.associations if a.type in _REPLACING}
        added: list[Association] = []
        warnings: list[Issue] = []
        for entry in submission.entries:
            if manifest_format(entry) is None:
                continue
            try:
                earlier = await self._earlier(entry)
            except RegistryFailure:
                text = "The registry does not find manifests by their study, so none is replaced."
                warnings.append(Issue("warning", "incomplete", text))
                continue
            for other in earlier:
                if other.unique_id not in own and other.entry_uuid not in replaced:
                    replaced.add(other.entry_uuid)
                    added.append(_association(codes.RPLC, entry, other.entry_uuid))
        if not added and not warnings:
            return bundle
        associations = (*submission.associations, *added)
        return replace(
            bundle,
            submission=replace(submission, associations=associations),
            warnings=(*bundle.warnings, *dict.fromkeys(warnings)),
        )

    async def _earlier(self, entry: DocumentEntry) -> Sequence[DocumentEntry]:
        """Current manifests of the study in the same format."""
        studies = [r.id for r in entry.reference_ids if r.type == codes.REFERENCE_STUDY]
        if entry.patient_id is None or not studies:
            return ()
        query = FindDocumentsByReferenceId(
            patient_id=entry.patient_id,
            status=APPROVED,
            format_code=MANIFEST_FORMATS,
            document_type=ANY_DOCUMENT,
            reference_ids=(tuple(f"{uid}^^^^{codes.REFERENCE_STUDY}" for uid in studies),),
        )
        found = await self._registry.query(query)
        # a registry may take the value for a pattern, or may not know the parameter formatCode
        return [
            other
            for other in found.entries
            if manifest_format(other) is manifest_format(entry)
            and any(r.type == codes.REFERENCE_STUDY and r.id in studies for r in other.reference_ids)
        ]

    async def remember(self, bundle: ProvideBundle, repository_unique_id: str | None) -> None:
        """Keep the manifests that were stored, so that their images can be asked for by study at once."""
        contents = {document.entry_uuid: document for document in bundle.documents}
        for entry in bundle.submission.entries:
            stored = replace(entry, repository_unique_id=repository_unique_id)
            wanted = WantedManifest.of(stored) if manifest_format(entry) is not None else None
            reader = self._readers.get(_bare(entry.mime_type))
            if wanted is None or reader is None or entry.entry_uuid not in contents:
                continue
            try:
                read = reader(contents[entry.entry_uuid].content)
            except ManifestError:
                continue  # it was stored as it is, with a warning
            uid = read.manifest.study.study_instance_uid
            await self._store.remember(replace(wanted.key, study_instance_uid=uid), read)


class _Checking:
    """One Bundle."""

    def __init__(
        self,
        readers: Mapping[str, Reader],
        terminology: Terminology,
        policy: ManifestPolicy,
        bundle: ProvideBundle,
    ) -> None:
        self._readers = readers
        self._terminology = terminology
        self._policy = policy
        self._bundle = bundle
        self._contents = {document.entry_uuid: document for document in bundle.documents}
        self._positions = {
            planned.target: number
            for number, planned in enumerate(bundle.plan)
            if planned.kind is EntryKind.DOCUMENT
        }
        self._issues: list[Issue] = []
        self._entries: list[DocumentEntry] = []
        self._added: list[tuple[DocumentEntry, DocumentEntry]] = []

    def result(self) -> ProvideBundle:
        """The Bundle that is stored. Raises OutcomeError 422."""
        for entry in self._bundle.submission.entries:
            form = manifest_format(entry)
            document = self._contents.get(entry.entry_uuid)
            self._entries.append(entry if form is None or document is None else self._manifest(entry, form))
        if any(issue.severity == "error" for issue in self._issues):
            raise OutcomeError(422, self._issues)
        submission = self._bundle.submission
        made = [added for _, added in self._added]
        members = [_member(submission.submission_set.entry_uuid, added) for added in made]
        relations = [_association(codes.XFRM, added, of.entry_uuid) for of, added in self._added]
        return replace(
            self._bundle,
            submission=replace(
                submission,
                entries=(*self._entries, *made),
                associations=(*submission.associations, *members, *relations),
            ),
            documents=tuple(self._contents.values()),
            warnings=(*self._bundle.warnings, *self._issues),
        )

    def _manifest(self, entry: DocumentEntry, form: ManifestFormat) -> DocumentEntry:
        reader = self._readers.get(_bare(entry.mime_type))
        try:
            if reader is None:
                raise ManifestError("its contentType is none of those of manifests")
            read = reader(self._contents[entry.entry_uuid].content)
        except ManifestError as error:
            text = f"The document cannot be read as the imaging manifest that its format says: {error}."
            self._report(entry, Issue("error", "invalid", text, "DocumentReference.content"))
            return entry
        if (_bare(entry.mime_type) == ManifestFormat.KOS) is not (form is ManifestFormat.KOS):
            text = "contentType and format are those of different formats of manifests."
            self._report(entry, Issue("error", "business-rule", text, "DocumentReference.content"))
        self._report(entry, *check_entry_against_manifest(entry, read.manifest, form, self._policy.zone))
        self._report(entry, *map(_issue, _worst(read)))
        manifest = self._policy.accessions.completed(read.manifest, entry)
        entry = completed(entry, manifest, self._policy.zone)
        # FHIR has one system for the format codes of IHE, XDS has two
        return self._stored(replace(entry, format_code=form.code), manifest, form)

    def _stored(self, entry: DocumentEntry, manifest: Manifest, form: ManifestFormat) -> DocumentEntry:
        """The entry in the format to be stored; in both formats, that of the second is added."""
        if self._policy.publish == "kos" and form is ManifestFormat.FHIR:
            return self._put(entry, manifest, ManifestFormat.KOS)
        if self._policy.publish == "both":
            other = ManifestFormat.FHIR if form is ManifestFormat.KOS else ManifestFormat.KOS
            name = made_id(entry.entry_uuid, entry.unique_id, other.value)
            number = int(name.replace("-", ""), 16)
            added = replace(entry, entry_uuid=f"urn:uuid:{name}", unique_id=f"2.25.{number}")
            self._added.append((entry, self._put(added, manifest, other)))
        return entry

    def _put(self, entry: DocumentEntry, manifest: Manifest, form: ManifestFormat) -> DocumentEntry:
        """Write the manifest as the document of an entry."""
        if is_oid(entry.unique_id):
            # the uniqueId of a manifest is its SOP Instance UID
            manifest = replace(manifest, sop_instance_uid=entry.unique_id)
        if form is ManifestFormat.KOS:
            content = write_kos(manifest, dialect=self._policy.dialect)
        else:
            made = entry.creation_time
            assembled = dtm_start(made) if made and is_dtm(made) else datetime.now(UTC)
            context = ManifestContext(
                self._terminology, assembled, default_zone=self._policy.zone, patient=entry.patient_id
            )
            content = manifest_bundle_bytes(manifest, context)
        # the hash of the standard is SHA-1
        sha1 = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        self._contents[entry.entry_uuid] = ProvidedDocument(
            entry.entry_uuid, form.value, content, sha1, len(content)
        )
        return replace(
            entry, mime_type=form.value, format_code=form.code, hash=sha1, size=len(content), uri=None
        )

    def _report(self, entry: DocumentEntry, *issues: Issue) -> None:
        """Issues about an entry, at the place where the request has it."""
        position = self._positions.get(entry.entry_uuid)
        for issue in issues:
            place = issue.expression or "DocumentReference"
            if position is not None:
                place = place.replace("DocumentReference", f"Bundle.entry[{position}].resource", 1)
            severity = issue.severity
            if severity == "error" and not self._policy.strict:
                severity = "warning"
            self._issues.append(replace(issue, severity=severity, expression=place))


def _worst(read: ReadManifest) -> list[Finding]:
    """Findings, each rule once, the severe ones first."""
    by_rule = {finding.rule: finding for finding in reversed(read.findings)}
    in_order = sorted(by_rule.values(), key=lambda f: (f.severity is Severity.INFORMATION, f.rule))
    return in_order[:_MOST_FINDINGS]


def _issue(finding: Finding) -> Issue:
    severity = "information" if finding.severity is Severity.INFORMATION else "warning"
    text = f"The manifest deviates at {finding.place}: {finding.text}"
    return Issue(severity, "business-rule", text, "DocumentReference.content")


def _bare(mime_type: str) -> str:
    return mime_type.partition(";")[0].strip().lower()


def _association(kind: str, source: DocumentEntry, target: str) -> Association:
    return Association(
        entry_uuid=f"urn:uuid:{made_id(kind, source.entry_uuid, target)}",
        type=kind,
        source=source.entry_uuid,
        target=target,
    )


def _member(submission_set: str, entry: DocumentEntry) -> Association:
    return Association(
        entry_uuid=f"urn:uuid:{made_id(submission_set, entry.entry_uuid)}",
        type=codes.HAS_MEMBER,
        source=submission_set,
        target=entry.entry_uuid,
        submission_set_status="Original",
    )
