"""Parts of resources are valid FHIR, hold what FHIR requires and say that they are parts."""

import json

import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.documentreference import DocumentReference, DocumentReferenceContext
from fhir.resources.R4B.imagingstudy import ImagingStudy, ImagingStudySeries
from hypothesis import given
from hypothesis import strategies as st

from gateway.fhir.document_reference import document_reference_json
from gateway.fhir.lists import write_submission_set_list
from gateway.fhir.resource_view import SHAPES, Summary, View, read_elements, read_view
from gateway.fhir.search_values import SearchProblem
from gateway.fhir.study_resources import write_study
from gateway.model import (
    Association,
    Author,
    Code,
    Cx,
    DocumentEntry,
    Organization,
    Person,
    ReferenceId,
    SubmissionSet,
    codes,
)
from tests.fhir import strategies
from tests.fhir.contexts import write_context
from tests.fhir.manifest_samples import SIMPLE
from tests.fhir.test_study_resources import CONTEXT, found

MODELS = {name: get_fhir_model_class(name) for name in SHAPES}
CODED = {"text": "x"}
REFERENCE = {"display": "x"}
MEDICATION = {"medicationCodeableConcept": CODED}
MANDATORY = {
    "DocumentReference": {"status": "current", "content": [{"attachment": {"url": "urn:x"}}]},
    "List": {"status": "current", "mode": "working"},
    "ImagingStudy": {"status": "available", "subject": REFERENCE},
    "DiagnosticReport": {"status": "final", "code": CODED},
    "Composition": {
        "status": "final",
        "type": CODED,
        "date": "2024",
        "author": [REFERENCE],
        "title": "x",
    },
    "Observation": {"status": "final", "code": CODED},
    "Procedure": {"status": "completed", "subject": REFERENCE},
    "ServiceRequest": {"status": "active", "intent": "order", "subject": REFERENCE},
    "Provenance": {"target": [REFERENCE], "recorded": "2024-01-01T00:00:00Z", "agent": [{"who": REFERENCE}]},
    "Basic": {"code": CODED},
    "AdverseEvent": {"actuality": "actual", "subject": REFERENCE},
    "Condition": {"subject": REFERENCE},
    "AllergyIntolerance": {"patient": REFERENCE},
    "Encounter": {"status": "finished", "class": {"code": "AMB"}},
    "MedicationRequest": {"status": "active", "intent": "order", "subject": REFERENCE, **MEDICATION},
    "MedicationAdministration": {
        "status": "completed",
        "subject": REFERENCE,
        "effectiveDateTime": "2024",
        **MEDICATION,
    },
    "MedicationDispense": {"status": "completed", **MEDICATION},
    "Endpoint": {
        "status": "active",
        "connectionType": {"code": "x"},
        "payloadType": [CODED],
        "address": "https://x.example",
    },
}
CHOICES = {"medicationReference": "medicationCodeableConcept", "effectivePeriod": "effectiveDateTime"}
TAG = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}


@pytest.mark.parametrize("resource_type", list(SHAPES))
def test_the_tables_are_those_of_fhir(resource_type):
    model, shape = MODELS[resource_type], SHAPES[resource_type]
    assert shape.names == set(model.elements_sequence())
    assert shape.summary == set(model.summary_elements_sequence()) - {"id", "meta", "implicitRules"}
    if resource_type == "DocumentReference":
        inside = set(DocumentReferenceContext.summary_elements_sequence()) - {"modifierExtension"}
        assert shape.inside == {"context": inside}
    if resource_type == "ImagingStudy":
        inside = set(ImagingStudySeries.summary_elements_sequence()) - {"modifierExtension"}
        assert shape.inside == {"series": inside}


@pytest.mark.parametrize("resource_type", list(SHAPES))
def test_the_mandatory_elements_are_those_that_fhir_requires(resource_type):
    mandatory = MANDATORY.get(resource_type, {})
    MODELS[resource_type].model_validate(mandatory)
    for name in mandatory:
        with pytest.raises(ValueError):
            MODELS[resource_type].model_validate({k: v for k, v in mandatory.items() if k != name})
    # of a choice of types each has to stay, whichever a resource has
    assert {CHOICES.get(name, name) for name in SHAPES[resource_type].mandatory} == {
        CHOICES.get(name, name) for name in mandatory
    }


views = st.sampled_from([View(Summary.TRUE), View(Summary.TEXT)]) | st.sets(
    st.sampled_from(sorted(SHAPES["DocumentReference"].names)), min_size=1
).map(lambda names: View(elements={"DocumentReference": frozenset(names)}))


@given(strategies.document_entries(), views)
def test_a_part_is_valid_and_is_marked_and_holds_nothing_else(entry, view):
    whole = document_reference_json(entry, write_context())
    full, part = json.loads(whole), json.loads(view.apply(whole))
    DocumentReference.model_validate(part)
    assert part["meta"]["tag"] == [TAG]
    assert "profile" not in part["meta"]
    assert part["id"] == full["id"]
    assert {"status", "content"} <= set(part)
    if view.elements:
        asked = view.elements["DocumentReference"] | {"resourceType", "id", "meta", "status", "content"}
        assert set(part) - {"contained"} == (asked & set(full)) - {"contained"} | {"meta"}
        assert all(part[name] == full[name] for name in set(part) - {"meta", "contained"})
    # FHIR allows no contained resource that nothing refers to, and no reference to one that is not there
    names = {f"#{resource['id']}" for resource in part.get("contained", ())}
    text = json.dumps({**part, "contained": None})
    assert all(name in json.dumps(part) for name in names)
    for resource in full.get("contained", ()):
        assert (f'"#{resource["id"]}"' not in text) or f"#{resource['id']}" in names


