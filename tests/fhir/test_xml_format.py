"""FHIR XML is the same resource as FHIR JSON, and what FHIR XML does not allow is refused by name."""

import base64
import copy
from pathlib import Path

import orjson
import pytest
from fhir.resources.R4B import get_fhir_model_class
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.fhir.capability import write_capability_statement
from gateway.fhir.document_reference import write_document_reference
from gateway.fhir.formats import FhirFormat, write_resource
from gateway.fhir.issues import Issue, OutcomeError
from gateway.fhir.lists import write_folder_list, write_submission_set_list
from gateway.fhir.outcome import write_outcome
from gateway.fhir.provide_bundle import read_provide_bundle
from gateway.fhir.provide_response import write_provide_response
from gateway.fhir.searchset import write_searchset
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml
from tests.ebxml import strategies as registry
from tests.fhir import provide_samples as samples
from tests.fhir import strategies
from tests.fhir.contexts import write_context

PROFILES = Path(__file__).resolve().parents[3] / "shared/oracle/profiles/r4"
RESOURCES = sorted(PROFILES.glob("*/*.json")) + sorted(PROFILES.glob("*/examples/*.json"))
NS = 'xmlns="http://hl7.org/fhir"'
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">a <b class="x">b</b></div>'


def round_trip(resource, **how):
    return read_xml(write_xml(resource, **how))


def comparable(value):
    """Narratives as canonical XML, in which quotes and empty tags are written in one way."""
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: etree.tostring(etree.fromstring(item), method="c14n") if name == "div" else comparable(item)
        for name, item in value.items()
    }


def refusals(xml):
    with pytest.raises(OutcomeError) as caught:
        read_xml(xml if isinstance(xml, bytes) else xml.encode())
    assert caught.value.status == 400
    return [(issue.expression, issue.code) for issue in caught.value.issues]


# --- what the gateway writes ------------------------------------------------------------------------------
def assert_same_in_xml(resource):
    assert round_trip(resource) == round_trip(resource, pretty=True) == resource
    # a second reader, which knows no wrong order or element
    model = get_fhir_model_class(resource["resourceType"])
    assert model.model_validate_xml(write_xml(resource)) == model.model_validate(resource)


@given(st.one_of(registry.document_entries(), strategies.document_entries()))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_document_reference_is_the_same_in_xml(entry):
    assert_same_in_xml(write_document_reference(entry, write_context(), ()))


@given(registry.submission_sets(), registry.folders())
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_every_list_is_the_same_in_xml(submission_set, folder):
    members = (("DocumentReference", "1"), ("List", "2"))
    assert_same_in_xml(write_submission_set_list(submission_set, members, write_context()))
    assert_same_in_xml(write_folder_list(folder, members[:1], write_context()))


def test_bundles_outcomes_and_the_capability_statement_are_the_same_in_xml():
    issues = (Issue("warning", "value", 'a <b> & "c"\r\n\td', "Bundle.entry[0]", "XDSTooManyResults"),)
    page = write_searchset(
        entries=[("urn:x:1", orjson.dumps(samples.bundle(b"one")["entry"][0]["resource"]))],
        total=1,
        links={"self": "http://x/y?a=b&c=d"},
        issues=issues,
    )
    provided = samples.read(samples.with_folder(b"one", b"two"))
    for resource in (
        orjson.loads(page),
        write_outcome(issues),
        write_provide_response(provided, samples.context(), issues),
        orjson.loads(write_capability_statement("http://127.0.0.1/fhir")),
    ):
        assert_same_in_xml(resource)


def test_json_that_is_not_to_be_changed_is_the_very_bytes():
    written = b'{"resourceType":"Patient","id":"1"}'
    assert write_resource(written, FhirFormat.JSON) is written
    assert orjson.loads(write_resource(written, FhirFormat.JSON, pretty=True)) == orjson.loads(written)


