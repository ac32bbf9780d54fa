"""Searches over the manifests of a patient: each parameter, each spelling, alone and combined."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from gateway.fhir.found_study import FoundStudy
from gateway.fhir.imaging_includes import Step
from gateway.fhir.issues import OutcomeError
from gateway.fhir.search_request import SearchContext
from gateway.fhir.study_parameters import STUDY_PARAMETERS
from gateway.fhir.study_search import (
    endpoints_of,
    parse_endpoint_search,
    parse_imaging_study_search,
)
from gateway.fhir.terminology import Terminology
from gateway.model import Cx
from gateway.model.imaging import LocalTime
from gateway.model.query import FindDocuments
from tests.fhir.manifest_samples import GROUP, SIMPLE, STUDY_UID

BASE = "https://gateway.example/fhir"
PATIENT = Cx("P1", "2.999.3")
PAT = ("patient.identifier", "urn:oid:2.999.3|P1")
DCM = "http://dicom.nema.org/resources/ontology/DCM"
CONTEXT = SearchContext(
    Terminology(), BASE, {"Patient/1": PATIENT}.get, now=lambda: datetime(2026, 6, 1, tzinfo=UTC)
)


def found(manifest, number):
    return FoundStudy(
        id=f"study-{number}",
        study=manifest.study,
        entry_uuid=f"urn:uuid:00000000-0000-0000-0000-00000000000{number}",
        unique_id=manifest.sop_instance_uid,
        patient_id=PATIENT,
        updated=f"2026030{number}101112",
        utc_offset=manifest.utc_offset,
    )


A, G = found(SIMPLE, 1), found(GROUP, 2)


def names(*parameters, zone=UTC, items=(("A", A), ("G", G))):
    search = parse_imaging_study_search([PAT, *parameters], CONTEXT, zone=zone, strict=True)
    return "".join(name for name, item in items if search.matches(item))


def problems(parse, *parameters):
    with pytest.raises(OutcomeError) as caught:
        parse(list(parameters), CONTEXT, strict=True)
    assert caught.value.status == 400
    return " ".join(issue.diagnostics for issue in caught.value.issues)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("modality", "CT", "AG"),
        ("modality", f"{DCM}|CT", "AG"),
        ("modality", "urn:oid:1.2.840.10008.2.16.4|KO", "G"),
        ("modality", "KO", "G"),
        ("modality", "US", ""),
        ("modality", "US,KO", "G"),
        ("modality:not", "KO", "A"),
        ("modality:text", "key", "G"),
        ("bodysite", "http://snomed.info/sct|774007", "A"),
        ("body-site", "774007", "A"),
        ("body-site", "69536005", "A"),
        ("bodysite", "http://snomed.info/sct|737561001", "G"),
        ("bodysite", "1141981001", "G"),
        ("bodysite", "421060004", "G"),
        ("body-site:missing", "false", "AG"),
        ("identifier", STUDY_UID, "A"),
        ("identifier", f"urn:oid:{STUDY_UID}", "A"),
        ("identifier", f"urn:dicom:uid|urn:oid:{STUDY_UID}", "A"),
        ("identifier", f"urn:dicom:uid|{STUDY_UID}", "A"),
        ("identifier", "urn:oid:2.999.10|B2", "G"),
        ("identifier", "urn:oid:2.999.99|B2", ""),
        ("identifier", "B2,A1", "AG"),
        ("basedon:identifier", "urn:oid:2.999.10|B1", "G"),
        ("based-on:identifier", "urn:oid:2.999.10|A1", "A"),
        ("based-on.identifier", "P2", "G"),
        ("basedon", f"ServiceRequest/{G.order_id(1)}", "G"),
        ("based-on", f"{BASE}/ServiceRequest/{A.order_id(0)}", "A"),
        ("based-on:missing", "true", ""),
        ("series", "2.999.1.200.2", "A"),
        ("series", "urn:oid:2.999.2.200.1", "G"),
        ("instance", "urn:dicom:uid|urn:oid:2.999.1.300.3", "A"),
        ("instance", "2.999.1.300.11", "G"),
        ("dicom-class", "1.2.840.10008.5.1.4.1.1.88.59", "G"),
        ("dicom-class", "urn:ietf:rfc:3986|urn:oid:1.2.840.10008.5.1.4.1.1.2", "AG"),
        ("dicom-class", "http://loinc.org|1.2.840.10008.5.1.4.1.1.2", ""),
        ("endpoint", f"Endpoint/{endpoints_of(A)[0].id}", "A"),
        ("referrer.family", "ross", "A"),
        ("referrer:missing", "true", "G"),
        ("performer", "Practitioner/1", ""),
        ("performer:missing", "true", "AG"),
        ("reason", "http://snomed.info/sct|1", ""),
        ("reason:missing", "true", "AG"),
        ("status", "available", "AG"),
        ("status", "cancelled", ""),
        ("_id", "study-2", "G"),
        ("_id", "study-1,study-2", "AG"),
        ("_lastUpdated", "ge2026-03-02", "G"),
        ("started", "ge2026", "AG"),
        ("started", "lt2026-02-25", "A"),
        ("started", "2026-02-24T16:23:10+01:00", "A"),
        ("started", "2026-02-24T15:23:10Z", "A"),
        ("started", "gt2026-02-24", "G"),
        ("started", "sa2026-02-24", "G"),
        ("started", "eb2026-02-25", "A"),
        ("started", "ne2026-02-24", "G"),
        ("started", "ap2026-02-24", "AG"),
        ("started:missing", "true", ""),
        ("targetless", "x", None),
    ],
)
def test_each_parameter(name, value, expected):
    if expected is None:
        assert "not a search parameter" in problems(parse_imaging_study_search, PAT, (name, value))
    else:
        assert names((name, value)) == expected


def test_every_parameter_of_the_table_is_shown_here():
    (mark,) = (m for m in test_each_parameter.pytestmark if m.name == "parametrize")
    shown = {
        STUDY_PARAMETERS.find(name)[0].name for name, _, expected in mark.args[1] if expected is not None
    }
    elsewhere = {row.name for row in STUDY_PARAMETERS.rows if row.name.startswith(("patient", "subject"))}
    assert shown | elsewhere | {"referrer.given"} == {row.name for row in STUDY_PARAMETERS.rows}


def test_parameters_narrow_each_other():
    assert names(("modality", "CT"), ("bodysite", "774007")) == "A"
    assert names(("started", "ge2026-01-01"), ("started", "le2026-02-24")) == "A"
    assert names(("modality", "KO"), ("identifier", STUDY_UID)) == ""


def test_a_day_is_one_of_the_servers_zone():
    # 16:23 in Europe and 22:10 in Newfoundland: the latter is already the next day in Europe
    assert names(("started", "2026-02-24"), zone=ZoneInfo("Europe/Rome")) == "A"
    assert names(("started", "2026-02-24"), zone=ZoneInfo("America/St_Johns")) == "AG"
    assert names(("started", "2026-02-24T16:23:10"), zone=ZoneInfo("Europe/Rome")) == "A"
    assert names(("started", "2026-02-24T16:23:10"), zone=ZoneInfo("America/New_York")) == ""


def test_a_study_of_unknown_zone_has_started_on_its_day():
    unknown = replace(A, utc_offset=None, study=replace(A.study, started=LocalTime("20260224", "235900")))
    for zone in (UTC, ZoneInfo("Asia/Tokyo"), ZoneInfo("America/New_York")):
        assert names(("started", "2026-02-24"), zone=zone, items=[("U", unknown)]) == "U"
        assert names(("started", "gt2026-02-24"), zone=zone, items=[("U", unknown)]) == ""
    in_zone = names(
        ("started", "2026-02-24T23:59:00+01:00"), zone=ZoneInfo("Europe/Rome"), items=[("U", unknown)]
    )
    assert in_zone == "U"


def test_the_patient_is_needed_and_single():
    assert "patient.identifier is required" in problems(parse_imaging_study_search, ("modality", "CT"))
    assert "same patient" in problems(
        parse_imaging_study_search, PAT, ("patient.identifier", "urn:oid:2.999.3|P2")
    )


@pytest.mark.parametrize(
    "parameter",
    [
        ("patient", "Patient/1"),
        ("patient", "1"),
        ("subject", "Patient/1"),
        ("subject:Patient", "1"),
        ("patient", f"{BASE}/Patient/1"),
        ("patient:Patient.identifier", "urn:oid:2.999.3|P1"),
        ("subject.identifier", "urn:oid:2.999.3|P1"),
    ],
)
def test_the_patient_in_each_spelling(parameter):
    search = parse_imaging_study_search([parameter], CONTEXT)
    (query,) = search.queries()
    assert isinstance(query, FindDocuments)
    assert query.patient_id == PATIENT
    assert query.format_code == ()
    assert search.matches(A)
    assert not search.matches(replace(A, patient_id=Cx("P2", "2.999.3")))


def test_an_unknown_patient_has_no_studies_and_nobody_is_asked():
    assert parse_imaging_study_search([("patient", "9")], CONTEXT).impossible


def test_order_and_shape_of_the_answer():
    search = parse_imaging_study_search(
        [PAT, ("_sort", "-started"), ("_count", "1"), ("_include", "ImagingStudy:endpoint"),
         ("_include", "ImagingStudy:patient"), ("_revinclude", "Provenance:target")],
        CONTEXT, strict=True,
    )  # fmt: skip
    assert sorted([A, G], key=search.sort_key) == [G, A]
    assert search.count == 1
    assert search.steps == (
        Step("ImagingStudy", "endpoint"),
        Step("ImagingStudy", "patient"),
        Step("Provenance", "target", is_reverse=True),
    )
    assert "_include=ImagingStudy%3Aendpoint" in search.self_link
    by_modality = parse_imaging_study_search([PAT, ("_sort", "modality,-_lastUpdated")], CONTEXT, strict=True)
    assert sorted([A, G], key=by_modality.sort_key) == [G, A]


def test_what_is_wrong_is_said():
    assert "Endpoint/id" in problems(parse_imaging_study_search, PAT, ("endpoint", "ImagingStudy/1"))
    assert "started" in problems(parse_imaging_study_search, PAT, ("started", "yesterday"))
    assert "modifier" in problems(parse_imaging_study_search, PAT, ("series:above", "1.2"))
    assert "true or false" in problems(parse_imaging_study_search, PAT, ("modality:missing", "maybe"))


# --- the resources beside studies ---------------------------------------------------------------------------
def test_an_issuer_that_is_a_uri_is_one_in_searches_too():
    issuer = replace(
        A.study.requests[0].accession.issuer, universal_id="https://ris.example/ids", universal_id_type="URI"
    )
    request = replace(A.study.requests[0], accession=replace(A.study.requests[0].accession, issuer=issuer))
    item = replace(A, study=replace(A.study, requests=(request,)))
    assert names(("identifier", "https://ris.example/ids|A1"), items=[("U", item)]) == "U"
    assert names(("identifier", "https://other.example/ids|A1"), items=[("U", item)]) == ""


def test_endpoints():
    parts = endpoints_of(A)
    assert [part.connection for part in parts] == ["dicom-wado-rs", "dicom-wado-rs", "ihe-iid"]
    by_id = parse_endpoint_search([PAT, ("_id", parts[1].id)], CONTEXT, strict=True)
    assert [by_id.matches(part) for part in parts] == [False, True, False]
    viewers = parse_endpoint_search([PAT, ("connection-type", "ihe-iid")], CONTEXT, strict=True)
    assert [viewers.matches(part) for part in parts] == [False, False, True]


def test_ids_keep_to_their_thing_and_not_to_its_place():
    swapped = replace(G, study=replace(G.study, requests=G.study.requests[::-1]))
    assert swapped.order_id(0) == G.order_id(1)
    assert replace(G, id="other").order_id(0) != G.order_id(0)
    assert all(len(part.id) <= 64 for part in endpoints_of(G))
    assert all(len(G.order_id(number)) <= 64 for number in range(2))
