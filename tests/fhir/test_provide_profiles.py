"""Minimal and UnContained Provide Document Bundles, and references to other servers."""

import copy

import orjson
import pytest

from gateway.fhir.formats import FhirFormat
from gateway.fhir.issues import OutcomeError
from gateway.fhir.provide_bundle import open_provide_bundle
from gateway.fhir.provide_bundle_documents import Unreachable
from gateway.fhir.provide_bundle_references import linked_urls, urls_to_fetch
from gateway.fhir.provide_context import Elsewhere
from gateway.model import Cx, Organization, Person, codes
from tests.fhir import provide_samples as samples

DOCUMENT = "Bundle.entry[1].resource"
DIRECTORY = "https://directory.example/fhir"
PRACTITIONER = {"resourceType": "Practitioner", "id": "1", "name": [{"family": "Kildare"}]}
ORGANIZATION = {"resourceType": "Organization", "id": "2", "name": "Clinic"}
ROLE = {
    "resourceType": "PractitionerRole",
    "id": "3",
    "practitioner": {"reference": "Practitioner/1"},
    "organization": {"reference": "Organization/2"},
}
PATIENT = {
    "resourceType": "Patient",
    "id": "4",
    "identifier": [{"system": "urn:oid:2.999.3", "value": "MRN9"}],
    "name": [{"family": "Muster"}],
}
SERVED = {
    f"{DIRECTORY}/Practitioner/1": PRACTITIONER,
    f"{DIRECTORY}/Organization/2": ORGANIZATION,
    f"{DIRECTORY}/PractitionerRole/3": ROLE,
    f"{DIRECTORY}/Patient/4": PATIENT,
}


def bundle(profile=codes.PROFILE_UNCONTAINED_BUNDLE):
    made = samples.bundle()
    made["meta"]["profile"] = [profile]
    return made


def reference_of(made):
    return made["entry"][1]["resource"]


def outside(made, **changes):
    """`made` with references to the directory; changes are elements of the DocumentReference."""
    reference = reference_of(made)
    reference["contained"] = [c for c in reference["contained"] if c["resourceType"] == "Patient"]
    reference["author"] = [{"reference": f"{DIRECTORY}/PractitionerRole/3"}]
    reference.update(changes)
    return made


def read(made, served=SERVED):
    opened = open_provide_bundle(orjson.dumps(made), samples.context(), FhirFormat.JSON)
    fetched = {}
    urls = list(urls_to_fetch(opened.outside))
    while urls:
        url = urls.pop()
        fetched[url] = copy.deepcopy(served.get(url, Unreachable("nothing is there")))
        if isinstance(fetched[url], dict):
            urls += linked_urls(url, fetched[url])
    return opened.read(Elsewhere(fetched))


def errors(made, served=SERVED):
    with pytest.raises(OutcomeError) as caught:
        read(made, served)
    return caught.value.status, [i.expression for i in caught.value.issues if i.severity == "error"]


@pytest.mark.parametrize(
    "profile",
    [
        codes.PROFILE_MINIMAL_BUNDLE,
        codes.PROFILE_UNCONTAINED_BUNDLE,
        codes.PROFILE_MINIMAL_BUNDLE.replace("https:", "http:") + "|4.2.3",
        *sorted(codes.LEGACY_MINIMAL_BUNDLES),
        *sorted(codes.LEGACY_UNCONTAINED_BUNDLES),
        *sorted(codes.LEGACY_COMPREHENSIVE_BUNDLES),
    ],
)
def test_every_profile_is_taken_where_it_has_what_xds_requires(profile):
    provided = samples.read(bundle(profile))
    assert provided.submission.entries[0].limited_metadata is False


def test_a_minimal_bundle_is_told_all_that_it_lacks():
    made = bundle(codes.PROFILE_MINIMAL_BUNDLE)
    reference = reference_of(made)
    for element in ("type", "category", "subject", "securityLabel", "context", "contained", "author"):
        del reference[element]
    content = reference["content"][0]
    del content["format"], content["attachment"]["language"], content["attachment"]["creation"]
    del made["entry"][0]["resource"]["subject"]
    status, places = errors(made)
    assert status == 422
    assert set(places) == {
        "Bundle.entry[0].resource.subject",
        *(
            f"{DOCUMENT}.{element}"
            for element in (
                "type",
                "category",
                "subject",
                "securityLabel",
                "content[0].format",
                "content[0].attachment.language",
                "content[0].attachment.creation",
                "context.facilityType",
                "context.practiceSetting",
                "context.sourcePatientInfo",
            )
        ),
    }


def test_the_claim_of_the_comprehensive_profile_counts_among_several():
    made = outside(bundle())
    made["meta"]["profile"].append(codes.PROFILE_COMPREHENSIVE_BUNDLE)
    assert f"{DOCUMENT}.author[0].reference" in errors(made)[1]


