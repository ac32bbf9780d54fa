"""What becomes of a Provide Document Bundle (ITI-65) that the recipient behind does not take whole
(IHE MHD 4.2.4 2:3.65.4.1.3).
"""

import re
import uuid

import pytest
from lxml import etree

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import EPISODE
from gateway.demo.samples import IdSource, SampleFolder
from gateway.ebxml.submissions import read_provide_and_register
from gateway.model import ResponseStatus, codes
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.publishing import a_registered_document, codes_of, published, warnings_of
from tests.system.stack import running_stack
from tests.system.tables import fingerprint
from tests.system.test_simplified_publish import simplified

pytestmark = pytest.mark.asyncio(loop_scope="module")

JSON = "application/fhir+json"


def with_folder(patient, *documents):
    folder = SampleFolder(IdSource(uuid.uuid4().hex).oid(4), "Episode", EPISODE)
    return provide_bundle(documents or [a_document()], patient=patient, folder=folder)


# --- what the recipient does not take ----------------------------------------------------------------------
async def test_folders_and_relations_that_are_not_taken_are_refused(tmp_path):
    taken = {"does_not_take": ["folders", "appends"]}
    async with running_stack(tmp_path, repository=taken) as stack:
        patient = a_patient()
        old = await a_registered_document(stack, patient)
        before = fingerprint(stack)
        status, outcome = await stack.publish(with_folder(patient))
        assert status == 422
        assert codes_of(outcome) == {"PartialFolderContentNotProcessed": "Bundle.entry[2]"}
        relation = [("appends", f"DocumentReference/{old['id']}")]
        status, outcome = await stack.publish(
            provide_bundle([a_document()], patient=patient, relates_to=relation)
        )
        assert status == 422
        assert codes_of(outcome) == {
            "PartialAppendContentNotProcessed": "Bundle.entry[1].resource.relatesTo[0].target"
        }
        assert fingerprint(stack) == before


async def test_folders_and_relations_that_are_not_taken_are_left_out_where_the_settings_say_so(tmp_path):
    taken = {"does_not_take": ["folders", "replaces", "transforms", "signs"]}
    async with running_stack(tmp_path, repository=taken, publish={"not_taken": "leave_out"}) as stack:
        patient = a_patient()
        old = await a_registered_document(stack, patient)
        target = f"DocumentReference/{old['id']}"
        bundle = with_folder(patient)
        patch = provide_bundle([a_document()], patient=patient, replaces=target)["entry"][2]
        bundle["entry"].append(patch)
        bundle["entry"][1]["resource"]["relatesTo"] = [
            {"code": code, "target": {"reference": target}} for code in ("replaces", "transforms", "appends", "signs")
        ]  # fmt: skip
        warnings, answer = await published(stack, bundle)
        assert set(warnings) == {
            "PartialFolderContentNotProcessed",
            "PartialReplaceContentNotProcessed",
            "PartialTransformContentNotProcessed",
            "PartialRelationshipContentNotProcessed",
        }
        assert len(answer["entry"]) == len(bundle["entry"])
        left_out = answer["entry"][2]["response"]
        assert (left_out["status"], set(left_out)) == ("200 OK", {"status", "outcome"})
        current = await stack.find(patient__identifier=patient.token, status="current")
        assert len(current) == 2
        (new,) = [r for r in current if r["id"] != old["id"]]
        assert [r["code"] for r in new["relatesTo"]] == ["appends"]
        assert (
            await stack.find_lists(patient__identifier=patient.token, code="folder", status="current") == []
        )


# --- limited metadata --------------------------------------------------------------------------------------
def submission_in(body: bytes):
    """The submission of an ITI-41 request."""
    (found,) = re.findall(rb"<[\w:]*ProvideAndRegisterDocumentSetRequest\b.*?</[\w:]*ProvideAndRegisterDocumentSetRequest>", body, re.S)  # fmt: skip
    return read_provide_and_register(etree.fromstring(found)).submission


def minimal(patient):
    """A Bundle with no more than the Minimal profile requires."""
    bundle = provide_bundle([a_document()], patient=patient)
    bundle["meta"]["profile"] = [codes.PROFILE_MINIMAL_BUNDLE]
    submission_set, reference = (bundle["entry"][n]["resource"] for n in (0, 1))
    submission_set["extension"] = submission_set["extension"][:1]
    for element in ("type", "category", "securityLabel", "context", "contained", "author"):
        reference.pop(element, None)
    (content,) = reference["content"]
    del content["format"]
    for element in ("language", "creation", "title"):
        content["attachment"].pop(element, None)
    return bundle


