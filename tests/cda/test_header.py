"""A CDA header as document sharing metadata (PCC TF-2 4.1)."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.cda.datatypes import Problems, read_time
from gateway.cda.header import CdaError, read_cda
from gateway.model import Code, Cx, Organization, Person, ReferenceId, codes
from gateway.model.metadata import Address, Author, SourcePatientInfo, Telecom
from gateway.safe_xml import MessageError
from tests.cda.documents import FULL, changed

SNOMED = "2.16.840.1.113883.6.96"


def problems(*pairs):
    with pytest.raises(CdaError) as caught:
        read_cda(changed(*pairs))
    return dict(caught.value.problems)


def test_every_element_that_is_mapped():
    header = read_cda(FULL.encode(), accession_authorities=frozenset({"2.999.8.10"}))
    entry = header.entry
    assert entry.unique_id == "2.999.8.2^DOC-1"
    assert entry.type_code == Code("18842-5", "2.16.840.1.113883.6.1", "Discharge summary")
    assert entry.title == "Discharge summary"
    assert entry.creation_time == "20240131223000"
    assert entry.confidentiality == (Code("R", codes.CONFIDENTIALITY_OID, "R"),)
    assert entry.language == "de-AT"
    assert entry.source_patient_id == Cx("MRN-1", "2.999.8.3")
    assert entry.source_patient_info == SourcePatientInfo(
        ids=(Cx("MRN-1", "2.999.8.3"), Cx("NAT-1", "2.999.8.4")),
        names=(Person(family="Muster", given="Eva", further_given="Maria", prefix="Dr."),),
        birth_date="19610203",
        gender="F",
        addresses=(Address(street="Example Street 1", city="Wien", postal_code="1010", country="AT"),),
    )
    assert entry.authors == (
        Author(
            person=Person(id="S-1", authority="2.999.8.6", family="Welby", given="Marcus"),
            institutions=(Organization("Example Hospital", "2.999.8.7"),),
            roles=(Code("221", "2.999.8.5", "Doctor"),),
            telecoms=(Telecom("welby@hospital.example", "email", "work"),),
        ),
        Author(person=Person(family="Report writer")),
    )
    assert entry.legal_authenticator == Person(id="S-2", authority="2.999.8.6", family="Signer", given="Leo")
    assert entry.event_codes == (
        Code("CT", "1.2.840.10008.2.16.4", "Computed Tomography"),
        Code("51185008", SNOMED, "51185008"),
    )
    assert (entry.service_start_time, entry.service_stop_time) == ("20240120", "202401311400")
    assert entry.facility_type == Code("22232009", SNOMED, "Hospital")
    assert entry.practice_setting == Code("394802001", SNOMED, "General medicine")
    assert entry.reference_ids == (
        ReferenceId("STAY-1", "2.999.8.12", codes.REFERENCE_ENCOUNTER),
        ReferenceId("ORD-1", "2.999.8.9", codes.REFERENCE_ORDER),
        ReferenceId("ACC-1", "2.999.8.10", codes.REFERENCE_ACCESSION),
        ReferenceId("ACC-2", "2.999.8.11", codes.REFERENCE_ACCESSION),
        ReferenceId("1.2.3.4.5", None, codes.REFERENCE_STUDY),
    )
    assert header.custodian == Organization("Archive", "2.999.8.8")
    assert header.templates == (
        "1.2.840.10008.9.1",
        "1.3.6.1.4.1.19376.1.5.3.1.1.4",
        "2.999.8.1:2015-08-01",
        "2.999.8.1",
    )


def test_a_service_event_of_other_documents_names_no_study():
    header = read_cda(changed(('<templateId root="1.2.840.10008.9.1"/>', "")))
    assert codes.REFERENCE_STUDY not in {r.type for r in header.entry.reference_ids}


def test_what_a_document_does_not_say_is_left_open():
    header = read_cda(
        b'<ClinicalDocument xmlns="urn:hl7-org:v3"><title nullFlavor="UNK"/></ClinicalDocument>'
    )
    entry = header.entry
    assert (entry.unique_id, entry.title, entry.type_code, entry.authors) == ("", None, None, ())
    assert entry.source_patient_info is None
    assert header.templates == ()


@pytest.mark.parametrize(
    ("root", "unique_id"),
    [
        ('root="2.999.8.2"', "2.999.8.2"),
        (
            'root="0C3151BD-1CBF-4D64-B04D-CD9187A4C6E0"',
            "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0",
        ),
        (
            'root="0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0" extension="7"',
            f"2.25.{0x0C3151BD1CBF4D64B04DCD9187A4C6E0}^7",
        ),
    ],
)
def test_ids_of_documents(root, unique_id):
    document = changed(('root="2.999.8.2" extension="DOC-1"', root))
    assert read_cda(document).entry.unique_id == unique_id


def test_a_wrapped_file_is_part_of_the_template():
    body = FULL[FULL.index("<component>") :]
    wrapped = '<component><nonXMLBody><text mediaType="application/pdf" representation="B64">JVBERg==</text></nonXMLBody></component></ClinicalDocument>'
    templates = read_cda(changed((body, wrapped))).templates
    assert templates[:2] == (
        "1.2.840.10008.9.1;application/pdf",
        "1.3.6.1.4.1.19376.1.5.3.1.1.4;application/pdf",
    )


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ('value="20240131233000+0100"', 'value="2024-01-31"', "effectiveTime/@value"),
        ('value="20240131233000+0100"', 'value="20240231"', "effectiveTime/@value"),
        ('root="2.999.8.2" extension="DOC-1"', 'root="LOCAL"', "id/@root"),
        ('root="2.999.8.2" extension="DOC-1"', f'root="2.999.8.2" extension="{"x" * 128}"', "id"),
        ('root="2.999.8.2" extension="DOC-1"', 'root="2.999.8.2" extension="with space"', "id"),
        ('code="18842-5" codeSystem="2.16.840.1.113883.6.1"', 'code="18842-5"', "code/@codeSystem"),
        ('root="2.999.8.3" extension="MRN-1"', 'root="HIS" extension="MRN-1"', "recordTarget/patientRole/id/@root"),
        ('<high value="202401311500+0100"/>', '<high value="2023"/>', "documentationOf/serviceEvent/effectiveTime"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_by_its_element(old, new, path):
    pairs = [(old, new)]
    if "high" in old:
        pairs.append(('<effectiveTime value="20240125"/>', ""))
    found = problems(*pairs)
    assert list(found) == [path]
    assert "MRN-1" not in str(found) and "DOC-1" not in str(found)


def test_all_problems_come_at_once():
    found = problems(('root="2.999.8.2"', 'root="x"'), ('value="20240131233000+0100"', 'value="x"'))
    assert set(found) == {"id/@root", "effectiveTime/@value"}


def test_xml_that_is_no_cda():
    with pytest.raises(CdaError, match="ClinicalDocument"):
        read_cda(b'<Bundle xmlns="http://hl7.org/fhir"/>')


@pytest.mark.parametrize(
    "attack",
    [
        b'<!DOCTYPE ClinicalDocument [<!ENTITY a "b">]><ClinicalDocument xmlns="urn:hl7-org:v3"><title>&a;</title></ClinicalDocument>',
        b'<ClinicalDocument xmlns="urn:hl7-org:v3"><title>',
        b"",
        b"\xff\xfe\x00",
    ],
)
def test_unsafe_and_broken_xml_is_refused(attack):
    with pytest.raises(MessageError):
        read_cda(attack)


def ts(value):
    element = etree.Element("time", value=value)
    found = Problems()
    return read_time(element, "time", found, ZoneInfo("Europe/Vienna")), found.found


@pytest.mark.parametrize(
    ("value", "dtm"),
    [
        ("2024", "2024"),
        ("20240131", "20240131"),
        ("2024013123", "2024013122"),
        ("202407012330", "202407012130"),
        ("2024013123+0530", "202401311730"),
        ("20240131235960.1234+0000", "20240131235959"),
        ("20240101000000+0100", "20231231230000"),
    ],
)
def test_times_keep_their_precision_and_are_in_utc(value, dtm):
    assert ts(value) == (dtm, [])


def test_a_time_before_the_calendar_is_a_problem():
    assert ts("00010101000000+0100")[1]


@given(
    st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)),
    st.integers(min_value=-14 * 60, max_value=14 * 60),
)
@settings(max_examples=200, deadline=None)
def test_a_full_time_names_the_same_instant(moment, minutes):
    zone = timezone(timedelta(minutes=minutes))
    value = f"{moment.year:04}{moment.strftime('%m%d%H%M%S')}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
    dtm, found = ts(value)
    assert found == []
    read = datetime(int(dtm[:4]), *(int(dtm[i : i + 2]) for i in range(4, 14, 2)), tzinfo=UTC)
    assert read == moment.replace(microsecond=0, tzinfo=zone)
