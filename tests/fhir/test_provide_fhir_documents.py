"""A FHIR document as entry of a Provide Document Bundle: its bytes, and what makes it a document."""

import hashlib

import orjson
import pytest

from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import OutcomeError
from gateway.fhir.provide_bundle import read_provide_bundle
from gateway.fhir.provide_response import write_provide_response
from gateway.fhir.xml_reader import read_xml
from gateway.fhir.xml_writer import write_xml
from tests.fhir import provide_samples as samples

DOCUMENT = "Bundle.entry[2].resource"
ATTACHMENT = "Bundle.entry[1].resource.content[0].attachment"


def document():
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.7"},
        "type": "document",
        "timestamp": "2026-01-02T03:04:05Z",
        "entry": [
            {
                "fullUrl": samples.urn(700),
                "resource": {
                    "resourceType": "Composition",
                    "status": "final",
                    "type": samples.concept("85430-7"),
                    "date": "2026-01-02",
                    "author": [{"display": "Welby"}],
                    "title": "Report",
                    "text": {
                        "status": "generated",
                        "div": '<div xmlns="http://www.w3.org/1999/xhtml">A</div>',
                    },
                },
            },
            {
                "fullUrl": samples.urn(701),
                "resource": {
                    "resourceType": "Observation",
                    "status": "final",
                    "code": {"text": "Mass"},
                    "valueQuantity": {"value": 1.1, "unit": "kg"},
                },
            },
        ],
    }


def bundle(inner=None, content_type="application/fhir+json"):
    made = samples.bundle()
    made["entry"][2] = samples.entry(100, "Bundle", inner or document())
    attachment = made["entry"][1]["resource"]["content"][0]["attachment"]
    del attachment["hash"], attachment["size"]
    attachment["contentType"] = content_type
    return made


def test_json_is_stored_with_the_bytes_of_the_request():
    text = orjson.dumps(document(), option=orjson.OPT_INDENT_2).replace(b'"value": 1.1,', b'"value" : 1.10,')
    raw = orjson.dumps(bundle({"resourceType": "Bundle", "type": "x"}))
    raw = raw.replace(b'{"resourceType":"Bundle","type":"x"}', text)
    read = samples.read(raw)
    (stored,), (entry,) = read.documents, read.submission.entries
    assert stored.content == text
    assert (entry.mime_type, stored.mime_type) == ("application/fhir+json",) * 2
    assert (entry.hash, entry.size) == (hashlib.sha1(text).hexdigest(), len(text))


def test_xml_is_stored_as_a_document_of_its_own():
    raw = write_xml(bundle(content_type="application/fhir+xml"))
    read = read_provide_bundle(raw, samples.context(), FhirFormat.XML)
    (stored,), (entry,) = read.documents, read.submission.entries
    assert entry.mime_type == "application/fhir+xml"
    assert entry.hash == hashlib.sha1(stored.content).hexdigest()
    assert read_xml(stored.content) == read_xml(write_xml(document()))


def test_a_change_of_the_narrative_makes_another_submission():
    changed = document()
    changed["entry"][0]["resource"]["text"]["div"] = '<div xmlns="http://www.w3.org/1999/xhtml">B</div>'
    assert samples.read(bundle()).digest != samples.read(bundle(changed)).digest


def test_the_location_of_the_document_is_its_url():
    read = samples.read(bundle())
    response = write_provide_response(read, samples.context())["entry"][2]["response"]
    assert response == {"status": "201 Created", "location": f"{samples.BASE}/content/2.999.10/2.999.1.2.0"}


def test_the_format_of_the_request_prevails_over_the_content_type():
    read = samples.read(bundle(content_type="application/fhir+xml"))
    assert read.documents[0].mime_type == "application/fhir+json"
    assert [w.expression for w in read.warnings] == [f"{ATTACHMENT}.contentType"]


def test_modifier_extensions_of_the_content_are_no_matter_of_the_transaction():
    inner = document()
    inner["entry"][1]["resource"]["modifierExtension"] = [
        {"url": "https://a.example/b", "valueBoolean": True}
    ]
    assert len(samples.read(bundle(inner)).documents) == 1


def errors(made):
    with pytest.raises(OutcomeError) as caught:
        samples.read(made)
    return caught.value.status, [i.expression for i in caught.value.issues if i.severity == "error"]


@pytest.mark.parametrize(
    ("change", "places"),
    [
        (lambda d: d.update(type="collection"), ["type"]),
        (lambda d: d.pop("identifier"), ["identifier"]),
        (lambda d: d["identifier"].pop("system"), ["identifier"]),
        (lambda d: d.pop("timestamp"), ["timestamp"]),
        (lambda d: d.pop("entry"), ["entry"]),
        (lambda d: d["entry"].reverse(), ["entry[0].resource"]),
        (lambda d: d["entry"][1].pop("resource"), ["entry[1].resource"]),
        (lambda d: d["entry"][0]["resource"].pop("title"), ["entry[0].resource.title"]),
        (lambda d: d["entry"][1]["resource"].update(resourceType="Nothing"), ["entry[1].resource"]),
        (
            lambda d: d["entry"][1].update(request={"method": "POST", "url": "Observation"}),
            ["entry[1].request"],
        ),
        (lambda d: d.pop("type"), ["type"]),
        (lambda d: d.update(entry="text"), ["entry"]),
    ],
)
def test_a_bundle_that_is_no_document(change, places):
    inner = document()
    change(inner)
    assert errors(bundle(inner)) == (400, [f"{DOCUMENT}.{place}" for place in places])


@pytest.mark.parametrize("element", ["hash", "size"])
def test_hash_and_size_are_not_known_to_the_source(element):
    made = bundle()
    value = 3 if element == "size" else "2jmj7l5rSw0yVb/vlWAYkK/YBwk="
    made["entry"][1]["resource"]["content"][0]["attachment"][element] = value
    assert errors(made) == (422, [f"{ATTACHMENT}.{element}"])


def test_a_document_that_nothing_describes():
    made = bundle()
    made["entry"].append(samples.entry(300, "Bundle", document()))
    assert errors(made) == (422, ["Bundle.entry[3]"])
