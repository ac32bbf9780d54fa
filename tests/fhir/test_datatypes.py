"""Times, hashes, codes and identifiers as FHIR clients send them."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir.datatypes import (
    canonical,
    decode_base64,
    read_code,
    read_cx,
    read_date_time,
    read_hash,
    read_unique_id,
    write_date_time,
)
from gateway.fhir.findings import Findings
from gateway.fhir.reference_ids import read_reference_id
from gateway.fhir.terminology import Terminology
from gateway.model import Code, Cx, ReferenceId, codes

TERMS = Terminology({"https://codes.example": "2.999.1"}, {"https://ids.example": "2.999.2"})


@pytest.mark.parametrize(
    ("date_time", "dtm"),
    [
        ("2024", "2024"),
        ("2024-03", "202403"),
        ("2024-03-31", "20240331"),
        ("2024-03-31T23:30:00Z", "20240331233000"),
        ("2024-03-31T23:30:00.999-05:00", "20240401043000"),
        ("2024-01-01T00:30:00+01:00", "20231231233000"),
        ("2016-12-31T23:59:60Z", "20161231235959"),
    ],
)
def test_a_date_time_is_shifted_to_utc_and_a_date_stays(date_time, dtm):
    findings = Findings()
    assert read_date_time(date_time, findings, "x") == dtm
    assert findings.errors == []


def test_a_time_outside_the_calendar_in_utc_is_an_error():
    findings = Findings()
    assert read_date_time("0001-01-01T00:00:00+14:00", findings, "DocumentReference.date") is None
    assert findings.errors[0].expression == "DocumentReference.date"


@given(st.datetimes(timezones=st.timezones()).filter(lambda t: 2 < t.year < 9998))
def test_the_instant_of_a_date_time_survives(moment):
    whole = moment.replace(microsecond=0)
    if whole.utcoffset().seconds % 60:
        return
    written = write_date_time(read_date_time(whole.isoformat(), Findings(), "x"))
    assert datetime.fromisoformat(written) == whole.astimezone(UTC)


@pytest.mark.parametrize(
    "value",
    [
        "MGE0ZDU1YThkNzc4ZTUwMjJmYWI3MDE5NzdjNWQ4NDBiYmM0ODZkMA==",
        "0a4d55a8d778e5022fab701977c5d840bbc486d0",
    ],
)
def test_a_hash_in_hexadecimal_is_refused_with_a_hint(value):
    findings = Findings()
    assert read_hash(value, findings, "hash") is None
    assert "hexadecimal" in findings.errors[0].diagnostics


@pytest.mark.parametrize("value", ["AAAA", "not base64"])
def test_a_hash_of_another_length_is_refused(value):
    findings = Findings()
    assert read_hash(value, findings, "hash") is None
    assert "20 bytes" in findings.errors[0].diagnostics


def test_base64_may_have_white_space_and_nothing_else():
    assert decode_base64("SGVs\r\n bG8=") == b"Hello"
    assert decode_base64("SGVsbG8") is None
    assert decode_base64("SGVs_G8=") is None
    assert decode_base64("SGVsé") is None


def test_of_several_codings_the_first_that_the_settings_map_is_taken():
    concept = {
        "coding": [
            {"system": "https://elsewhere.example", "code": "x"},
            {"system": "https://codes.example", "code": "A"},
            {"system": "http://loinc.org", "code": "B", "display": "b"},
        ]
    }
    assert read_code(concept, TERMS, Findings(), "type") == Code("A", "2.999.1", "A")


def test_an_unmapped_code_system_is_named_with_the_setting():
    findings = Findings()
    concept = {"coding": [{"system": "https://elsewhere.example", "code": "x"}]}
    assert read_code(concept, TERMS, findings, "type") is None
    assert "https://elsewhere.example" in findings.errors[0].diagnostics
    assert "terminology.code_systems" in findings.errors[0].diagnostics


def test_an_unmapped_authority_is_named_with_the_setting():
    findings = Findings()
    assert read_cx({"system": "https://ids.example", "value": "1"}, TERMS, findings, "s") == Cx(
        "1", "2.999.2"
    )
    assert read_cx({"system": "https://other.example", "value": "1"}, TERMS, findings, "s") is None
    assert "https://other.example" in findings.errors[0].diagnostics
    assert "terminology.assigning_authorities" in findings.errors[0].diagnostics


@pytest.mark.parametrize(
    ("system", "value", "unique_id"),
    [
        ("urn:ietf:rfc:3986", "urn:oid:2.999.1", "2.999.1"),
        (
            "urn:ietf:rfc:3986",
            "urn:uuid:1D1A4A3F-0000-4000-8000-000000000001",
            "urn:uuid:1d1a4a3f-0000-4000-8000-000000000001",
        ),
        ("urn:oid:2.999.1", "A1", "2.999.1^A1"),
        ("https://ids.example", "A1", "2.999.2^A1"),
        ("urn:ietf:rfc:3986", "urn:oid:2.999.01", None),
        ("urn:ietf:rfc:3986", "urn:uuid:17", None),
        ("urn:ietf:rfc:3986", "2.999.1", None),
        ("https://unknown.example", "A1", None),
    ],
)
def test_a_unique_id_is_read_from_each_form_of_identifier(system, value, unique_id):
    findings = Findings()
    assert read_unique_id({"system": system, "value": value}, TERMS, findings, "x") == unique_id
    assert bool(findings.errors) is (unique_id is None)


@pytest.mark.parametrize(
    ("identifier", "expected"),
    [
        (
            {
                "type": {"coding": [{"system": codes.URI_SYSTEM, "code": codes.REFERENCE_ACCESSION}]},
                "system": "urn:oid:2.999.5",
                "value": "A1",
            },
            ReferenceId("A1", "2.999.5", codes.REFERENCE_ACCESSION),
        ),
        (
            {
                "type": {"coding": [{"system": codes.V2_IDENTIFIER_TYPE, "code": "ACSN"}]},
                "system": "https://ids.example",
                "value": "A1",
            },
            ReferenceId("A1", "2.999.2", codes.REFERENCE_ACCESSION),
        ),
        (
            {
                "type": {"coding": [{"system": codes.DICOM_CODE_SYSTEM, "code": "110180"}]},
                "system": "urn:dicom:uid",
                "value": "urn:oid:2.999.8",
            },
            ReferenceId("2.999.8", None, codes.REFERENCE_STUDY),
        ),
        (
            {"system": "urn:dicom:uid", "value": "urn:oid:2.999.8"},
            ReferenceId("2.999.8", None, codes.REFERENCE_STUDY),
        ),
        (
            {"system": codes.URI_SYSTEM, "value": "urn:oid:2.999.8"},
            ReferenceId("2.999.8", None, codes.REFERENCE_UNIQUE_ID),
        ),
    ],
)
def test_reference_ids_are_known_by_the_types_that_clients_use(identifier, expected):
    assert read_reference_id(identifier, TERMS, Findings(), "x") == expected


@pytest.mark.parametrize(
    ("identifier", "place"),
    [
        ({"system": "urn:oid:2.999.5", "value": "A1"}, "x.type"),
        (
            {
                "type": {"coding": [{"system": codes.URI_SYSTEM, "code": codes.REFERENCE_ACCESSION}]},
                "value": "A1",
            },
            "x.system",
        ),
        ({"system": "urn:oid:2.999.5"}, "x"),
    ],
)
def test_a_reference_id_without_type_authority_or_value_is_refused(identifier, place):
    findings = Findings()
    assert read_reference_id(identifier, TERMS, findings, "x") is None
    assert [e.expression for e in findings.errors] == [place]


def test_canonical_urls_lose_version_and_plain_http():
    assert canonical("http://profiles.ihe.net/ITI/MHD/CodeSystem/MHDlistTypes|4.2.4") == codes.MHD_LIST_TYPES
    assert canonical(codes.MHD_LIST_TYPES) == codes.MHD_LIST_TYPES
    assert canonical(None) is None
