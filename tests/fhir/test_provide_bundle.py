"""What a Provide Document Bundle that keeps every rule becomes."""

import base64
import copy
import hashlib
import json
import uuid

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.fhir.provide_bundle_entries import EntryKind
from gateway.fhir.provide_bundle_folders import FolderState
from gateway.model import codes
from tests.fhir import provide_samples as samples
from tests.fhir.provide_samples import BASE, FOLDER_ID, OLD, OLDER, PATIENT, urn

HM = codes.HAS_MEMBER


def triples(submission):
    return {(a.type, a.source, a.target, a.submission_set_status) for a in submission.associations}


def test_one_document_is_submitted_with_its_bytes_and_membership():
    provided = samples.read(samples.bundle(b"Hello World"))
    submission = provided.submission
    (entry,) = submission.entries
    assert (entry.hash, entry.size) == ("0a4d55a8d778e5022fab701977c5d840bbc486d0", 11)
    assert entry.unique_id == "2.999.1.2.0"
    assert entry.patient_id == submission.submission_set.patient_id == PATIENT
    assert entry.object_type == codes.STABLE_DOCUMENT
    assert entry.source_patient_id.id == "MRN1"
    assert entry.creation_time == submission.submission_set.submission_time == "20260102030405"
    assert submission.submission_set.source_id == "2.999.1"
    (document,) = provided.documents
    assert (document.entry_uuid, document.mime_type) == (entry.entry_uuid, "text/plain")
    assert (document.content, document.sha1, document.size) == (b"Hello World", entry.hash, 11)
    assert triples(submission) == {
        (HM, submission.submission_set.entry_uuid, entry.entry_uuid, "Original"),
    }
    assert provided.warnings == ()


def test_three_documents_have_their_own_entries_bytes_and_plan():
    provided = samples.read(samples.bundle(b"one", b"two", b"\r\nthree\r\n"))
    assert [d.content for d in provided.documents] == [b"one", b"two", b"\r\nthree\r\n"]
    uuids = [e.entry_uuid for e in provided.submission.entries]
    assert len(set(uuids)) == 3
    assert [(p.kind, p.target) for p in provided.plan] == [
        (EntryKind.SUBMISSION_SET, provided.submission.submission_set.entry_uuid),
        (EntryKind.DOCUMENT, uuids[0]),
        (EntryKind.BINARY, uuids[0]),
        (EntryKind.DOCUMENT, uuids[1]),
        (EntryKind.BINARY, uuids[1]),
        (EntryKind.DOCUMENT, uuids[2]),
        (EntryKind.BINARY, uuids[2]),
    ]


def test_a_binary_without_data_is_an_empty_document():
    provided = samples.read(samples.bundle(b""))
    assert (provided.documents[0].content, provided.documents[0].sha1) == (b"", codes.EMPTY_SHA1)


def test_hash_and_size_that_the_client_leaves_out_are_computed():
    made = samples.bundle(b"abc")
    attachment = made["entry"][1]["resource"]["content"][0]["attachment"]
    del attachment["hash"], attachment["size"]
    entry = samples.read(made).submission.entries[0]
    assert (entry.hash, entry.size) == (hashlib.sha1(b"abc").hexdigest(), 3)
    assert not entry.on_demand


def test_white_space_in_base64_does_not_change_the_bytes():
    made = samples.bundle(b"Hello World")
    binary = made["entry"][2]["resource"]
    binary["data"] = "\r\n ".join(binary["data"])
    assert samples.read(made).documents[0].content == b"Hello World"


# --- ids ------------------------------------------------------------------------------------------------
def shuffled(value, generator):
    if isinstance(value, dict):
        items = [(key, shuffled(item, generator)) for key, item in value.items()]
        generator.shuffle(items)
        return dict(items)
    return [shuffled(item, generator) for item in value] if isinstance(value, list) else value