@given(st.text(min_size=1))
def test_any_text_comes_through_and_what_xml_cannot_carry_is_marked(text):
    (name,) = round_trip({"resourceType": "Patient", "name": [{"family": text}]})["name"]
    expected = "".join(
        c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\uffff") else "\ufffd" for c in text
    )
    assert name["family"] == expected


def test_an_element_that_fhir_does_not_define_is_never_written():
    for resource in ({"resourceType": "Patient", "size": 1}, {"resourceType": "Nothing"}, {"id": "1"}):
        with pytest.raises(ValueError, match="FHIR R4"):
            write_xml(resource)


# --- everything FHIR can hold -----------------------------------------------------------------------------
@pytest.mark.skipif(not RESOURCES, reason="the examples of the profiles are not here")
def test_resources_of_the_profiles_are_the_same_after_xml():
    compared = 0
    for path in RESOURCES:
        resource = orjson.loads(path.read_bytes())
        if b'""' in path.read_bytes() or len(path.read_bytes()) > 200_000:
            # an empty string is not FHIR; the large ones are more of the same
            continue
        assert comparable(round_trip(resource)) == comparable(resource), path.name
        compared += 1
    assert compared > 250


PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "text": {"status": "generated", "div": DIV},
    "contained": [{"resourceType": "Organization", "id": "o", "name": "O"}],
    "extension": [
        {"url": "urn:x:1", "id": "e1", "extension": [{"url": "a", "valueDecimal": 72.5}]},
        {"url": "urn:x:2", "valueBase64Binary": base64.b64encode(b"bytes").decode()},
    ],
    "active": False,
    "name": [
        {"id": "n1", "given": ["Eva", None, "M"], "_given": [None, {"extension": [{"url": "u", "valueCode": "c"}]}, {"id": "g"}]},
        {"_family": {"extension": [{"url": "u", "valueInteger": -3}]}},
    ],
    "_birthDate": {"extension": [{"url": "u", "valueDateTime": "1961-02-03T04:05:06.70+01:00"}]},
    "birthDate": "1961-02-03",
    "multipleBirthInteger": 2,
    "managingOrganization": {"reference": "#o"},
}  # fmt: skip


def test_extensions_of_primitives_contained_resources_decimals_and_narratives_come_through():
    assert round_trip(PATIENT) == round_trip(PATIENT, pretty=True) == PATIENT


def test_elements_are_written_in_the_order_of_fhir_whatever_that_of_the_json():
    shuffled = dict(reversed(PATIENT.items()))
    assert write_xml(shuffled) == write_xml(PATIENT)
    tags = [etree.QName(child).localname for child in etree.fromstring(write_xml(PATIENT))]
    assert tags == [
        *("id", "text", "contained", "extension", "extension", "active", "name", "name"),
        *("birthDate", "multipleBirthInteger", "managingOrganization"),
    ]


def test_ids_of_elements_and_urls_of_extensions_are_attributes():
    root = etree.fromstring(write_xml(PATIENT))
    fhir = {"f": "http://hl7.org/fhir"}
    assert root.xpath("string(f:name/@id)", namespaces=fhir) == "n1"
    assert root.xpath("string(f:id/@value)", namespaces=fhir) == "p"
    assert root.xpath("f:extension/@url", namespaces=fhir) == ["urn:x:1", "urn:x:2"]


def test_prefixes_comments_declarations_and_schema_locations_do_not_matter():
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><!-- c --><f:Patient xmlns:f="http://hl7.org/fhir" '
        'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="a b">\n'
        '<f:text><f:status value="empty"/><h:div xmlns:h="http://www.w3.org/1999/xhtml">x</h:div></f:text>'
        "<!-- c --><f:active value='true'/></f:Patient>"
    )
    read = read_xml(xml.encode())
    assert read["active"] is True
    assert etree.fromstring(read["text"]["div"]).tag == "{http://www.w3.org/1999/xhtml}div"
    assert "fhir" not in read["text"]["div"]


