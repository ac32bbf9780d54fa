"""HL7 v2 data types: what is written is read back, and what peers write is understood."""

import pytest
from hypothesis import given, settings

from gateway.ebxml import hl7
from gateway.ebxml.patient_info import further_details, read_patient_info, write_patient_info
from gateway.ebxml.registry_package import read_recipient, write_recipient
from gateway.model import (
    Code,
    Cx,
    IntendedRecipient,
    Organization,
    Person,
    ReferenceId,
    SourcePatientInfo,
    Telecom,
)
from gateway.model.identity import PatientQuery
from gateway.model.metadata import Address
from tests.ebxml import strategies

MANY = settings(max_examples=150, deadline=None)


@MANY
@given(strategies.texts(20))
def test_text_survives_escaping_and_holds_no_delimiter(text):
    escaped = hl7.escape(text)
    assert hl7.unescape(escaped) == text
    assert not set("|^&~") & set(escaped)


@MANY
@given(strategies.cxs)
def test_cx_survives(value):
    assert hl7.read_cx(hl7.write_cx(value)) == value


@MANY
@given(strategies.reference_ids)
def test_reference_id_survives(value):
    assert hl7.read_reference_id(hl7.write_reference_id(value)) == value


@MANY
@given(strategies.persons)
def test_xcn_survives(value):
    assert hl7.read_xcn(hl7.write_xcn(value)) == value


@MANY
@given(strategies.organizations)
def test_xon_survives(value):
    assert hl7.read_xon(hl7.write_xon(value)) == value


@MANY
@given(strategies.telecoms)
def test_xtn_survives(value):
    assert hl7.read_xtn(hl7.write_xtn(value)) == value


@MANY
@given(strategies.recipients)
def test_intended_recipient_survives(value):
    assert read_recipient(write_recipient(value)) == value


@MANY
@given(strategies.patient_infos)
def test_source_patient_info_survives(value):
    assert read_patient_info(tuple(write_patient_info(value))) == value


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("1^^^&1.2.3&ISO", Cx("1", "1.2.3")),
        ("1^^^NAMESPACE&1.2.3&ISO", Cx("1", "1.2.3")),
        ("1^^^1.2.3", Cx("1", "1.2.3")),
        ("1^^^&urn:oid:1.2.3&ISO", Cx("1", "1.2.3")),
        ("1", Cx("1", "")),
        (r"a\T\b\S\c^^^&1.2.3&ISO", Cx("a&b^c", "1.2.3")),
    ],
)
def test_cx_as_peers_write_it(wire, value):
    assert hl7.read_cx(wire) == value


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (
            "A1^^^&1.2&ISO^urn:ihe:iti:xds:2013:accession",
            ReferenceId("A1", "1.2", "urn:ihe:iti:xds:2013:accession"),
        ),
        (
            "1.2.840.1^^^^urn:ihe:iti:xds:2016:studyInstanceUID",
            ReferenceId("1.2.840.1", None, "urn:ihe:iti:xds:2016:studyInstanceUID"),
        ),
        ("A^^^&1.2&ISO^urn:t^&1.9&ISO", ReferenceId("A", "1.2", "urn:t", "urn:oid:1.9")),
        ("A^^^&1.2&ISO^urn:t^urn:oid:1.9", ReferenceId("A", "1.2", "urn:t", "urn:oid:1.9")),
    ],
)
def test_reference_id_as_peers_write_it(wire, value):
    assert hl7.read_reference_id(wire) == value


def test_accession_number_is_written_with_authority_in_cx4_and_type_in_cx5():
    reference = ReferenceId("A1", "1.2", "urn:ihe:iti:xds:2013:accession")
    assert hl7.write_reference_id(reference) == "A1^^^&1.2&ISO^urn:ihe:iti:xds:2013:accession"


def test_the_community_of_a_reference_id_is_written_as_a_hierarchic_designator_in_cx6():
    reference = ReferenceId("A1", "1.2", "urn:t", "urn:oid:1.9")
    assert hl7.write_reference_id(reference) == "A1^^^&1.2&ISO^urn:t^&1.9&ISO"


