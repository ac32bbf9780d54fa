"""FHIR -> XDS -> FHIR: of all elements of FHIR R4, those are lost that `gateway.fhir.losses` names, and no others."""

import copy
from collections import defaultdict

import pytest

from gateway.fhir.element_types import type_of_resource
from gateway.fhir.issues import OutcomeError
from gateway.fhir.losses import LOSSES
from tests.fhir import provide_samples as samples
from tests.fhir.elements import cases, present, with_value, without
from tests.fhir.round_trip import DOCUMENT, FOLDER, SET, full_bundle, sent_and_found, with_resource

BUNDLE = full_bundle()
FOUND = sent_and_found(BUNDLE)
POSITIONS = {"SubmissionSet": SET, "DocumentReference": DOCUMENT, "Folder": FOLDER}
LISTED = {element: loss.said for loss in LOSSES if loss.direction == "publish" for element in loss.elements}

IMPLIED = {
    "DocumentReference.content.attachment.size": "is that of the document",
    "DocumentReference.content.attachment.hash": "is that of the document",
    "List.entry.item.reference": "a SubmissionSet holds what comes with it, which an issue says",
    "DocumentReference.identifier.type.coding.system": "the uniqueId stands in masterIdentifier too",
}
"""Elements that come back although they are taken away."""


def fate(bundle):
    """`refused`, or whether the element is kept, and said to be lost."""
    try:
        got = sent_and_found(bundle)
    except OutcomeError as error:
        return "invalid" if error.status == 400 else "refused"
    if got.resources != FOUND.resources:
        return "kept"
    return "said" if set(got.said) - set(FOUND.said) else "lost"


def fate_of_first_valid(position, resource, case):
    """Of the values to try, the first that FHIR takes tells."""
    result = "untried"
    for value in case.values:
        result = fate(with_resource(BUNDLE, position, with_value(resource, case.path, value)))
        if result != "invalid":
            break
    return result


def listed_as(typed):
    """How the table names an element of a data type."""
    owner, _, element = typed.partition(".")
    if typed in LISTED:
        return typed
    if element in ("id", "extension", "extension[+]"):
        return f"Element.{element.removesuffix('[+]')}"
    if element in ("text", "language", "meta") and type_of_resource(owner):
        return f"Resource.{element}"
    return typed


def fates():
    """What becomes of each element that is added to what is mapped, or taken away from it."""
    found = defaultdict(set)
    for position in POSITIONS.values():
        resource = BUNDLE["entry"][position]["resource"]
        for case in cases(resource):
            found[listed_as(case.typed)].add(fate_of_first_valid(position, resource, case))
        for case in present(resource):
            if case.name in IMPLIED and position != FOLDER:
                continue
            result = fate(with_resource(BUNDLE, position, without(resource, case.path)))
            found[listed_as(case.typed)].add(result)
    return found


def test_of_all_elements_those_of_the_table_are_lost_and_said_where_it_says_so():
    found = fates()
    assert [element for element, results in found.items() if "untried" in results] == []
    assert len(found) > 150
    lost = {element: results & {"lost", "said"} for element, results in found.items()}
    assert {e: r for e, r in lost.items() if r} == {
        element: {"said" if said else "lost"} for element, said in LISTED.items() if element in found
    }
    of_authors = {f"author.{kind}" for kind in OTHER_AUTHORS}
    assert set(LISTED) - set(found) == {*OTHERS, *OF_TELECOMS, *of_authors}, "each is tried below"


def test_the_full_bundle_comes_back_with_every_element_that_has_a_place():
    assert FOUND.said == ()
    for position in POSITIONS.values():
        sent, found = BUNDLE["entry"][position]["resource"], FOUND.resources[position]
        assert sent.keys() - found.keys() <= {"meta"}


def changed(change):
    """The fate of a change to the document."""
    made = copy.deepcopy(BUNDLE)
    change(made["entry"][DOCUMENT]["resource"], made)
    return fate(made)


def set_creation(value):
    def change(resource, _):
        resource["content"][0]["attachment"]["creation"] = value

    return change


def set_content_type(resource, made):
    resource["content"][0]["attachment"]["contentType"] = "text/plain; charset=utf-8"
    made["entry"][2]["resource"]["contentType"] = "text/plain; charset=utf-8"


def add_patient_entry(_, made):
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:2.999.2", "value": "P1"}],
        "name": [{"family": "Muster"}],
    }
    made["entry"].append(samples.entry(70, "Patient", patient))


def author_of(kind):
    def change(resource, _):
        (person,) = [c for c in resource["contained"] if c["id"] == "l"]
        name = person.pop("name")
        person["resourceType"] = kind
        if kind == "Device":
            person["deviceName"] = [{"name": name[0]["family"], "type": "other"}]
        else:
            person["name"] = name
        if kind == "RelatedPerson":
            person["patient"] = {"display": "x"}
        resource["author"].append({"reference": "#l"})
        del resource["authenticator"]

    return change


OTHER_AUTHORS = ("Patient", "RelatedPerson", "Device")
OF_TELECOMS = ("ContactPoint.use temp", "ContactPoint.use old", "ContactPoint.system sms")
OTHERS = {
    "Attachment.contentType parameters": set_content_type,
    "Bundle.entry Patient": add_patient_entry,
    "dateTime.zone": set_creation("2026-01-02T05:04:05+02:00"),
    "dateTime.fraction": set_creation("2026-01-02T03:04:05.678Z"),
}


@pytest.mark.parametrize("element", OTHERS)
def test_values_that_are_lost_in_part(element):
    assert changed(OTHERS[element]) == ("said" if LISTED[element] else "lost")


@pytest.mark.parametrize("element", OF_TELECOMS)
def test_telecoms_that_are_something_else_afterwards(element):
    name, value = element.removeprefix("ContactPoint.").split()
    made = copy.deepcopy(BUNDLE)
    resource = made["entry"][DOCUMENT]["resource"]
    (role,) = [c for c in resource["contained"] if c["id"] == "r"]
    role["telecom"].append({"system": "other", "value": "1", name: value})
    contained = sent_and_found(made).resources[DOCUMENT]["contained"]
    (found,) = [c for c in contained if c["resourceType"] == "PractitionerRole"]
    assert {"system": "other", "value": "1"} in found["telecom"]
    assert element in LISTED


@pytest.mark.parametrize("kind", OTHER_AUTHORS)
def test_an_author_of_another_kind_is_a_person_afterwards(kind):
    made = copy.deepcopy(BUNDLE)
    author_of(kind)(made["entry"][DOCUMENT]["resource"], made)
    found = sent_and_found(made).resources[DOCUMENT]
    (author,) = [c for c in found["contained"] if c["id"] == "author2"]
    assert (author["resourceType"], author["name"]) == ("Practitioner", [{"family": "Legal"}])
    assert f"author.{kind}" in LISTED