def test_a_role_keeps_the_person_and_the_organization_it_refers_to():
    author = Author(Person(family="Welby"), (Organization("Hospital"),), (Code("1", "2.999"),), (), ())
    held = SubmissionSet(
        entry_uuid="urn:uuid:0a3c1a5c-1f0f-4a2e-8fa0-000000000001",
        unique_id="1.2.3",
        source_id="2.999",
        submission_time="20240101000000",
        authors=(author,),
    )
    whole = json.dumps(write_submission_set_list(held, (), write_context())).encode()
    part = json.loads(View(elements={"List": frozenset({"source"})}).apply(whole))
    assert part["contained"] == json.loads(whole)["contained"]
    assert len(part["contained"]) >= 2
    none = json.loads(View(elements={"List": frozenset({"title"})}).apply(whole))
    assert "contained" not in none


def test_a_whole_resource_keeps_its_bytes():
    whole = b'{"resourceType": "List",  "id": "1", "status": "current", "mode": "working"}'
    for view in (View(), View(Summary.DATA), View(Summary.FALSE)):
        assert view.apply(whole) is whole
    unknown = b'{"resourceType":"Binary","id":"1"}'
    assert View(Summary.TRUE).apply(unknown) == unknown


NARRATED = {
    "resourceType": "DiagnosticReport",
    "id": "1",
    "text": {"status": "generated", "div": "<div>x</div>"},
    "status": "final",
    "code": CODED,
    "effectiveDateTime": "2024",
    "_issued": {"extension": [{"url": "urn:x", "valueCode": "unknown"}]},
    "conclusion": "x",
}


@pytest.mark.parametrize(
    ("view", "kept"),
    [
        (View(Summary.DATA), {"status", "code", "effectiveDateTime", "_issued", "conclusion"}),
        (View(Summary.TRUE), {"status", "code", "effectiveDateTime", "_issued"}),
        (View(Summary.TEXT), {"status", "code", "text"}),
        (
            View(elements=read_elements("effective,conclusion", ["DiagnosticReport"])[0]),
            {"status", "code", "effectiveDateTime", "conclusion"},
        ),
    ],
)
def test_a_part_of_a_resource_with_narrative(view, kept):
    part = json.loads(view.apply(json.dumps(NARRATED).encode()))
    assert set(part) == {"resourceType", "id", "meta"} | kept
    assert part["meta"]["tag"] == [TAG]


def test_a_summary_of_a_document_has_what_fhir_says():
    entry = an_entry()
    relation = Association(
        entry_uuid="urn:uuid:1", type=codes.RPLC, source=entry.entry_uuid, target="urn:uuid:2"
    )
    part = json.loads(View(Summary.TRUE).apply(document_reference_json(entry, write_context(), [relation])))
    assert part["context"] == {"period": {"start": "2024"}}
    assert part["relatesTo"]
    assert part["content"][0]["attachment"]["url"]
    assert "authenticator" not in part
    text = json.loads(View(Summary.TEXT).apply(document_reference_json(entry, write_context())))
    assert set(text) == {"resourceType", "id", "meta", "status", "content"}


def test_a_summary_of_a_study_has_its_series_without_instances():
    whole = json.dumps(write_study(found(SIMPLE), CONTEXT)).encode()
    part = json.loads(View(Summary.TRUE).apply(whole))
    ImagingStudy.model_validate(part)
    assert [series["uid"] for series in part["series"]] == ["2.999.1.200.1", "2.999.1.200.2"]
    assert not any("instance" in series for series in part["series"])
    assert part["numberOfInstances"] == 3
    asked = json.loads(View(elements={"ImagingStudy": frozenset({"started"})}).apply(whole))
    assert set(asked) == {"resourceType", "id", "meta", "status", "subject", "started"}


def an_entry():
    return DocumentEntry(
        entry_uuid="urn:uuid:0a3c1a5c-1f0f-4a2e-8fa0-000000000001",
        unique_id="1.2.3",
        patient_id=Cx("1", "2.999"),
        mime_type="text/plain",
        service_start_time="2024",
        legal_authenticator=Person(family="Welby"),
        reference_ids=(ReferenceId("A", None, codes.REFERENCE_STUDY),),
        facility_type=Code("1", "2.999"),
    )


def test_elements_are_those_at_the_root_of_a_type():
    found, unknown = read_elements("title, List.date,DocumentReference.type,content.attachment", ["List"])
    assert found == {
        "List": frozenset({"title", "date"}),
        "DocumentReference": frozenset({"type"}),
    }
    assert unknown == ["content.attachment"]


@pytest.mark.parametrize(
    "parameters",
    [
        [("_summary", "count")],
        [("_summary", "x")],
        [("_elements", "flavour")],
        [("_elements", "title"), ("_summary", "true")],
    ],
)
def test_a_read_with_a_wrong_part_is_refused(parameters):
    with pytest.raises(SearchProblem):
        read_view(parameters, "List")
