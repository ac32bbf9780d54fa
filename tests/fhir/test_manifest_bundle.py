"""What the manifest of a study looks like in FHIR, element by element (IHE RAD MADO 0.1.0)."""

from dataclasses import replace as with_field
from datetime import UTC, datetime
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from gateway.fhir.imaging_times import Zones, interval_of, utc_dtm, write_time
from gateway.fhir.manifest_bundle import write_manifest_bundle
from gateway.model import Cx, Organization
from gateway.model import imaging_codes as imaging
from gateway.model.imaging import (
    Creator,
    ImagingRequest,
    IssuedId,
    Issuer,
    LocalTime,
    RetrieveLocation,
    Study,
)
from tests.fhir.manifest_samples import ASSEMBLED, CONTEXT, FAR, GROUP, NEAR, SIMPLE

ABSENT = {"extension": [{"url": imaging.EXT_DATA_ABSENT, "valueCode": "unknown"}]}


def resources(manifest, context=CONTEXT):
    """Resources of the written Bundle by type."""
    by_type = {}
    for entry in write_manifest_bundle(manifest, context)["entry"]:
        by_type.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return by_type


def of_study(manifest, **changes):
    return replace(manifest, study=replace(manifest.study, **changes))


def test_the_document():
    bundle = write_manifest_bundle(SIMPLE, CONTEXT)
    assert bundle["type"] == "document"
    assert bundle["identifier"] == {"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.1.1"}
    assert bundle["timestamp"] == "2026-02-25T00:57:59+01:00"
    assert [entry["resource"]["resourceType"] for entry in bundle["entry"]] == [
        "Composition", "ImagingStudy", "Endpoint", "Endpoint", "Endpoint", "Device", "Organization",
        "ServiceRequest", "Patient",
    ]  # fmt: skip
    for entry in bundle["entry"]:
        assert entry["fullUrl"] == f"urn:uuid:{entry['resource']['id']}"


def test_every_reference_names_an_entry():
    bundle = write_manifest_bundle(GROUP, CONTEXT)
    names = {entry["fullUrl"] for entry in bundle["entry"]}

    def references(value):
        if isinstance(value, dict):
            if isinstance(value.get("reference"), str):
                yield value["reference"]
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    found = set(references(bundle))
    assert found <= names
    assert names - found == {bundle["entry"][0]["fullUrl"]}  # nothing but the Composition stands alone


def test_the_composition():
    (composition,) = resources(SIMPLE)["Composition"]
    assert composition["identifier"]["value"] == "urn:oid:2.999.1.1"
    assert composition["date"] == "2026-02-25T00:57:59+01:00"
    assert composition["title"] == "CT <head>"
    assert composition["type"]["coding"][0]["code"] == "18748-4"
    (category,) = composition["category"]
    assert [coding["code"] for coding in category["coding"]] == ["Medical-Imaging", "18748-4"]
    assert [author["type"] for author in composition["author"]] == ["Device", "Organization"]


def test_the_narrative_lists_the_content_and_escapes_it():
    (composition,) = resources(SIMPLE)["Composition"]
    root = ElementTree.fromstring(composition["text"]["div"])
    shown = " ".join(root.itertext())
    for fact in (
        "CT <head>", "2.999.1.100", "Anna Müller", "UV1 (HOSPITAL)", "2026-02-24 16:23:10+01:00",
        "Computed Tomography", "Structure of head and/or neck", "A1 (RIS)", "P1 (HIS)", "Axial",
    ):  # fmt: skip
        assert fact in shown
    sections = [" ".join(ElementTree.fromstring(s["text"]["div"]).itertext()) for s in composition["section"]]
    assert "2.999.1.200.1" in sections[0]
    assert "2.999.1.200.2" in sections[1]