def test_study_instance_uid_is_written_without_authority():
    reference = ReferenceId("1.2.840.1", None, "urn:ihe:iti:xds:2016:studyInstanceUID")
    assert hl7.write_reference_id(reference) == "1.2.840.1^^^^urn:ihe:iti:xds:2016:studyInstanceUID"


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        (
            "11375^Welby^Marcus^J^Jr^Dr^MD^^&1.2.840&ISO",
            Person("11375", "Welby", "Marcus", "J", "Jr", "Dr", "MD", "1.2.840"),
        ),
        ("^Smitty^Gerald^^^", Person(family="Smitty", given="Gerald")),
        ("11375", Person(id="11375")),
        ("^van Berg&van&Berg^Jan", Person(family="van Berg", given="Jan")),
    ],
)
def test_xcn_as_peers_write_it(wire, value):
    assert hl7.read_xcn(wire) == value


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("Some Hospital", Organization("Some Hospital")),
        ("Some Hospital^^^^^^^^^1.2.3.4", Organization("Some Hospital", "1.2.3.4")),
        ("Some Hospital^^^^^&1.2.3&ISO^^^^45", Organization("Some Hospital", "45", "1.2.3")),
        ("Smith & Sons", Organization("Smith & Sons")),
    ],
)
def test_xon_as_peers_write_it(wire, value):
    assert hl7.read_xon(wire) == value


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("^^Internet^a@b.org", Telecom("a@b.org", "email")),
        ("^PRS^PH^^31^12^345", Telecom("+31 12 345", "phone", "mobile")),
        ("^WPN^FX^^^^5551234^12", Telecom("5551234 x12", "fax", "work")),
        ("(414)555-1212", Telecom("(414)555-1212")),
        ("^^CP^^^^^^^^^5551234", Telecom("5551234", "phone", "mobile")),
        ("^PRN^PH^^^^^^^^^5551234", Telecom("5551234", "phone", "home")),
        ("a@b.org^NET^Internet", Telecom("a@b.org", "email")),
        ("^WPN^PH", None),
        ("", None),
    ],
)
def test_xtn_as_peers_write_it(wire, value):
    assert hl7.read_xtn(wire) == value


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("Attending", "Attending"),
        ("R&D", "R&D"),
        ("221^^^&1.2.3&ISO", Code("221", "1.2.3")),
        ("Chief^Surgeon", "Chief^Surgeon"),
    ],
)
def test_role_is_text_or_code(wire, value):
    assert hl7.read_coded_text(wire) == value


def test_text_role_stays_readable_where_it_cannot_be_misread():
    assert hl7.write_coded_text("R&D") == "R&D"


def test_unknown_escapes_stay():
    assert hl7.unescape(r"a\.br\b\X0D\c") == r"a\.br\b\X0D\c"


def test_patient_info_repetitions_on_one_line_or_on_several():
    ids = (Cx("1", "1.2"), Cx("2", "1.3"))
    on_one = read_patient_info(("PID-3|1^^^&1.2&ISO~2^^^&1.3&ISO",))
    assert on_one == read_patient_info(("PID-3|1^^^&1.2&ISO", "PID-3|2^^^&1.3&ISO")) == SourcePatientInfo(ids)


def test_patient_info_as_peers_write_it():
    lines = (
        "PID-5|Doe^John^^^",
        "PID-7|19560527",
        "pid-8|m",
        "PID-11|100 Main St&Main St^^Metropolis^Il^44130^USA",
    )
    assert read_patient_info((*lines, "PID-13|555")) == SourcePatientInfo(
        names=(Person(family="Doe", given="John"),),
        birth_date="19560527",
        gender="M",
        addresses=(Address("100 Main St", None, "Metropolis", "Il", "44130", "USA"),),
        other=("PID-13|555",),
    )


def test_what_else_patient_info_says_of_a_person_is_read():
    lines = ("PID-6|O\\T\\Hara^Mary", "PID-13|555~^NET^Internet^ada@x.example", "PID-14|555", "PID-16|M")
    info = read_patient_info(lines)
    assert info.other == lines, "it goes on as it came"
    details = further_details(info)
    assert details.mothers_maiden_name == Person(family="O&Hara", given="Mary")
    assert [telecom.value for telecom in details.telecoms] == ["555", "ada@x.example"]
    assert [telecom.system for telecom in details.telecoms][1] == "email"
    assert further_details(SourcePatientInfo(other=("PID-6|", "PID-13|^^", "PID-13"))) == PatientQuery()


def test_many_patient_ids_go_on_in_a_further_line_of_256_characters():
    ids = tuple(Cx(f"{n:040}", "1.2.3.4.5") for n in range(12))
    lines = write_patient_info(SourcePatientInfo(ids=ids))
    assert len(lines) > 1
    assert all(len(line) <= 256 for line in lines)
    assert read_patient_info(tuple(lines)) == SourcePatientInfo(ids=ids)


@pytest.mark.parametrize(
    ("wire", "value"),
    [
        ("Hospital^^^^^^^^^1.2.3", IntendedRecipient(organization=Organization("Hospital", "1.2.3"))),
        ("|^Welby^Marcus|", IntendedRecipient(person=Person(family="Welby", given="Marcus"))),
        ("||^^Internet^a@b.org", IntendedRecipient(telecom=Telecom("a@b.org", "email"))),
        ("||", None),
    ],
)
def test_intended_recipient_as_peers_write_it(wire, value):
    assert read_recipient(wire) == value
