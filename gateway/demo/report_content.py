"""Reports about the patient of the sample content: each format in FHIR R4 and R5, one about its CT study."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.demo.content import READER, SampleContent
from gateway.demo.report_parts import ReportOrder
from gateway.demo.reports import WRITERS, ReportCase, foot_study, study_of
from gateway.demo.samples import ACCESSION_AUTHORITY, ORGANIZATION, IdSource
from gateway.model.releases import FhirRelease

LINKED = "cardiac"
"""The report about the CT study, which the manifest lists."""


@dataclass(frozen=True, slots=True)
class SampleReport:
    """A report as it is published. `content_type` says the release too."""

    kind: str
    release: FhirRelease
    case: ReportCase
    content: bytes

    @property
    def content_type(self) -> str:
        """Media type with the release."""
        return f"application/fhir+json;fhirVersion={self.release}"


def sample_reports(content: SampleContent) -> Iterator[SampleReport]:
    """Every sample report about the patient of `content`; the same content gives the same bytes."""
    for kind, write in WRITERS.items():
        for release in FhirRelease:
            ids = IdSource(f"{content.report.unique_id} {kind} {release}")
            linked = kind == LINKED
            accession = content.accession.value if linked else f"A{ids.number(9)}"
            case = ReportCase(
                identifier=ids.oid(2),
                patient=content.patient,
                author=READER,
                order=ReportOrder(accession, ACCESSION_AUTHORITY, f"P{ids.number(8)}", ORGANIZATION),
                study=study_of(content.images) if linked else foot_study(ids),
                written="2025-05-08T10:00:00+02:00",
            )
            yield SampleReport(kind, release, case, write(release, ids, case))
