"""Sample content is valid in the terms of each format and the same for the same seed."""

import re
from base64 import b64decode
from io import BytesIO

import orjson
import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle
from lxml import etree

from gateway.demo.content import SampleContent, SampleDocument, sample_content
from gateway.demo.ct_study import KOS_CLASS
from gateway.demo.pdf import write_pdf
from gateway.dicom.kos_reader import read_kos
from gateway.fhir.report_read import read_report_bundle
from gateway.fhir.terminology import Terminology
from gateway.model import codes

CDA = {"c": "urn:hl7-org:v3"}


@pytest.fixture(scope="module")
def content() -> SampleContent:
    return sample_content("test")


def test_the_same_seed_gives_the_same_bytes(content: SampleContent) -> None:
    assert sample_content("test") == content


def test_another_seed_shares_no_identity(content: SampleContent) -> None:
    other = sample_content("other")
    for name in ("report", "discharge", "manifest", "corrected_report", "other_report", "folder"):
        assert getattr(other, name).unique_id != getattr(content, name).unique_id
    assert other.accession.value != content.accession.value


def test_oids_are_under_the_example_arc(content: SampleContent) -> None:
    for document in (content.report, content.manifest, content.corrected_report):
        assert re.fullmatch(r"2\.999(\.(0|[1-9]\d*))+", document.unique_id)
        assert len(document.unique_id) <= 64
    assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", content.discharge.unique_id)


def _pdf_of(document: SampleDocument) -> bytes:
    bundle = orjson.loads(document.content)
    report = next(
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DiagnosticReport"
    )
    return b64decode(report["presentedForm"][0]["data"])


def test_the_report_is_a_fhir_document_about_the_same_study(content: SampleContent) -> None:
    Bundle.model_validate_json(content.report.content)
    bundle = orjson.loads(content.report.content)
    assert bundle["type"] == "document"
    assert bundle["identifier"]["value"] == f"urn:oid:{content.report.unique_id}"
    assert bundle["entry"][0]["resource"]["resourceType"] == "Composition"
    urls = {entry["fullUrl"] for entry in bundle["entry"]}
    used = set(re.findall(rb'"reference": "(urn:uuid:[^"]+)"', content.report.content))
    assert {url.decode() for url in used} <= urls
    assert content.accession.value.encode() in content.report.content
    assert content.study.value.encode() in content.report.content


def test_the_report_keeps_every_rule_of_the_guide(content: SampleContent) -> None:
    for document in (content.report, content.corrected_report, content.other_report):
        assert read_report_bundle(orjson.loads(document.content), Terminology()).findings == ()


def test_the_report_embeds_a_pdf_whose_cross_references_are_right(content: SampleContent) -> None:
    pdf = _pdf_of(content.report)
    assert pdf.startswith(b"%PDF-1.4\n")
    assert pdf.endswith(b"%%EOF\n")
    start = int(re.search(rb"startxref\n(\d+)\n", pdf)[1])
    table = pdf[start:].split(b"\n")
    assert table[0] == b"xref"
    count = int(table[1].split()[1])
    for number in range(1, count):
        offset = int(table[2 + number].split()[0])
        assert pdf[offset:].startswith(b"%d 0 obj\n" % number)
    length = int(re.search(rb"/Length (\d+)", pdf)[1])
    stream = pdf[pdf.index(b"stream\n") + 7 :]
    assert stream[length:].startswith(b"\nendstream")


def test_a_pdf_escapes_its_delimiters_and_refuses_more_lines_than_a_page_holds() -> None:
    assert rb"(a \(b\) \\ c) Tj" in write_pdf("t", ["a (b) \\ c"])
    with pytest.raises(ValueError, match="45 lines"):
        write_pdf("t", ["x"] * 46)


def test_the_discharge_summary_is_a_cda_with_its_required_header(content: SampleContent) -> None:
    root = etree.fromstring(content.discharge.content)
    assert root.tag == "{urn:hl7-org:v3}ClinicalDocument"
    children = [etree.QName(child).localname for child in root]
    # sequence of POCD_MT000040.ClinicalDocument
    assert children == [
        "typeId",
        "id",
        "code",
        "title",
        "effectiveTime",
        "confidentialityCode",
        "languageCode",
        "recordTarget",
        "author",
        "custodian",
        "component",
    ]
    assert root.xpath("string(c:recordTarget/c:patientRole/c:id/@extension)", namespaces=CDA) == "DEMO-1"
    assert root.xpath("//c:section/c:text/c:paragraph", namespaces=CDA)


def test_the_manifest_is_a_kos_of_the_reports_study_with_all_series(content: SampleContent) -> None:
    kos = pydicom.dcmread(BytesIO(content.manifest.content))
    assert kos.file_meta.MediaStorageSOPClassUID == KOS_CLASS
    assert kos.SOPInstanceUID == kos.file_meta.MediaStorageSOPInstanceUID == content.manifest.unique_id
    assert kos.Modality == "KO"
    assert kos.AccessionNumber == content.accession.value
    assert kos.IssuerOfAccessionNumberSequence[0].UniversalEntityID == content.accession.authority
    assert kos.ReferencedRequestSequence[0].AccessionNumber == content.accession.value
    (study,) = kos.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == kos.StudyInstanceUID == content.study.value
    made = content.images.series
    assert [s.SeriesInstanceUID for s in study.ReferencedSeriesSequence] == [
        s.series_instance_uid for s in made
    ]
    assert [s.RetrieveLocationUID for s in study.ReferencedSeriesSequence] == [s.location_uid for s in made]
    listed = []
    for series in study.ReferencedSeriesSequence:
        assert series.SeriesInstanceUID.is_valid
        listed += [image.ReferencedSOPInstanceUID for image in series.ReferencedSOPSequence]
    shown = [
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in kos.ContentSequence
        if "ReferencedSOPSequence" in item
    ]
    assert shown == listed
    assert listed == [image.sop_instance_uid for series in made for image in series.images]
    assert len(set(listed)) == len(listed)


def test_the_manifest_is_read_without_a_finding_and_says_what_the_study_is(content: SampleContent) -> None:
    read = read_kos(content.manifest.content)
    study = read.manifest.study
    assert read.findings == ()
    assert [code.code for code in study.all_modalities] == ["CT", "KO"]
    assert [code.code for code in study.regions] == ["51185008"]
    assert [request.accession.value for request in study.requests if request.accession] == [
        content.accession.value
    ]
    assert [s.description for s in study.series] == [s.description for s in content.images.series]
    assert study.series[-1].instances[0].title is not None


def test_report_and_manifest_carry_accession_with_authority_and_the_study_uid(content: SampleContent) -> None:
    for document in (content.report, content.manifest):
        types = {reference.type: reference for reference in document.reference_ids}
        assert types[codes.REFERENCE_ACCESSION].authority == "2.999.1.3"
        assert types[codes.REFERENCE_STUDY].identifier["system"] == "urn:dicom:uid"
