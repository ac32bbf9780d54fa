"""An imaging report says the same in FHIR R4 and R5, in JSON and XML, under whatever canonicals."""

import copy
import json
from pathlib import Path

import orjson
import pytest
from fhir.resources.bundle import Bundle as R5Bundle
from fhir.resources.R4B.bundle import Bundle as R4Bundle
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.fhir.formats import FhirFormat
from gateway.fhir.report_metadata import derive_report_metadata, unique_id_of
from gateway.fhir.report_read import NotAReportError, is_report_bundle, read_report, read_report_bundle
from gateway.fhir.xml_writer import write_xml
from gateway.model import Code, Organization
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import IssuedId, Issuer
from gateway.model.releases import FhirRelease
from gateway.model.report import ReportFormat
from tests.fhir.report_samples import ALL, KINDS, TERMINOLOGY, findings, read, report, report_bytes, resource

ORACLE = Path(__file__).resolve().parents[3] / "shared/oracle/profiles"
EXAMPLES = sorted(ORACLE.glob("r[45]/hl7.fhir.eu.imaging*/examples/Bundle-*.json"))


@pytest.mark.parametrize(("kind", "release"), ALL)
def test_a_sample_report_keeps_every_rule(kind, release):
    got = read(report(kind, release))
    assert got.findings == ()
    assert got.summary.release is release
    assert is_report_bundle(report(kind, release))


@pytest.mark.parametrize("kind", KINDS)
def test_both_releases_say_the_same(kind):
    older, newer = (read(report(kind, release)).summary for release in FhirRelease)
    assert replace(older, release=FhirRelease.R5) == newer


@pytest.mark.parametrize(("kind", "release"), ALL)
def test_xml_says_the_same_as_json(kind, release):
    raw = report_bytes(kind, release)
    xml = write_xml(orjson.loads(raw), release=release)
    assert read_report(xml, TERMINOLOGY, FhirFormat.XML) == read_report(raw, TERMINOLOGY)


def test_a_structured_report_in_every_value():
    summary = read(report("cardiac")).summary
    assert summary.format is ReportFormat.DOCUMENT
    assert summary.study_uids == ("2.999.3.77",)
    assert summary.accessions == (IssuedId("A123", Issuer(None, "2.999.1.3", "ISO")),)
    assert summary.placers == (IssuedId("P456", Issuer(None, "2.999.1.4", "ISO")),)
    assert [code.code for code in summary.modalities] == ["CT"]
    assert [code.code for code in summary.regions] == ["80891009"]
    assert summary.type == Code("58744-4", imaging.LOINC, "CT Heart")
    assert {code.code for code in summary.categories} == {"85430-7", "Medical-Imaging", "RAD"}
    assert summary.date == summary.issued == "20250508080000"
    assert (summary.service_start, summary.service_stop) == ("20250429071500", None)
    assert summary.confidentiality is not None and summary.confidentiality.code == "N"
    assert (summary.title, summary.language, summary.version) == ("CT of the heart", "en", "1")
    person, institution = summary.authors
    assert person.person is not None and (person.person.family, person.person.id) == ("Sample", "S-100")
    assert institution.institutions == (Organization("Example Hospital", "2.999.1.4"),)
    assert summary.legal_authenticator is not None
    assert summary.legal_authenticator.time == "20250508080000"
    assert summary.custodian == Organization("Example Hospital", "2.999.1.4")
    assert summary.patient.birth_date == "19750412" and summary.patient.sex == "F"
    assert not summary.signed


def test_a_minimal_report_names_order_and_study_by_identifier():
    bundle = report("minimal")
    assert "ImagingStudy" not in {e["resource"]["resourceType"] for e in bundle["entry"]}
    summary = read(bundle).summary
    assert summary.format is ReportFormat.MINIMAL
    assert summary.study_uids == ("2.999.3.77",)
    assert summary.accessions == (IssuedId("A123", Issuer(None, "2.999.1.3", "ISO")),)
    assert summary.title == "Imaging report"


def test_a_study_for_comparison_is_not_one_of_the_report():
    bundle = report("foot")
    other = copy.deepcopy(resource(bundle, "ImagingStudy"))
    other["id"], other["identifier"][0]["value"] = "earlier", "urn:oid:2.999.3.1"
    other["modality"] = [{"system": imaging.LOINC, "code": "US"}]
    bundle["entry"].append({"fullUrl": "urn:uuid:00000000-0000-4000-8000-00000000000e", "resource": other})
    comparison = next(s for s in resource(bundle, "Composition")["section"] if s["title"] == "Comparison")
    comparison["entry"] = [{"reference": bundle["entry"][-1]["fullUrl"]}]
    got = read(bundle)
    assert got.findings == ()
    assert "2.999.3.1" not in got.summary.study_uids
    assert [code.code for code in got.summary.modalities] == ["MR"]