@given(st.randoms(use_true_random=False), st.sampled_from((None, 1, 4)), st.booleans())
@settings(max_examples=25, deadline=None)
def test_the_same_content_is_the_same_submission_whatever_its_text(generator, indent, ascii_only):
    made = samples.with_folder(b"one", b"two")
    made["entry"][1]["resource"]["description"] = "Größe"
    first = samples.read(made)
    raw = json.dumps(shuffled(made, generator), indent=indent, ensure_ascii=ascii_only).encode()
    assert samples.read(raw) == first


def test_the_same_bundle_with_other_line_ends_in_base64_is_the_same_submission():
    made = samples.bundle(b"Hello World")
    first = samples.read(made)
    made["entry"][2]["resource"]["data"] = base64.encodebytes(b"Hello World").decode()
    assert samples.read(made) == first


def test_another_byte_in_a_document_makes_another_submission():
    first, second = samples.bundle(b"abc"), samples.bundle(b"abd")
    assert samples.read(first).digest != samples.read(second).digest
    ids = [samples.read(b).submission.entries[0].entry_uuid for b in (first, second)]
    assert ids[0] != ids[1]


def relabelled(made):
    """The Bundle as a client builds it again, with new fullUrls."""
    text = orjson.dumps(made).decode()
    for entry in made["entry"]:
        text = text.replace(
            entry["fullUrl"], f"urn:uuid:{uuid.uuid4()}".upper().replace("URN:UUID", "urn:uuid")
        )
    return orjson.loads(text)


def test_new_labels_and_a_new_envelope_make_the_same_submission():
    made = samples.with_folder(b"one", b"two")
    again = {**relabelled(made), "id": "again", "timestamp": "2026-01-02T03:04:05Z"}
    first, second = samples.read(made), samples.read(again)
    assert (first.digest, first.submission) == (second.digest, second.submission)


def test_labels_count_by_the_entry_they_lead_to():
    made = samples.bundle(b"one", b"one")
    crossed = copy.deepcopy(made)
    urls = [e["resource"]["content"][0]["attachment"] for e in crossed["entry"] if "content" in e["resource"]]
    urls[0]["url"], urls[1]["url"] = urls[1]["url"], urls[0]["url"]
    assert samples.read(made).digest != samples.read(crossed).digest


def test_another_identifier_makes_another_submission_even_if_it_is_a_label_too():
    made = samples.bundle()
    own = made["entry"][1]
    own["resource"]["identifier"] = [samples.identifier("entryUUID", own["fullUrl"])]
    assert samples.read(made).digest != samples.read(relabelled(made)).digest


def test_ids_that_the_client_gives_are_kept_in_lower_case():
    made = samples.bundle()
    given_id = "urn:uuid:AAAAAAAA-0000-4000-8000-000000000001"
    made["entry"][1]["resource"]["identifier"] = [samples.identifier("entryUUID", given_id)]
    assert samples.read(made).submission.entries[0].entry_uuid == given_id.lower()


def test_a_submission_set_without_unique_id_gets_an_oid_that_stays():
    made = samples.bundle()
    del made["entry"][0]["resource"]["identifier"]
    first = samples.read(made).submission.submission_set.unique_id
    assert first.startswith("2.25.") and len(first) <= 64
    assert samples.read(made).submission.submission_set.unique_id == first


# --- associations ---------------------------------------------------------------------------------------
def test_a_folder_member_is_a_member_of_the_submission_too():
    submission = samples.read(samples.with_folder(b"one")).submission
    (folder,), (entry,) = submission.folders, submission.entries
    own = submission.submission_set.entry_uuid
    membership = next(a for a in submission.associations if a.source == folder.entry_uuid)
    assert triples(submission) == {
        (HM, own, entry.entry_uuid, "Original"),
        (HM, own, folder.entry_uuid, None),
        (HM, folder.entry_uuid, entry.entry_uuid, None),
        (HM, own, membership.entry_uuid, None),
    }
    assert folder.last_update_time is None
    assert len({a.entry_uuid for a in submission.associations}) == 4


