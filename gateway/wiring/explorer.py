"""The correlation explorer of the console, over what clients retrieve by."""

from collections.abc import Sequence

from gateway.console.explore_routes import ExplorerPages, PatientOf
from gateway.console.exploring import Explorer, ImagingStudyOf, Looks, Retrieving, Writing
from gateway.fhir.datatypes import Json
from gateway.fhir.document_reference import WriteContext
from gateway.fhir.search_tokens import read_patient_identifier
from gateway.fhir.search_values import SearchProblem
from gateway.imaging.archive_views import ArchiveViews
from gateway.imaging.patient_imaging import Gathered
from gateway.imaging.retrieve import ImageRetriever, RetrievePolicy
from gateway.imaging.shelf import Shelf, ShelfServices
from gateway.mhd.references import document_urls
from gateway.model import Cx, DocumentEntry
from gateway.security.document_urls import DocumentTokens
from gateway.security.report_ids import ReportIds
from gateway.security.study_urls import StudyTokens
from gateway.settings import Settings
from gateway.trace.tracer import Tracer
from gateway.wiring.fan_out import every_registry
from gateway.wiring.fhir import patient_references, terminology
from gateway.wiring.imaging import (
    every_location,
    image_grants,
    imaging_view,
    imaging_zone,
    manifests,
    study_finder,
    study_names,
)
from gateway.wiring.mhd import document_retriever
from gateway.wiring.parts import Parts
from gateway.wiring.trace import reached


def explorer_pages(settings: Settings, parts: Parts, base_url: str) -> ExplorerPages:
    """The pages; `base_url` is the FHIR base that addresses in resources have."""
    imaging = parts.imaging
    found, _ = manifests(settings, imaging)
    places = every_location(settings, imaging)
    tokens = DocumentTokens(parts.ring)
    retrieving = Retrieving(
        grants=image_grants(settings, imaging),
        images=ImageRetriever(
            places,
            RetrievePolicy(
                status_wait=settings.imaging.status_wait, spool_bytes=settings.imaging.spool_bytes
            ),
        ),
        documents=document_retriever(settings, parts, base_url),
        views=ArchiveViews(places, max_bytes=settings.imaging.max_metadata_bytes),
        study_tokens=StudyTokens(parts.ring),
        document_tokens=tokens,
    )
    terms = terminology(settings)
    explorer = Explorer(
        Tracer(reached(settings, parts), retrieve=False),
        every_registry(settings, parts),
        found,
        retrieving,
        Writing(
            WriteContext(
                terminology=terms,
                base_url=base_url,
                document_url=document_urls(tokens, base_url),
                patient_reference=patient_references(parts.ring, terms, base_url).of,
                imaging=imaging_view(settings),
            ),
            _imaging_study(settings, parts, base_url),
        ),
    )
    return ExplorerPages(explorer, Looks(parts.ring), _patients(settings))


def _imaging_study(settings: Settings, parts: Parts, base_url: str) -> ImagingStudyOf:
    imaging = parts.imaging
    found, _ = manifests(settings, imaging)
    finder = study_finder(settings, imaging, found)
    terms = terminology(settings)
    names = study_names(settings, imaging, every_location(settings, imaging), base_url)
    services = ShelfServices(
        names,
        ReportIds(parts.ring),
        terms,
        patient_references(parts.ring, terms, base_url),
        imaging_zone(settings),
        base_url,
    )

    async def study_of(entry: DocumentEntry) -> Json | None:
        studies, _ = await finder.of_entries([entry])
        shelf = Shelf(services)
        await shelf.add(Gathered(studies=studies, entries=(entry,)))
        written: Sequence[Json] = [r for each in shelf.found for r in shelf.resources(each, "ImagingStudy")]
        return written[0] if written else None

    return study_of


def _patients(settings: Settings) -> PatientOf:
    terms = terminology(settings)

    def patient_of(text: str) -> Cx:
        try:
            return read_patient_identifier(text, "patient", terms)
        except SearchProblem as problem:
            raise ValueError(problem.issue.diagnostics) from None

    return patient_of