async def test_limited_metadata_goes_to_a_recipient_that_takes_it_and_says_so(tmp_path):
    seen = []

    async def recipient(request):
        seen.append(submission_in(await request.read()))
        return await wire.submission_answer(ResponseStatus.SUCCESS)(request)

    async with running_stack(tmp_path, repository={"limited_metadata": True}) as stack:
        stack.interfere = wire.at(wire.REPOSITORY, recipient)
        _, answer = await published(stack, minimal(a_patient()))
        assert [e["response"]["status"] for e in answer["entry"]] == ["201 Created"] * 3
        complete = provide_bundle([a_document()], patient=a_patient())
        complete["meta"]["profile"] = [codes.PROFILE_MINIMAL_BUNDLE]
        await published(stack, complete)
    limited, whole = seen
    assert (limited.submission_set.limited_metadata, limited.entries[0].limited_metadata) == (True, True)
    assert limited.entries[0].type_code is None
    # what has all that XDS requires is not limited, whatever its profile
    assert (whole.submission_set.limited_metadata, whole.entries[0].limited_metadata) == (False, False)


async def test_limited_metadata_is_for_minimal_bundles_alone(tmp_path):
    async with running_stack(tmp_path, repository={"limited_metadata": True}) as stack:
        bundle = minimal(a_patient())
        bundle["meta"]["profile"] = [codes.PROFILE_COMPREHENSIVE_BUNDLE]
        status, outcome = await stack.publish(bundle)
    assert status == 422
    assert "Bundle.entry[1].resource.type" in {e for i in outcome["issue"] for e in i["expression"]}


async def test_all_that_a_minimal_bundle_lacks_is_said_at_once(stack):
    before = fingerprint(stack)
    status, outcome = await stack.publish(minimal(a_patient()))
    assert status == 422
    texts = " ".join(issue["diagnostics"] for issue in outcome["issue"])
    for attribute in (
        "typeCode", "classCode", "confidentialityCode", "languageCode", "creationTime", "formatCode",
        "healthcareFacilityTypeCode", "practiceSettingCode", "sourcePatientId", "contentTypeCode",
    ):  # fmt: skip
        assert attribute in texts, attribute
    assert fingerprint(stack) == before


# --- recipients --------------------------------------------------------------------------------------------
def for_recipients(patient, *contained):
    bundle = provide_bundle([a_document()], patient=patient)
    submission_set = bundle["entry"][0]["resource"]
    for resource in contained:
        submission_set["contained"].append(resource)
        reference = {"reference": f"#{resource['id']}"}
        submission_set["extension"].append({"url": codes.EXT_INTENDED_RECIPIENT, "valueReference": reference})
    return bundle


PRACTICE = {"resourceType": "Organization", "id": "o", "name": "Practice", "identifier": [{"system": "urn:oid:2.999.60", "value": "P-7"}]}  # fmt: skip
BY_MAIL = {"resourceType": "Practitioner", "id": "m", "telecom": [{"system": "email", "value": "Eva@Practice.example"}]}  # fmt: skip
STRANGER = {"resourceType": "Practitioner", "id": "s", "name": [{"family": "Stranger"}]}
KNOWN = ["urn:oid:2.999.60|P-7", "eva@practice.example"]
PLACE = f"Bundle.entry[0].resource.extension('{codes.EXT_INTENDED_RECIPIENT}')[2]"


async def test_a_recipient_that_is_not_known_is_refused_or_warned_about(tmp_path):
    for number, policy in enumerate(("refuse", "warn", "silent")):
        publish = {"recipients": KNOWN, "unknown_recipient": policy}
        async with running_stack(tmp_path / str(number), publish=publish) as stack:
            warnings, _ = await published(stack, for_recipients(a_patient(), PRACTICE, BY_MAIL))
            assert warnings == {}
            bundle = for_recipients(a_patient(), PRACTICE, BY_MAIL, STRANGER)
            if policy == "refuse":
                status, outcome = await stack.publish(bundle)
                assert (status, codes_of(outcome)) == (422, {"UnknownRecipient": PLACE})
            else:
                warnings, _ = await published(stack, bundle)
                assert warnings == ({"UnknownRecipient": PLACE} if policy == "warn" else {})