def test_an_existing_document_can_be_put_into_a_new_folder():
    made = samples.with_folder(b"one")
    made["entry"][-1]["resource"]["entry"] = [{"item": {"reference": f"DocumentReference/{OLD}"}}]
    submission = samples.read(made).submission
    assert (HM, submission.folders[0].entry_uuid, f"urn:uuid:{OLD}", None) in triples(submission)


def test_adding_to_an_existing_folder_connects_only_what_is_not_in_it():
    made = samples.with_folder(b"one", method="PUT")
    for held in (OLD, OLDER):
        made["entry"][-1]["resource"]["entry"].append({"item": {"reference": f"DocumentReference/{held}"}})
    folder = f"urn:uuid:{FOLDER_ID}"
    provided = samples.read(made, folders={folder: FolderState(frozenset({f"urn:uuid:{OLD}"}))})
    submission = provided.submission
    assert submission.folders == ()
    memberships = {a.target: a.entry_uuid for a in submission.associations if a.source == folder}
    assert set(memberships) == {submission.entries[0].entry_uuid, f"urn:uuid:{OLDER}"}
    own = {a.target for a in submission.associations if a.source == submission.submission_set.entry_uuid}
    assert set(memberships.values()) <= own
    assert folder not in {a.target for a in submission.associations}
    assert provided.plan[-1].target == folder


def test_a_folder_does_not_lose_documents():
    made = samples.with_folder(b"one", method="PUT")
    held = FolderState(frozenset({f"urn:uuid:{OLD}", f"urn:uuid:{OLDER}"}))
    error = samples.refusal(made, folders={f"urn:uuid:{FOLDER_ID}": held})
    assert (error.status, [i.expression for i in error.issues]) == (409, ["Bundle.entry[3].resource.entry"])
    assert "2 of the 2" in error.issues[0].diagnostics


def test_an_update_of_a_folder_that_does_not_exist():
    error = samples.refusal(samples.with_folder(b"one", method="PUT"), folders={})
    places = [i.expression for i in error.issues if i.severity == "error"]
    assert (error.status, places) == (422, ["Bundle.entry[3].request.url"])


@pytest.mark.parametrize("tag", ['W/"20260102030405"', '"20260102030405"', "*", 'W/"1", W/"20260102030405"'])
def test_an_update_of_the_version_that_was_read(tag):
    made = samples.with_folder(b"one", method="PUT")
    made["entry"][-1]["request"]["ifMatch"] = tag
    assert samples.read(made)


@pytest.mark.parametrize("tag", ['W/"20260102030404"', "20260102"])
def test_an_update_of_an_older_version(tag):
    made = samples.with_folder(b"one", method="PUT")
    made["entry"][-1]["request"]["ifMatch"] = tag
    error = samples.refusal(made)
    assert (error.status, error.issues[0].expression) == (412, "Bundle.entry[3].request.ifMatch")


def test_only_updates_of_folders_have_conditions():
    made = samples.bundle()
    made["entry"][1]["request"]["ifMatch"] = 'W/"1"'
    assert samples.refusal(made).issues[0].expression == "Bundle.entry[1].request.ifMatch"


@pytest.mark.parametrize(
    "reference",
    [
        {"reference": f"DocumentReference/{OLD}"},
        {"reference": f"DocumentReference/{OLD.upper()}"},
        {"reference": f"DocumentReference/{OLD}/_history/1"},
        {"reference": f"{BASE}/DocumentReference/{OLD}"},
        {"identifier": samples.identifier("entryUUID", f"urn:uuid:{OLD}")},
    ],
)
def test_an_existing_document_is_listed_by_reference(reference):
    made = samples.bundle()
    made["entry"][0]["resource"]["entry"].append({"item": reference})
    submission = samples.read(made).submission
    own = submission.submission_set.entry_uuid
    assert (HM, own, f"urn:uuid:{OLD}", "Reference") in triples(submission)