def test_the_study():
    (study,) = resources(SIMPLE)["ImagingStudy"]
    uid, local = study["identifier"]
    assert uid == {
        "type": {
            "coding": [
                {
                    "system": "http://dicom.nema.org/resources/ontology/DCM",
                    "code": "110180",
                    "display": "Study Instance UID",
                }
            ]
        },
        "system": "urn:dicom:uid",
        "value": "urn:oid:2.999.1.100",
    }
    assert local == {"use": "usual", "value": "S17"}
    assert study["started"] == "2026-02-24T16:23:10+01:00"
    assert study["status"] == "available"
    assert [modality["code"] for modality in study["modality"]] == ["CT"]
    assert study["extension"] == [
        {
            "url": "https://profiles.ihe.net/RAD/MADO/StructureDefinition/MadoAnatomicalRegionExtension",
            "valueCodeableConcept": {
                "coding": [
                    {
                        "system": "http://snomed.info/sct",
                        "code": "774007",
                        "display": "Structure of head and/or neck",
                    }
                ]
            },
        }
    ]
    assert (study["numberOfSeries"], study["numberOfInstances"]) == (2, 3)
    assert study["description"] == "CT <head>"
    assert study["referrer"] == {"reference": "#referrer"}
    assert study["contained"][0]["name"] == [{"family": "Rossi", "given": ["Maria"], "prefix": ["Dr."]}]


def test_a_series_and_its_instances():
    (study,) = resources(SIMPLE)["ImagingStudy"]
    first, second = study["series"]
    assert first["uid"] == "2.999.1.200.1"
    assert first["number"] == 1
    assert first["modality"]["code"] == "CT"
    assert first["started"] == "2026-02-24T16:25:00.337+01:00"
    assert first["bodySite"]["code"] == "69536005"
    assert first["laterality"]["code"] == "7771000"
    assert first["numberOfInstances"] == 2
    assert first["instance"][1] == {
        "extension": [{"url": imaging.EXT_MADO_FRAMES, "valueInteger": 12}],
        "uid": "2.999.1.300.2",
        "sopClass": {"system": "urn:ietf:rfc:3986", "code": "urn:oid:1.2.840.10008.5.1.4.1.1.2"},
        "number": 2,
    }
    assert first["endpoint"] != second["endpoint"]


def test_endpoints_are_one_for_each_place():
    near, far, viewer = resources(SIMPLE)["Endpoint"]
    assert near["extension"] == [{"url": imaging.EXT_MADO_LOCATION, "valueString": "2.999.21"}]
    assert near["address"] == "https://near.example/rs"
    assert near["connectionType"]["code"] == "dicom-wado-rs"
    assert far["address"] == "http://notspecified"
    assert far["_address"] == ABSENT
    assert far["extension"][0]["valueString"] == "2.999.22"
    assert viewer["address"] == "https://viewer.example/?study=1"
    assert viewer["payloadMimeType"] == ["text/html"]


def test_addresses_are_those_of_the_gateway_where_it_says_so():
    context = with_field(
        CONTEXT,
        address_of=lambda location: f"https://gw.example/wado/{location.uid}",
        viewer_of=lambda url: None,
    )
    endpoints = resources(SIMPLE, context)["Endpoint"]
    assert [endpoint["address"] for endpoint in endpoints] == [
        "https://gw.example/wado/2.999.21", "https://gw.example/wado/2.999.22",
    ]  # fmt: skip
    assert all("_address" not in endpoint for endpoint in endpoints)
    (study,) = resources(SIMPLE, context)["ImagingStudy"]
    assert "endpoint" not in study


def test_both_accessions_of_a_group_have_their_order():
    written = resources(GROUP)
    (study,) = written["ImagingStudy"]
    assert [(o["identifier"]["system"], o["identifier"]["value"]) for o in study["basedOn"]] == [
        ("urn:oid:2.999.10", "B1"), ("urn:oid:2.999.10", "B2"),
    ]  # fmt: skip
    assert [o["reference"] for o in study["basedOn"]] == [
        f"urn:uuid:{o['id']}" for o in written["ServiceRequest"]
    ]
    accession, placer = written["ServiceRequest"][0]["identifier"]
    assert [coding["code"] for coding in accession["type"]["coding"]] == ["ACSN", "121022"]
    assert placer["type"]["coding"][0]["code"] == "PLAC"
    assert (placer["system"], placer["value"]) == ("urn:oid:2.999.11", "P2")


