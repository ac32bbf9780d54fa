"""Sample reports: the same for the same content, valid in their release, and one of them about the CT study."""

import orjson
import pytest
from fhir.resources.bundle import Bundle as R5Bundle
from fhir.resources.R4B.bundle import Bundle as R4Bundle

from gateway.demo.content import sample_content
from gateway.demo.report_content import LINKED, sample_reports
from gateway.dicom.kos_reader import read_kos
from gateway.fhir.report_read import read_report
from gateway.fhir.terminology import Terminology
from gateway.model.releases import FhirRelease

CONTENT = sample_content("test")
REPORTS = tuple(sample_reports(CONTENT))


def label(report):
    return f"{report.kind}-{report.release}"


def test_the_same_content_gives_the_same_reports():
    assert tuple(sample_reports(sample_content("test"))) == REPORTS
    assert len({report.case.identifier for report in REPORTS}) == len(REPORTS) == 6


@pytest.mark.parametrize("report", REPORTS, ids=label)
def test_a_report_keeps_the_guide_and_the_models_of_its_release(report):
    (R5Bundle if report.release is FhirRelease.R5 else R4Bundle).model_validate_json(report.content)
    read = read_report(report.content, Terminology())
    assert read.findings == ()
    assert read.summary.release is report.release


def test_a_report_about_the_ct_study_names_its_instances():
    manifest = read_kos(CONTENT.manifest.content).manifest.study
    instances = {i.sop_instance_uid for series in manifest.series for i in series.instances}
    for report in (report for report in REPORTS if report.kind == LINKED):
        summary = read_report(report.content, Terminology()).summary
        assert summary.study_uids == (manifest.study_instance_uid,)
        assert {a.value for a in summary.accessions} == {
            r.accession.value for r in manifest.requests if r.accession
        }
        text = orjson.dumps(orjson.loads(report.content)).decode()
        named = [uid for uid in instances if uid in text]
        assert len(named) > 2, "its series and key images"