@pytest.mark.parametrize(
    ("code", "kind"),
    [("replaces", codes.RPLC), ("appends", codes.APND), ("transforms", codes.XFRM), ("signs", codes.SIGNS)],
)
def test_relates_to_becomes_an_association_to_the_old_document(code, kind):
    submission = samples.read(samples.related((code, f"DocumentReference/{OLD}"))).submission
    assert (kind, submission.entries[0].entry_uuid, f"urn:uuid:{OLD}", None) in triples(submission)


def test_replaces_and_transforms_of_one_document_is_one_association():
    made = samples.related(
        ("transforms", f"DocumentReference/{OLD}"),
        ("replaces", f"DocumentReference/{OLD}"),
        ("appends", f"DocumentReference/{OLDER}"),
    )
    submission = samples.read(made).submission
    relations = {(a.type, a.target) for a in submission.associations if a.type != HM}
    assert relations == {(codes.XFRM_RPLC, f"urn:uuid:{OLD}"), (codes.APND, f"urn:uuid:{OLDER}")}


def test_a_document_can_sign_another_of_the_same_bundle():
    made = samples.bundle(b"report", b"signature")
    made["entry"][3]["resource"]["relatesTo"] = [{"code": "signs", "target": {"reference": urn(10)}}]
    submission = samples.read(made).submission
    report, signature = submission.entries
    assert (codes.SIGNS, signature.entry_uuid, report.entry_uuid, None) in triples(submission)


def test_a_patch_is_consumed_and_planned():
    made = samples.related(("replaces", f"DocumentReference/{OLD}"))
    made["entry"].insert(1, samples.patch(OLD))
    provided = samples.read(made)
    assert provided.warnings == ()
    assert (provided.plan[1].kind, provided.plan[1].target) == (EntryKind.PATCH, f"urn:uuid:{OLD}")


def test_a_replacement_without_patch_is_accepted_with_a_warning():
    provided = samples.read(samples.related(("replaces", f"DocumentReference/{OLD}")))
    assert [w.expression for w in provided.warnings] == ["Bundle.entry[1].resource.relatesTo"]


def test_what_the_submission_set_does_not_list_is_submitted_with_a_warning():
    made = samples.with_folder(b"one")
    del made["entry"][0]["resource"]["entry"]
    provided = samples.read(made)
    assert {w.expression for w in provided.warnings} == {"Bundle.entry[1]", "Bundle.entry[3]"}
    assert len(provided.submission.associations) == 4


# --- subjects -------------------------------------------------------------------------------------------
def set_subject(made, subject):
    for entry in made["entry"]:
        if "subject" in entry["resource"]:
            entry["resource"]["subject"] = copy.deepcopy(subject)
    return made


@pytest.mark.parametrize(
    "subject",
    [
        {"reference": f"{BASE}/Patient/9"},
        {"identifier": {"system": "https://ids.example/patients", "value": "P1"}},
        {"identifier": {"system": "urn:oid:2.999.2", "value": "P1"}},
        {
            "reference": "https://elsewhere.example/Patient/1",
            "identifier": {"system": "urn:oid:2.999.2", "value": "P1"},
        },
        {"reference": "Patient/9", "identifier": {"system": "urn:oid:2.999.2", "value": "P1"}},
    ],
)
def test_the_patient_is_known_by_reference_or_identifier(subject):
    assert samples.read(set_subject(samples.bundle(), subject)).submission.entries[0].patient_id == PATIENT


