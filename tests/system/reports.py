"""Reports of the sample generator as documents to publish, for tests over the whole stack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.demo.bundles import provide_bundle
from gateway.demo.report_documents import order_of, report_document
from gateway.demo.report_parts import ReportOrder, ReportStudy
from gateway.demo.reports import study_of
from gateway.demo.samples import ORGANIZATION, IdSource, SampleDocument, SamplePatient

from .imaging import published_study


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


FOOT = ReportOrder("FOOT-1", ORGANIZATION, "P-FOOT", ORGANIZATION)


@asynccontextmanager
async def published_reports(state_dir: Path, name: str) -> AsyncIterator[Any]:
    """A running gateway with three reports of a patient: of a study with images, of an order alone, and a minimal one."""
    async with published_study(state_dir, name) as running:
        patient, images = running.content.patient, running.content.images
        order, study = order_of(running.content), study_of(images)
        running.documents = {
            "cardiac": a_report("cardiac", patient, order, study),
            "foot": a_report("foot", patient, FOOT, written="2025-06-01T10:00:00+02:00"),
            "minimal": a_report(
                "minimal", patient, order, study, written="2025-07-01T10:00:00+02:00", number="MINIMAL"
            ),
        }
        status, answer = await running.stack.publish(
            provide_bundle(list(running.documents.values()), patient=patient)
        )
        assert status == 200, answer
        yield running


__all__ = ["FOOT", "a_report", "order_of", "published_reports", "study_of"]
