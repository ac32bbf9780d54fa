"""Searches and reads of the resources that manifests and reports of a patient give."""

from collections.abc import Mapping, Sequence
from datetime import UTC
from functools import partial

from gateway.correlation.answers import AnswerStore
from gateway.correlation.patient_names import PatientIndex
from gateway.correlation.reports import ReportStore
from gateway.fhir.formats import FhirFormat
from gateway.fhir.report_entries import NotABundle, read_bundle, read_report_entries
from gateway.imaging.patient_directory import PatientDirectory, PatientNotes
from gateway.imaging.patient_imaging import Note, PatientImaging
from gateway.imaging.remembered_answers import RememberedAnswers
from gateway.imaging.report_documents import BundleReader, ReportDocuments
from gateway.imaging.reports import ReportError, ReportReader, Reports
from gateway.imaging.resource_kinds import Identities, ResourceReader, kinds
from gateway.imaging.resource_routes import ImagingRoutes
from gateway.imaging.resource_search import ImagingServices, ResourceSearch
from gateway.imaging.shelf import Shelf, ShelfServices
from gateway.mhd.bases import Base
from gateway.mhd.document_provenances import DocumentProvenances
from gateway.mhd.references import PatientReferences
from gateway.mhd.retrieve import Retriever
from gateway.model import DocumentEntry
from gateway.model.releases import FhirRelease
from gateway.model.report_entries import ReportEntries
from gateway.security.document_urls import PageTokens
from gateway.security.report_ids import ReportIds
from gateway.settings import Settings
from gateway.wiring.bases import scope_of
from gateway.wiring.domain import own_registry
from gateway.wiring.fan_out import every_place, every_registry
from gateway.wiring.fhir import patient_references, search_context, terminology
from gateway.wiring.imaging import (
    ImagingParts,
    every_location,
    imaging_zone,
    manifests,
    offered_manifests,
    study_finder,
    study_names,
)
from gateway.wiring.patient_manager import named_patients


def imaging_resources(
    settings: Settings,
    parts: ImagingParts,
    retriever: Retriever,
    base: Base,
    release: FhirRelease,
) -> ImagingRoutes:
    """Searches and reads of every type of imaging resource that `release` has."""
    base_url, scope = base.url, scope_of(base, release)
    terms = terminology(settings)
    references = patient_references(parts.ring, terms, base_url, parts.communities)
    zone = imaging_zone(settings)
    names = study_names(settings, parts, every_location(settings, parts), base_url)
    identities = Identities(names, ReportIds(parts.ring), parts.communities.own_home)
    patients = patient_imaging(settings, parts)
    shelves = ShelfServices(names, identities.reports, terms, references, zone, base_url, release)
    services = ImagingServices(
        patients,
        shelves,
        DocumentProvenances(every_registry(settings, parts), offered_manifests(settings, parts), terms),
        search_context(settings, terms, references, base_url, parts.communities),
        settings.search.max_results,
        named_patients(settings, parts, references),
    )
    shelf = partial(Shelf, shelves)
    return ImagingRoutes(
        {
            name: ResourceSearch(kind, services, PageTokens(parts.ring, f"{name}{scope}"))
            for name, kind in kinds(identities, zone or UTC, release).items()
        },
        ResourceReader(identities, patients, shelf),
        ReportDocuments(identities, patients, shelf, retriever, _BUNDLES),
        release,
    )


def patient_imaging(settings: Settings, parts: ImagingParts) -> PatientImaging:
    """What opens the documents of patients."""
    found, _ = manifests(settings, parts)
    return PatientImaging(
        RememberedAnswers(every_registry(settings, parts), registry_answers(settings, parts)),
        study_finder(settings, parts, found),
        reports(settings, parts),
        patient_notes(settings, parts).of_entries,
    )


def registry_answers(settings: Settings, parts: ImagingParts) -> AnswerStore:
    """What the registry said a moment ago."""
    return AnswerStore(parts.store, settings.lifetimes.registry_answer)


def stored_note(settings: Settings, parts: ImagingParts) -> Note:
    """What is told of the documents that were stored."""
    answers, notes = registry_answers(settings, parts), patient_notes(settings, parts)

    async def note(entries: Sequence[DocumentEntry]) -> None:
        for patient in {entry.patient_id for entry in entries if entry.patient_id is not None}:
            await answers.forget(patient)
        await notes.of_entries(entries)

    return note


def patient_notes(settings: Settings, parts: ImagingParts) -> PatientNotes:
    """What remembers of whom documents were seen."""
    return PatientNotes(PatientIndex(parts.store, settings.lifetimes.manifest), terminology(settings))


def patient_directory(
    settings: Settings, parts: ImagingParts, references: PatientReferences
) -> PatientDirectory:
    """Patients by identifier and by what they are called."""
    return PatientDirectory(
        own_registry(settings, parts),
        patient_imaging(settings, parts),
        patient_notes(settings, parts),
        terminology(settings),
        references.logical_id,
    )


def reports(settings: Settings, parts: ImagingParts) -> Reports:
    """Reports of the domain."""
    return Reports(
        every_place(settings, parts),
        ReportStore(parts.store, settings.lifetimes.manifest),
        _READERS,
        max_bytes=settings.imaging.max_manifest_bytes,
    )


def _read(form: FhirFormat, content: bytes) -> ReportEntries:
    try:
        return read_report_entries(content, form)
    except NotABundle as error:
        raise ReportError(str(error)) from None


_READERS: Mapping[str, ReportReader] = {str(form): partial(_read, form) for form in FhirFormat}
_BUNDLES: Mapping[str, BundleReader] = {
    str(form): partial(read_bundle, wire_format=form) for form in FhirFormat
}