def test_a_key_object_inside_the_study_has_title_and_description():
    (study,) = resources(GROUP)["ImagingStudy"]
    key_object = study["series"][1]["instance"][0]
    assert key_object["extension"][0]["valueCodeableConcept"]["coding"][0]["code"] == "113000"
    assert key_object["title"] == "Significant DICOM Instances"


def test_the_spine_has_the_code_of_mado():
    (study,) = resources(GROUP)["ImagingStudy"]
    (region,) = study["extension"]
    assert region["valueCodeableConcept"]["coding"][0]["code"] == "1141981001"


def test_what_is_not_known_is_said_to_be_absent_and_not_made_up():
    bare = replace(
        SIMPLE, creator=replace(SIMPLE.creator, organization=None),
        study=Study("2.999.9", requests=(ImagingRequest(placer=IssuedId("P")),), series=SIMPLE.study.series),
    )  # fmt: skip
    written = resources(bare)
    (study,) = written["ImagingStudy"]
    assert study["procedureCode"] == [{"_text": ABSENT}]
    assert "started" not in study
    assert "extension" not in study
    accession = written["ServiceRequest"][0]["identifier"][0]
    assert "system" not in accession
    assert accession["_value"] == accession["_system"] == ABSENT
    assert written["Organization"][0]["_name"] == ABSENT


def test_an_organization_of_which_only_the_authority_is_known_is_absent():
    nameless = replace(SIMPLE, creator=Creator("Maker", Organization(authority="2.999.50")))
    (organization,) = resources(nameless)["Organization"]
    assert organization["_name"] == ABSENT
    assert "identifier" not in organization


def test_the_description_is_shown_where_no_procedure_is_coded():
    (study,) = resources(of_study(SIMPLE, procedure_codes=()))["ImagingStudy"]
    assert study["procedureCode"] == [{"text": "CT <head>"}]


def test_an_issuer_without_universal_id_is_no_system():
    (patient,) = resources(GROUP)["Patient"]
    assert patient["identifier"][1] == {"value": "X9", "assigner": {"display": "OTHER"}}
    empty = of_study(
        SIMPLE, requests=(ImagingRequest(IssuedId("A", Issuer(universal_id="", universal_id_type="ISO"))),)
    )
    accession = resources(empty)["ServiceRequest"][0]["identifier"][0]
    assert "system" not in accession


def test_the_patient_of_the_domain_stands_beside_that_of_the_source():
    context = with_field(CONTEXT, patient=Cx("D1", "2.999.77"))
    (study,) = resources(SIMPLE, context)["ImagingStudy"]
    assert study["subject"]["identifier"] == {"system": "urn:oid:2.999.77", "value": "D1"}
    assert resources(SIMPLE, context)["Patient"][0]["identifier"][0]["value"] == "UV1"


def test_a_series_in_no_known_place_refers_to_an_endpoint_that_says_so():
    series = replace(SIMPLE.study.series[0], locations=())
    (endpoint, _) = resources(of_study(SIMPLE, series=(series,)))["Endpoint"]
    assert "meta" not in endpoint
    assert endpoint["address"] == "http://notspecified"