def test_a_role_that_is_fetched_brings_its_person_and_organization():
    (entry,) = read(outside(bundle())).submission.entries
    (author,) = entry.authors
    assert (author.person, author.institutions) == (Person(family="Kildare"), (Organization("Clinic"),))


def test_each_place_that_can_refer_is_mapped():
    made = outside(bundle(), authenticator={"reference": f"{DIRECTORY}/Practitioner/1"}, contained=[])
    del reference_of(made)["contained"]
    reference_of(made)["context"]["sourcePatientInfo"] = {"reference": f"{DIRECTORY}/Patient/4"}
    submitted = made["entry"][0]["resource"]
    submitted["source"] = {
        "reference": f"{DIRECTORY}/Practitioner/1",
        "extension": [
            {"url": codes.EXT_AUTHOR_ORG, "valueReference": {"reference": f"{DIRECTORY}/Organization/2"}}
        ],
    }
    recipient = {"reference": f"{DIRECTORY}/Practitioner/1"}
    submitted["extension"].append({"url": codes.EXT_INTENDED_RECIPIENT, "valueReference": recipient})
    submission = read(made).submission
    (entry,) = submission.entries
    assert entry.legal_authenticator == Person(family="Kildare")
    assert entry.source_patient_id == Cx("MRN9", "2.999.3")
    assert [a.person for a in submission.submission_set.authors] == [Person(family="Kildare"), None]
    assert submission.submission_set.intended_recipients[0].person == Person(family="Kildare")


def test_the_same_bundle_has_the_same_ids_whatever_the_directory_says():
    other = {**SERVED, f"{DIRECTORY}/Practitioner/1": {**PRACTITIONER, "name": [{"family": "Other"}]}}
    first, second = read(outside(bundle())), read(outside(bundle()), other)
    assert first.digest == second.digest
    assert first.submission.entries[0].entry_uuid == second.submission.entries[0].entry_uuid


def test_a_target_that_is_not_there_is_reported_once():
    assert errors(outside(bundle()), {}) == (422, [f"{DOCUMENT}.author[0].reference"])


def test_a_display_stands_for_a_target_that_is_not_there():
    made = outside(bundle())
    reference_of(made)["author"][0]["display"] = "Dr. Kildare"
    provided = read(made, {})
    assert provided.submission.entries[0].authors[0].person == Person(family="Dr. Kildare")
    assert f"{DOCUMENT}.author[0]" in [w.expression for w in provided.warnings]


@pytest.mark.parametrize(
    "answer",
    [
        {"resourceType": "Observation", "status": "final", "code": {"text": "x"}},
        {"resourceType": "PractitionerRole", "practitioner": "Practitioner/1"},
        {"resourceType": "Practitioner", "unknown": True},
        {"resourceType": {"a": 1}},
    ],
)
def test_a_target_of_another_kind_or_that_is_not_fhir(answer):
    status, places = errors(outside(bundle()), {f"{DIRECTORY}/PractitionerRole/3": answer})
    assert status == 422
    assert all(place.startswith(f"{DOCUMENT}.author[0]") for place in places)


def test_the_source_patient_can_be_the_patient_of_the_bundle():
    made = bundle(codes.PROFILE_MINIMAL_BUNDLE)
    reference = reference_of(made)
    reference["context"]["sourcePatientInfo"] = {"reference": samples.urn(70)}
    reference["contained"] = [c for c in reference["contained"] if c["resourceType"] != "Patient"]
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": "urn:oid:2.999.2", "value": "P1"}],
        "name": [{"family": "Muster"}],
    }
    made["entry"].append(samples.entry(70, "Patient", patient))
    (entry,) = read(made).submission.entries
    assert entry.source_patient_id == samples.PATIENT
    assert entry.source_patient_info.names[0].family == "Muster"


def test_the_source_patient_can_be_named_by_identifier():
    made = bundle(codes.PROFILE_MINIMAL_BUNDLE)
    reference = reference_of(made)
    reference["context"]["sourcePatientInfo"] = {"identifier": {"system": "urn:oid:2.999.3", "value": "M"}}
    reference["contained"] = [c for c in reference["contained"] if c["resourceType"] != "Patient"]
    assert read(made).submission.entries[0].source_patient_id == Cx("M", "2.999.3")


def test_a_source_patient_that_nothing_names():
    made = bundle(codes.PROFILE_MINIMAL_BUNDLE)
    reference = reference_of(made)
    reference["context"]["sourcePatientInfo"] = {"display": "Maria"}
    reference["contained"] = [c for c in reference["contained"] if c["resourceType"] != "Patient"]
    assert errors(made) == (422, [f"{DOCUMENT}.context.sourcePatientInfo"])