# --- requests ---------------------------------------------------------------------------------------------
def in_xml(bundle, **how):
    return read_provide_bundle(write_xml(bundle, **how), samples.context(), FhirFormat.XML)


def test_a_bundle_in_xml_is_the_same_submission_as_in_json():
    bundle = samples.with_folder(b"\0one", bytes(range(256)) * 500)
    provided = samples.read(bundle)
    assert in_xml(bundle) == in_xml(bundle, pretty=True) == provided


def test_narratives_that_are_written_in_another_way_do_not_make_another_submission():
    bundle = samples.bundle(b"one")
    (where,) = [
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
    ]
    where["text"] = {"status": "generated", "div": "<div  xmlns='http://www.w3.org/1999/xhtml'><br />é</div>"}
    assert in_xml(bundle).digest == samples.read(bundle).digest


def test_a_document_above_ten_megabytes_comes_through():
    content = b"0123456789abcdef" * 800_000
    assert in_xml(samples.bundle(content)).documents[0].content == content


def test_base64_in_lines_is_read():
    bundle = samples.bundle(b"content of the document" * 10)
    (binary,) = [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "Binary"]
    lines = copy.deepcopy(bundle)
    for entry in lines["entry"]:
        if entry["resource"]["resourceType"] == "Binary":
            entry["resource"]["data"] = binary["data"][:76] + "\n" + binary["data"][76:]
    assert in_xml(lines).digest == samples.read(bundle).digest


def test_a_broken_rule_is_named_alike_in_both_formats():
    bundle = samples.bundle(b"one")
    bundle["entry"][0]["request"]["method"] = "PUT"
    with pytest.raises(OutcomeError) as caught:
        in_xml(bundle)
    refused = samples.refusal(bundle)
    assert (caught.value.status, caught.value.issues) == (refused.status, refused.issues)


# --- what is refused --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("xml", "expression", "code"),
    [
        (f'<!DOCTYPE Patient><Patient {NS}><active value="true"/></Patient>', None, "structure"),
        (f'<!DOCTYPE p [<!ENTITY e "x">]><Patient {NS}><id value="&e;"/></Patient>', None, "structure"),
        (f'<!DOCTYPE p [<!ENTITY e SYSTEM "file:///etc/passwd">]><Patient {NS}>&e;</Patient>', None, "structure"),
        (f'<Patient {NS}><id value="&e;"/></Patient>', None, "structure"),
        (f'<Patient {NS}><active value="true"></Patient>', None, "structure"),
        ('<Patient><active value="true"/></Patient>', "Patient", "structure"),
        ('<Patient xmlns="urn:x"><active value="true"/></Patient>', "Patient", "structure"),
        (f'<Patient {NS}><active xmlns="" value="true"/></Patient>', "Patient.active", "structure"),
        (f'<Nothing {NS}><active value="true"/></Nothing>', "Nothing", "structure"),
        (f'<Resource {NS}><id value="1"/></Resource>', "Resource", "structure"),
        (f'<Patient {NS}><size value="1"/></Patient>', "Patient.size", "structure"),
        (f'<Patient {NS} id="1"><active value="true"/></Patient>', "Patient", "structure"),
        (f'<Patient {NS}><active value="true" lang="en"/></Patient>', "Patient.active", "structure"),
        (f'<Patient {NS}><name url="x"><family value="A"/></name></Patient>', "Patient.name[0]", "structure"),
        (f'<Patient {NS}><active value="true"/><active value="false"/></Patient>', "Patient.active", "structure"),
        (f'<Patient {NS}><gender value="male"/><active value="true"/></Patient>', "Patient.active", "structure"),
        (f'<Patient {NS}><name><family value="A"/></name><active value="true"/><name><family value="B"/></name></Patient>', "Patient.active", "structure"),
        (f"<Patient {NS}><active/></Patient>", "Patient.active", "structure"),
        (f'<Patient {NS}><active value=""/></Patient>', "Patient.active", "structure"),
        (f"<Patient {NS}><name/></Patient>", "Patient.name[0]", "structure"),
        (f"<Patient {NS}/>", "Patient", "structure"),
        (f'<Patient {NS}>text<active value="true"/></Patient>', "Patient", "structure"),
        (f'<Patient {NS}><active value="true"/>text</Patient>', "Patient", "structure"),
        (f'<Patient {NS}><active value="true">text</active></Patient>', "Patient.active", "structure"),
        (f'<Patient {NS}><active value="1"/></Patient>', "Patient.active", "value"),
        (f'<Patient {NS}><multipleBirthInteger value="1.0"/></Patient>', "Patient.multipleBirthInteger", "value"),
        (f'<Patient {NS}><multipleBirthInteger value="{"9" * 5000}"/></Patient>', "Patient.multipleBirthInteger", "value"),
        (f'<Patient {NS}><contained/></Patient>', "Patient.contained[0]", "structure"),
        (f'<Patient {NS}><contained><Basic><id value="1"/></Basic><Basic><id value="2"/></Basic></contained></Patient>', "Patient.contained[0]", "structure"),
        (f'<Patient {NS}><contained><Foo><id value="1"/></Foo></contained></Patient>', "Patient.contained[0]", "structure"),
        (f'<Patient {NS}><text><status value="empty"/><div>x</div></text></Patient>', "Patient.text.div", "structure"),
        (f'<Patient {NS}><active value="true"><active value="true"/></active></Patient>', "Patient.active.active", "structure"),
        (f'<Observation {NS}><valueQuantity><value value="01"/></valueQuantity></Observation>', "Observation.valueQuantity.value", "value"),
        (f'<Observation {NS}><valueQuantity><value value="NaN"/></valueQuantity></Observation>', "Observation.valueQuantity.value", "value"),
    ],
)  # fmt: skip
def test_what_fhir_xml_does_not_allow_is_refused_with_its_element(xml, expression, code):
    assert (expression, code) in refusals(xml)