def test_a_recommended_examination_is_no_order_of_the_report():
    bundle = report("foot")
    later = copy.deepcopy(resource(bundle, "ServiceRequest"))
    later["id"] = "later"
    later["identifier"][0]["value"] = "A999"
    bundle["entry"].append({"fullUrl": "urn:uuid:00000000-0000-4000-8000-00000000000f", "resource": later})
    section = next(s for s in resource(bundle, "Composition")["section"] if s["title"] == "Recommendations")
    section["entry"] = [{"reference": bundle["entry"][-1]["fullUrl"]}]
    assert [issued.value for issued in read(bundle).summary.accessions] == ["A123"]


@pytest.mark.parametrize("release", FhirRelease)
def test_relations_to_other_reports(release):
    bundle = report("foot", release)
    other = {"system": "urn:oid:2.999.1", "value": "R-1"}
    composition = resource(bundle, "Composition")
    if release is FhirRelease.R4:
        composition["relatesTo"] = [{"code": "appends", "targetIdentifier": other}]
    else:
        composition["relatesTo"] = [{"type": "amends", "resourceReference": {"identifier": other}}]
    (relation,) = read(bundle).summary.relations
    assert relation.kind == "appends"
    assert relation.identifier == IssuedId("R-1", Issuer(None, "2.999.1", "ISO"))


def test_a_signed_report_is_known_as_such():
    bundle = report("foot")
    bundle["signature"] = {"type": [{"code": "1.2.840.10065.1.12.1.1"}], "when": "2025-05-08T10:00:00Z"}
    assert read(bundle).summary.signed


def test_former_canonicals_are_read():
    text = report_bytes("foot").decode().replace("/fhir/imaging/", "/fhir/imaging-r4/")
    got = read(json.loads(text))
    assert {finding.rule for finding in got.findings} == {"profile-legacy"}
    assert replace(got.summary) == read(report("foot")).summary


def test_a_time_without_zone_is_not_taken_for_utc():
    bundle = report("foot")
    resource(bundle, "Composition")["date"] = "2025-05-08T01:00:00"
    got = read(bundle)
    assert got.summary.date == "20250508"
    assert "time-zone-missing" in {finding.rule for finding in got.findings}


@pytest.mark.parametrize(
    "other",
    [
        None,
        [],
        {"resourceType": "Patient"},
        {"resourceType": "Bundle", "type": "document"},
        {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "ImagingStudy"}}]},
    ],
)
def test_what_is_no_report_ends_the_reading(other):
    assert not is_report_bundle(other)
    with pytest.raises(NotAReportError):
        read_report_bundle(other, TERMINOLOGY)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b'{"resourceType": "Bundle", "resourceType": "Bundle"}'])
def test_what_is_no_json_ends_the_reading(raw):
    with pytest.raises(NotAReportError):
        read_report(raw, TERMINOLOGY)


@pytest.mark.skipif(not EXAMPLES, reason="the guide's examples are not here")
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: f"{path.parts[-4]}-{path.stem}")
def test_the_examples_of_the_guide(path):
    bundle = json.loads(path.read_bytes())
    summary = read(bundle).summary
    broken = {rule for rule, _ in findings(bundle)}
    if "minimal" in path.stem:
        # their PDF is not among the entries, and the UID has no urn:oid:
        expected = {"attachment-dangling", "study-uid-prefix"}
        if path.parts[-4] == "r4":
            # nor is the organization, in R4
            expected.add("reference-dangling")
        assert broken == expected
        assert summary.format is ReportFormat.MINIMAL
        assert [issued.value for issued in summary.accessions] == ["ACC-123456789"]
    else:
        assert broken == set()
        assert summary.study_uids == ("1.2.276.2000010.784732", "1.2.276.2000010.784733")
        assert [code.code for code in summary.regions] == ["61685007"]
    assert summary.release is (FhirRelease.R4 if path.parts[-4] == "r4" else FhirRelease.R5)


def _paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))


PATHS = {sample: list(_paths(report(*sample)))[1:] for sample in ALL}
JUNK = st.sampled_from(
    [None, 0, -1, 2.5, True, "", " ", "x", [], {}, [None], [[]], [{}], ["x"], {"x": 1}, 10**20]
).map(copy.deepcopy)  # else what one example puts into a list is there in the next one


@given(st.sampled_from(ALL), st.data())
@settings(max_examples=300)
def test_no_value_in_any_place_stops_the_reader(sample, data):
    bundle = report(*sample)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(PATHS[sample]))
        held = bundle
        try:
            for key in path[:-1]:
                held = held[key]
            held[path[-1]] = data.draw(JUNK)
        except (KeyError, IndexError, TypeError):
            continue
    try:
        got = read(bundle)
    except NotAReportError:
        return
    unique_id_of(got.summary.document_id)
    derive_report_metadata(got.summary)


@pytest.mark.parametrize(("kind", "release"), ALL)
def test_sample_reports_are_accepted_by_the_models_of_their_release(kind, release):
    models = R5Bundle if release is FhirRelease.R5 else R4Bundle
    models.model_validate_json(report_bytes(kind, release))