# --- times ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("time", "zones", "written"),
    [
        (LocalTime("20260224", "162310", "+0200"), Zones("+0100"), "2026-02-24T16:23:10+02:00"),
        (LocalTime("20260224", "162310"), Zones("+0100"), "2026-02-24T16:23:10+01:00"),
        (LocalTime("20260724", "162310"), Zones(None, ZoneInfo("Europe/Rome")), "2026-07-24T16:23:10+02:00"),
        (LocalTime("20260224", "162310"), Zones(None, ZoneInfo("Europe/Rome")), "2026-02-24T16:23:10+01:00"),
        (LocalTime("20260224", "16"), Zones("-0330"), "2026-02-24T16:00:00-03:30"),
        (LocalTime("20260224", "162310.500"), Zones("+0000"), "2026-02-24T16:23:10.5+00:00"),
        (LocalTime("20260224", "235960"), Zones("+0000"), "2026-02-24T23:59:60+00:00"),
        (LocalTime("20260224"), Zones("+0100"), "2026-02-24"),
        (LocalTime("20260230"), Zones("+0100"), None),
        (LocalTime("20260224", "2500"), Zones("+0100"), None),
        (LocalTime("20260224", "162310", "+9900"), Zones(), "2026-02-24"),
    ],
)
def test_the_offset_is_that_of_the_time_the_document_or_the_community(time, zones, written):
    made = write_time(time, zones)
    assert (made.value if made else None) == written


def test_a_time_without_any_zone_is_a_day_and_the_period_in_which_it_lies():
    made = write_time(LocalTime("20260224", "162310"), Zones())
    assert made.value == "2026-02-24"
    assert made.beside == {
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/uncertainPeriod",
                "valuePeriod": {"start": "2026-02-24T16:23:10+14:00", "end": "2026-02-24T16:23:10-12:00"},
            }
        ]
    }


def test_the_interval_of_a_time_is_as_wide_as_its_precision_and_what_is_not_known_of_its_zone():
    def utc(*parts):
        return datetime(*parts, tzinfo=UTC)

    assert interval_of(LocalTime("20260224", "1623", "+0100"), Zones()) == (
        utc(2026, 2, 24, 15, 23), utc(2026, 2, 24, 15, 24),
    )  # fmt: skip
    assert interval_of(LocalTime("20260224"), Zones("+0100")) == (utc(2026, 2, 23, 23), utc(2026, 2, 24, 23))
    assert interval_of(LocalTime("20260224", "162310"), Zones()) == (
        utc(2026, 2, 24, 2, 23, 10), utc(2026, 2, 25, 4, 23, 11),
    )  # fmt: skip
    assert interval_of(LocalTime("99991231", "23", "-1200"), Zones()) is None


def test_xds_gets_the_time_in_utc_or_the_day():
    assert utc_dtm(LocalTime("20260224", "003010.5", "+0100"), Zones()) == "20260223233010"
    assert utc_dtm(LocalTime("20260224", "003010"), Zones()) == "20260224"
    assert utc_dtm(LocalTime("20260224"), Zones("+0100")) == "20260224"


def test_the_clock_of_the_writer_counts_only_where_the_manifest_has_no_time():
    bundle = write_manifest_bundle(replace(SIMPLE, created=None), CONTEXT)
    assert bundle["timestamp"] == ASSEMBLED.isoformat()
    undated = write_manifest_bundle(
        replace(SIMPLE, created=LocalTime("20260101", "1200"), utc_offset=None), CONTEXT
    )
    assert undated["timestamp"] == ASSEMBLED.isoformat()
    assert undated["entry"][0]["resource"]["date"] == "2026-01-01"


def test_control_characters_and_lone_surrogates_do_not_reach_the_document():
    bundle = write_manifest_bundle(of_study(SIMPLE, description="a\x00\x1b\ud800b", study_id="\x01"), CONTEXT)
    assert bundle["entry"][1]["resource"]["description"] == "a\ufffd\ufffd\ufffdb"


def test_the_same_location_under_another_address_is_another_endpoint():
    other = RetrieveLocation(NEAR.uid, "https://other.example/rs")
    series = tuple(replace(s, locations=(NEAR, other, FAR)) for s in SIMPLE.study.series)
    assert len(resources(of_study(SIMPLE, series=series, viewer_url=None))["Endpoint"]) == 3