def test_another_encoding_than_utf_8_is_refused():
    xml = f'<?xml version="1.0" encoding="ISO-8859-1"?><Patient {NS}><id value="é"/></Patient>'
    assert refusals(xml.encode("latin-1")) == [(None, "structure")]
    assert refusals(f'<Patient {NS}><id value="1"/></Patient>'.encode("utf-16")) == [(None, "structure")]
    assert read_xml(f'\ufeff<Patient {NS}><id value="1"/></Patient>'.encode())["id"] == "1"


def test_depth_is_bounded():
    def nested(depth):
        inner = '<valueString value="x"/>'
        for _ in range(depth):
            inner = f'<extension url="u">{inner}</extension>'
        return f"<Patient {NS}>{inner}</Patient>"

    assert read_xml(nested(40).encode())["extension"]
    assert refusals(nested(100)) == [(None, "too-long")]
    assert refusals(nested(5000)) == [(None, "structure")]


def test_the_number_of_elements_and_of_findings_is_bounded():
    many = b"<Patient " + NS.encode() + b">" + b"<a/>" * 2_000_001 + b"</Patient>"
    assert refusals(many) == [(None, "too-costly")]
    wrong = "".join(f'<wrong{number} value="1"/>' for number in range(5000))
    assert len(refusals(f"<Patient {NS}>{wrong}</Patient>")) == 100


BUNDLE = write_xml(samples.with_folder(b"one"))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_damaged_bundle_is_read_or_refused_but_never_more(data):
    raw = bytearray(BUNDLE)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(raw) - 1))
        end = min(len(raw), at + data.draw(st.integers(0, 40)))
        raw[at:end] = data.draw(
            st.sampled_from([b"", b"<", b"/>", b'"', b"<id/>", b"</entry>", b"&", b"&#0;", b"\xff", BUNDLE[at - 60 : at]])
        )  # fmt: skip
    try:
        read_provide_bundle(bytes(raw), samples.context(), FhirFormat.XML)
    except OutcomeError as error:
        assert error.status in (400, 422)