@pytest.mark.parametrize("method", ["POST", "PUT", "GET"])
def test_a_patient_of_the_bundle_is_known_by_its_identifier(method):
    made = set_subject(samples.bundle(), {"reference": urn(700)})
    identifiers = [
        {"system": "https://elsewhere.example", "value": "7"},
        {"system": "https://ids.example/patients", "value": "P1"},
    ]
    entry = samples.entry(700, "Patient", {"resourceType": "Patient", "identifier": identifiers})
    entry["request"] = {"method": method, "url": "Patient" if method == "POST" else "Patient/77"}
    made["entry"].append(entry)
    provided = samples.read(made)
    assert provided.submission.entries[0].patient_id == PATIENT
    assert (provided.plan[-1].kind, provided.plan[-1].patient) == (EntryKind.PATIENT, PATIENT)


def test_a_patient_read_in_the_bundle_needs_no_body():
    made = set_subject(samples.bundle(), {"reference": urn(700)})
    made["entry"].append({"fullUrl": urn(700), "request": {"method": "GET", "url": "Patient/9"}})
    assert samples.read(made).submission.entries[0].patient_id == PATIENT


# --- tolerance ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "profile",
    [
        codes.PROFILE_COMPREHENSIVE_BUNDLE + "|4.2.4",
        codes.PROFILE_COMPREHENSIVE_BUNDLE.replace("https:", "http:"),
        "http://ihe.net/fhir/StructureDefinition/IHE_MHD_Provide_Comprehensive_DocumentBundle",
        "https://ihe.net/fhir/StructureDefinition/IHE.MHD.ProvideDocumentBundle.Comprehensive",
    ],
)
def test_older_names_of_the_profile_are_understood(profile):
    made = samples.bundle()
    made["meta"]["profile"] = ["https://national.example/Bundle", profile]
    assert samples.read(made).submission.entries


def test_canonicals_with_plain_http_are_understood():
    raw = orjson.dumps(samples.with_folder(b"one")).replace(
        b"https://profiles.ihe.net", b"http://profiles.ihe.net"
    )
    assert len(samples.read(raw).submission.folders) == 1


def test_custodian_and_mime_parameters_are_dropped_with_an_information():
    made = samples.bundle()
    resource = made["entry"][1]["resource"]
    resource["custodian"] = {"display": "Archive"}
    resource["content"][0]["attachment"]["contentType"] = "text/plain; charset=utf-8"
    provided = samples.read(made)
    assert provided.submission.entries[0].mime_type == "text/plain"
    assert {(w.severity, w.expression) for w in provided.warnings} == {
        ("information", "Bundle.entry[1].resource.custodian"),
        ("information", "Bundle.entry[1].resource.content[0].attachment.contentType"),
    }


def test_authors_of_every_kind_are_read():
    made = samples.bundle()
    resource = made["entry"][1]["resource"]
    resource["contained"] += [
        {
            "resourceType": "PractitionerRole",
            "id": "r",
            "practitioner": {"reference": "#a"},
            "organization": {"reference": "#o"},
            "code": [samples.concept("66862007", "http://snomed.info/sct"), {"text": "Reader"}],
        },
        {"resourceType": "Organization", "id": "o", "name": "Hospital"},
        {
            "resourceType": "Device",
            "id": "d",
            "identifier": [{"system": "urn:oid:2.999.8", "value": "D1"}],
            "deviceName": [{"name": "Scanner", "type": "user-friendly-name"}],
        },
    ]
    resource["author"] = [
        {"reference": "#r"},
        {"reference": "#o"},
        {"reference": "#d"},
        {"reference": "#p"},
        {"display": "Dr. Somebody"},
    ]
    role, organization, device, patient, named = samples.read(made).submission.entries[0].authors
    assert role.person.family == "Welby"
    assert role.institutions[0].name == "Hospital"
    assert [getattr(r, "code", r) for r in role.roles] == ["66862007", "Reader"]
    assert (organization.person, organization.institutions[0].name) == (None, "Hospital")
    assert (device.person.family, device.person.id, device.person.authority) == ("Scanner", "D1", "2.999.8")
    assert (patient.person.family, patient.person.id) == ("Muster", "MRN1")
    assert named.person.family == "Dr. Somebody"
