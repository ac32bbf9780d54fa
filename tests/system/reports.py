"""Reports of the sample generator as documents to publish, for tests over the whole stack."""

from typing import Any

from gateway.demo.report_documents import order_of, report_document
from gateway.demo.report_parts import ReportOrder, ReportStudy
from gateway.demo.reports import study_of
from gateway.demo.samples import IdSource, SampleDocument, SamplePatient


def a_report(
    kind: str,
    patient: SamplePatient,
    order: ReportOrder,
    study: ReportStudy | None = None,
    *,
    seed: str = "",
    **values: Any,
) -> SampleDocument:
    """A report of a kind (`foot`, `cardiac`, `minimal`), with what `report_document` takes besides."""
    ids = IdSource(f"report {kind} {patient.id} {seed}")
    return report_document(kind, ids, patient, order, study, **values)


__all__ = ["a_report", "order_of", "study_of"]
