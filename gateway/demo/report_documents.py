"""Reports of the generator as documents to publish."""

from collections.abc import Callable

from gateway.demo.content import READER, SampleContent
from gateway.demo.report_parts import ReportOrder, ReportStudy
from gateway.demo.reports import WRITERS, ReportCase, foot_study
from gateway.demo.samples import LOINC, IdSource, SampleCode, SampleDocument, SamplePatient, SampleReferenceId
from gateway.dicom.kos_reader import read_kos
from gateway.fhir.report_terms import TERMS
from gateway.model import codes
from gateway.model import imaging_codes as imaging
from gateway.model.releases import FhirRelease

REPORT = SampleCode(LOINC, imaging.LOINC_IMAGING_REPORT, "Diagnostic imaging report")
IMAGING = SampleCode(imaging.EU_PRIORITY_CATEGORIES, imaging.MEDICAL_IMAGING, "Medical imaging")


def report_document(
    kind: str,
    ids: IdSource,
    patient: SamplePatient,
    order: ReportOrder,
    study: ReportStudy | None = None,
    *,
    release: FhirRelease = FhirRelease.R4,
    written: str = "2025-05-08T10:00:00+02:00",
    number: str = "R",
    content_type: str = "application/fhir+json",
    change: Callable[[bytes], bytes] = bytes,
) -> SampleDocument:
    """A report of a kind (`foot`, `cardiac`, `minimal`), by default on a study of its own.

    Versions of one report have one `number` and order. `change` gets the bytes and gives those that are
    published.
    """
    unique_id = ids.oid(2)
    bundle = "BundleReportMinimalMetadataEuImaging" if kind == "minimal" else "BundleReportEuImaging"
    case = ReportCase(
        identifier=unique_id,
        patient=patient,
        author=READER,
        order=order,
        study=study or foot_study(ids),
        written=written,
    )
    content = WRITERS[kind](release, ids, case).replace(b'"R-', f'"{number}-'.encode())
    return SampleDocument(
        unique_id=unique_id,
        content=change(content),
        content_type=content_type,
        title="Imaging report",
        type=REPORT,
        category=IMAGING,
        format=SampleCode(codes.URI_SYSTEM, TERMS[release].structures + bundle, "EU imaging report"),
        reference_ids=(
            SampleReferenceId(value=case.study.uid, type=codes.REFERENCE_STUDY),
            SampleReferenceId(
                value=order.accession, type=codes.REFERENCE_ACCESSION, authority=order.accession_authority
            ),
            SampleReferenceId(
                value=order.placer, type=codes.REFERENCE_ORDER, authority=order.placer_authority
            ),
        ),
        creation=written,
    )


def order_of(content: SampleContent) -> ReportOrder:
    """The order of the sample study, as its manifest names it."""
    (request,) = read_kos(content.manifest.content).manifest.study.requests
    placer = request.placer
    if placer is None or placer.issuer is None or placer.issuer.universal_id is None:
        raise ValueError("the sample manifest names no placer order")
    images = content.images
    return ReportOrder(images.accession, images.accession_authority, placer.value, placer.issuer.universal_id)
