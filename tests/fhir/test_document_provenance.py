"""Provenance of a document, as a SubmissionSet makes it: nothing is said that the registry does not say."""

import pytest
from fhir.resources.provenance import Provenance as InR5
from fhir.resources.R4B.provenance import Provenance
from hypothesis import given, settings
from msgspec.structs import replace

from gateway.fhir.document_ids import provenance_id, read_document_id, read_provenance_id
from gateway.fhir.document_provenance import write_document_provenance
from gateway.fhir.terminology import Terminology
from gateway.fhir.versions import to_r5
from gateway.model import Association, Author, IntendedRecipient, Organization, Person, codes
from tests.ebxml import strategies as registry
from tests.fhir.test_document_reference import ENTRY
from tests.fhir.test_lists import SET

OLD = "1d1a4a3f-0000-4000-8000-00000000000a"


def written(submission_set=SET, entry=ENTRY, *types):
    relations = [
        Association(
            entry_uuid=f"urn:uuid:1d1a4a3f-0000-4000-8000-0000000000b{number}",
            type=kind,
            source=entry.entry_uuid,
            target=f"urn:uuid:{OLD}",
        )
        for number, kind in enumerate(types)
    ]
    return write_document_provenance(entry, submission_set, relations, Terminology())


def test_authors_are_persons_in_their_organizations_beside_the_source():
    author = Author(person=Person(family="Weiss"), institutions=(Organization(name="Clinic"),))
    made = written(replace(SET, authors=(author, Author(institutions=(Organization(name="Archive"),)))))
    held = {f"#{one['id']}": one for one in made["contained"]}
    first, second, source = made["agent"]
    role = held[first["who"]["reference"]]
    assert held[role["practitioner"]["reference"]]["name"] == [{"family": "Weiss"}]
    assert held[role["organization"]["reference"]]["name"] == "Clinic"
    assert held[second["who"]["reference"]]["name"] == "Archive"
    assert source["who"] == {"identifier": {"system": codes.URI_SYSTEM, "value": "urn:oid:2.999.1"}}
    assert source["type"]["coding"] == [{"system": codes.DICOM_CODE_SYSTEM, "code": codes.DCM_SOURCE}]


def test_who_is_to_receive_the_submission_set_is_no_agent():
    recipient = IntendedRecipient(person=Person(family="Weiss"), organization=Organization(name="Clinic"))
    made = written(replace(SET, intended_recipients=(recipient,)))
    assert "contained" not in made
    assert len(made["agent"]) == 1


@pytest.mark.parametrize(
    ("types", "activity", "entity"),
    [
        ((), "CREATE", None),
        ((codes.RPLC,), "UPDATE", "revision"),
        ((codes.XFRM_RPLC,), "UPDATE", "revision"),
        ((codes.XFRM,), "transform", "derivation"),
        ((codes.APND,), "APPEND", None),
        ((codes.SIGNS,), "CREATE", None),
        ((codes.APND, codes.RPLC), "UPDATE", "revision"),
    ],
)
def test_associations_say_what_was_done(types, activity, entity):
    made = written(SET, ENTRY, *types)
    assert made["activity"]["coding"][0]["code"] == activity
    others = [(one["role"], one["what"]["reference"]) for one in made["entity"][1:]]
    assert others == ([(entity, f"DocumentReference/{OLD}")] if entity else [])


def test_a_later_version_of_the_metadata_is_an_update():
    assert written(SET, replace(ENTRY, version="2"))["activity"]["coding"][0]["code"] == "UPDATE"
    assert written(SET, replace(ENTRY, version="1"))["activity"]["coding"][0]["code"] == "CREATE"


@pytest.mark.parametrize(("time", "occurred"), [("20260102", "2026-01-02"), ("", None), ("soon", None)])
def test_a_time_that_is_no_instant_is_not_made_one(time, occurred):
    made = written(replace(SET, submission_time=time))
    assert "recorded" not in made and "meta" not in made
    assert made["_recorded"]["extension"][0]["valueCode"] == "unknown"
    assert made.get("occurredDateTime") == occurred
    Provenance.model_validate(made)
    InR5.model_validate(to_r5(made))


@settings(max_examples=60)
@given(registry.submission_sets())
def test_every_submission_set_makes_a_valid_provenance_in_both_releases(submission_set):
    made = written(submission_set, ENTRY, codes.RPLC)
    Provenance.model_validate(made)
    InR5.model_validate(to_r5(made))


@pytest.mark.parametrize(
    "document", [OLD, f"{OLD}-kos", f"{OLD}-fhir", f"{OLD}.abcdefgh", f"{OLD}.abcdefgh-fhir"]
)
def test_an_id_leads_back_to_the_document_and_fits_a_fhir_id(document):
    name = provenance_id(document)
    assert read_provenance_id(name) == read_document_id(document) is not None
    assert read_document_id(name) is None
    assert len(name) <= 64
    assert read_provenance_id(document) is None