KINDS = (
    PRACTICE,
    BY_MAIL,
    STRANGER,
    {"resourceType": "Patient", "id": "p", "name": [{"family": "Self"}]},
    {"resourceType": "RelatedPerson", "id": "r", "patient": {"display": "Self"}, "name": [{"family": "Daughter"}]},
    {"resourceType": "Group", "id": "g", "type": "person", "actual": True, "name": "Team"},
    {"resourceType": "Device", "id": "d", "deviceName": [{"name": "Inbox", "type": "user-friendly-name"}]},
    {"resourceType": "Location", "id": "l", "name": "Ward"},
)  # fmt: skip


async def test_each_kind_of_recipient_comes_back(stack):
    patient = a_patient()
    await published(stack, for_recipients(patient, *KINDS))
    (found,) = await stack.find_lists(
        patient__identifier=patient.token, code="submissionset", status="current"
    )
    references = [
        e["valueReference"]["reference"]
        for e in found["extension"]
        if e["url"] == codes.EXT_INTENDED_RECIPIENT
    ]
    contained = {f"#{c['id']}": c for c in found["contained"]}
    recipients = [contained[r] for r in references]
    assert recipients[0]["name"] == "Practice"
    assert recipients[1]["telecom"][0]["value"] == "Eva@Practice.example"
    # XDS knows persons and organizations
    assert [r["name"][0]["family"] for r in recipients[2:]] == [
        "Stranger", "Self", "Daughter", "Team", "Inbox", "Ward",
    ]  # fmt: skip


# --- older clients -----------------------------------------------------------------------------------------
def of_an_older_client(patient):
    bundle = provide_bundle([a_document()], patient=patient)
    submission_set, reference = (bundle["entry"][n]["resource"] for n in (0, 1))
    submission_set["identifier"][0].pop("type")
    submission_set["identifier"][0]["use"] = "usual"
    reference["masterIdentifier"].pop("type")
    name = uuid.uuid4().urn
    reference["identifier"] = [{"use": "official", "system": codes.URI_SYSTEM, "value": name}]
    return bundle, name


async def test_identifiers_of_older_clients(tmp_path, stack):
    bundle, name = of_an_older_client(a_patient())
    status, outcome = await stack.publish(bundle)
    assert status == 422
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[1].resource.masterIdentifier.type"]
    async with running_stack(tmp_path, publish={"older_clients": True}) as lenient:
        status, answer = await lenient.publish(bundle)
        assert status == 200, answer
        issues = warnings_of(answer)
        assert {e for i in issues if i["severity"] == "warning" for e in i["expression"]} == {
            "Bundle.entry[0].resource.identifier[0].type",
            "Bundle.entry[1].resource.masterIdentifier.type",
            "Bundle.entry[1].resource.identifier[0].type",
        }
        _, found = await lenient.get(answer["entry"][1]["response"]["location"])
        assert found["id"] == name.removeprefix("urn:uuid:")


@pytest.mark.parametrize(
    "profile",
    [
        "http://ihe.net/fhir/StructureDefinition/IHE_MHD_Provide_Comprehensive_DocumentBundle",
        "http://profiles.ihe.net/ITI/MHD/StructureDefinition/IHE.MHD.Comprehensive.ProvideBundle",
        f"{codes.PROFILE_COMPREHENSIVE_BUNDLE}|4.2.3",
    ],
)
async def test_profiles_of_older_releases(stack, profile):
    bundle = provide_bundle([a_document()], patient=a_patient())
    bundle["meta"]["profile"] = [profile]
    await published(stack, bundle)


# --- ITI-105 -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "prefer", [None, "return=minimal", "return=representation", "return=OperationOutcome"]
)
async def test_a_create_always_returns_what_was_created(stack, prefer):
    headers = {"Content-Type": JSON, **({"Prefer": prefer} if prefer else {})}
    async with stack.session.post(
        f"{stack.base_url}/DocumentReference", json=simplified(a_patient(), a_document()), headers=headers
    ) as answer:
        created = await answer.json(content_type=None)
        assert answer.status == 201, created
    assert created["resourceType"] == "DocumentReference"
    assert answer.headers["Location"] == f"{stack.base_url}/DocumentReference/{created['id']}"
    assert "url" in created["content"][0]["attachment"]
    async with stack.session.get(answer.headers["Location"]) as read:
        assert read.headers.get("ETag") == answer.headers.get("ETag")
