"""Provide Document Bundle, request of ITI-65 -> submission of ITI-41
(IHE MHD 4.2.4 3.65; ITI TF-2 3.41).

First the Bundle has to be FHIR (400), then it has to keep the rules of the transaction (422). Every finding
of a stage is reported. All ids that the client leaves open follow from the content of the Bundle, so the
same Bundle makes the same submission, whatever its white space, the order of its properties, or the labels
that its entries have for each other.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from gateway.fhir.claimed_releases import check_claimed_release
from gateway.fhir.datatypes import Json
from gateway.fhir.findings import Findings
from gateway.fhir.formats import FhirFormat, read_resource
from gateway.fhir.issues import Issue, fail
from gateway.fhir.provide_bundle_associations import referred_unique_ids
from gateway.fhir.provide_bundle_digest import content_digest
from gateway.fhir.provide_bundle_documents import AttachmentReader, Unreachable, decode_binaries, hosted_urls
from gateway.fhir.provide_bundle_entries import BundleIndex, read_entries
from gateway.fhir.provide_bundle_fhir_documents import check_fhir_document, serialise_documents
from gateway.fhir.provide_bundle_folders import NO_FOLDERS, Folders, updated_folders
from gateway.fhir.provide_bundle_reading import BundleReading
from gateway.fhir.provide_bundle_references import (
    OutsideReference,
    contain_outside,
    contain_patient_entries,
    name_own_patients,
    outside_references,
    urls_to_fetch,
)
from gateway.fhir.provide_bundle_subjects import strangers
from gateway.fhir.provide_context import NOTHING_ELSEWHERE, Elsewhere, ProvideBundle, ProvideContext
from gateway.fhir.provide_policy import mend_identifiers
from gateway.fhir.provide_profiles import MetadataLevel
from gateway.fhir.provide_reports import ProvidedReport, reports_of
from gateway.fhir.provide_rules import check_bundle
from gateway.fhir.received import received, with_own_urls
from gateway.fhir.validation import is_resource_type, validate_resource
from gateway.model.identity import SourceIdentifier
from gateway.model.releases import FhirRelease

_VALIDATED: Final = frozenset({"List", "DocumentReference", "Binary", "Parameters", "Patient"})


@dataclass(frozen=True, slots=True)
class OpenedBundle:
    """A Bundle that is FHIR and whose entries were looked at one by one.

    `outside` are references to other servers, `updates` the entryUUIDs of Folders that the Bundle adds to,
    `lookups` uniqueIds of documents that it refers to, `hosted` URLs of documents that other servers hold;
    what they lead to is wanted for `read`. `strangers` are patients as other domains name them, `reports`
    imaging reports among the documents, by position of
    their DocumentReference. `size` is that of the request in bytes.
    """

    index: BundleIndex
    attachments: AttachmentReader
    context: ProvideContext
    findings: Findings
    level: MetadataLevel
    reports: Mapping[int, ProvidedReport]
    digest: str
    outside: tuple[OutsideReference, ...]
    updates: tuple[str, ...]
    lookups: tuple[str, ...]
    hosted: tuple[str, ...]
    strangers: tuple[SourceIdentifier, ...]
    size: int

    @property
    def asks_others(self) -> bool:
        """True where `read` needs what other servers hold."""
        return bool(self.outside or self.updates or self.lookups or self.hosted or self.strangers)

    def read(self, elsewhere: Elsewhere = NOTHING_ELSEWHERE) -> ProvideBundle:
        """The submission; once only.

        Raises OutcomeError 422 with every rule that is broken; where there is none, 412 for a Folder in
        another version and 409 for one that would lose documents.
        """
        contain_outside(self.outside, elsewhere.fetched, self.findings)
        self.index.registered.update(elsewhere.registered)
        self.attachments.hosted = elsewhere.hosted
        return BundleReading(
            index=self.index,
            attachments=self.attachments,
            context=self.context,
            level=self.level,
            reports=self.reports,
            digest=self.digest,
            folders=elsewhere.folders,
            findings=self.findings,
            strangers=elsewhere.strangers,
        ).read()


def open_provide_bundle(raw: bytes, context: ProvideContext, wire_format: FhirFormat) -> OpenedBundle:
    """Read a request body as far as it goes without other servers.

    Raises OutcomeError: 413 above `max_bytes`, 400 where it is not FHIR.
    """
    if len(raw) > context.max_bytes:
        raise fail(413, "too-long", f"The Bundle has more than {context.max_bytes} bytes.")
    release = context.release
    bundle = read_resource(raw, wire_format, "Bundle", release)
    findings = Findings()
    _validate(bundle, findings, release)
    check_claimed_release(bundle, "Bundle", findings, release)
    findings.raise_errors(400, as_sent=True)
    if release is not FhirRelease.R4:
        bundle = received(bundle, release, "Bundle", findings)
        _validate(bundle, findings, FhirRelease.R4, documents=False)
        findings.raise_errors(400)
    bundle = with_own_urls(bundle, context.base_url, context.bases)
    index = BundleIndex(read_entries(bundle), context.base_url)
    contents = decode_binaries(index, findings) | serialise_documents(raw, wire_format, index)
    findings.raise_errors(400)
    digest = content_digest(bundle.get("entry") or (), index.entries, contents)
    size = len(raw)
    return open_entries(
        bundle,
        index,
        contents,
        context,
        digest=digest,
        wire_format=wire_format,
        size=size,
        losses=findings.warnings,
    )


def open_entries(
    bundle: Json,
    index: BundleIndex,
    contents: Mapping[int, bytes],
    context: ProvideContext,
    *,
    digest: str,
    wire_format: FhirFormat,
    size: int,
    losses: Iterable[Issue] = (),
) -> OpenedBundle:
    """Look at the entries of a Bundle that is FHIR; `contents` are its documents by position.

    `losses` are what R4 has no place for in a Bundle of another release.
    """
    findings, policy = Findings(), context.policy
    findings.warnings.extend(losses)
    if policy.older_clients:
        mend_identifiers(index, findings)
    reports = reports_of(index, contents, wire_format, context.terminology, context.tables)
    level = check_bundle(
        bundle,
        index,
        findings,
        limited_metadata=policy.limited_metadata,
        said={number: report.elements for number, report in reports.items()},
    )
    outside: tuple[OutsideReference, ...] = ()
    if not level.contained_only:
        contain_patient_entries(index)
        name_own_patients(index, context.patient_of, context.terminology)
        outside = outside_references(index, context.directory)
    return OpenedBundle(
        index=index,
        attachments=AttachmentReader(index, contents, wire_format, findings),
        context=context,
        findings=findings,
        level=level,
        reports=reports,
        digest=digest,
        outside=outside,
        updates=updated_folders(index) if policy.takes("folders") else (),
        lookups=referred_unique_ids(index),
        hosted=hosted_urls(index),
        strangers=strangers(index, context.patient_of, context.terminology, context.domain),
        size=size,
    )


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
    return opened.read(Elsewhere(dict.fromkeys(urls_to_fetch(opened.outside), nothing), folders))


def _validate(
    bundle: Json, findings: Findings, release: FhirRelease = FhirRelease.R4, *, documents: bool = True
) -> None:
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
                place = f"Bundle.entry[{number}].resource"
                _validate_entry(entry["resource"], place, findings, release, documents=documents)
    validate_resource(outline, "Bundle", findings, release)


def _validate_entry(
    resource: object, path: str, findings: Findings, release: FhirRelease, *, documents: bool
) -> None:
    if not isinstance(resource, dict) or not is_resource_type(resource.get("resourceType"), release):
        findings.error(path, "structure", f"This is not a resource that FHIR {release.name} defines.")
        return
    if resource["resourceType"] == "Bundle":
        if documents:
            check_fhir_document(resource, path, findings, release)
    elif resource["resourceType"] in _VALIDATED:
        if resource["resourceType"] == "Binary":
            resource = {name: value for name, value in resource.items() if name != "data"}
        validate_resource(resource, path, findings, release)
