"""What gateways between MHD and XDS are known to get wrong in searches and reads, one statement each: what is
asked of the registry, seen on the wire, and what the client is shown.
"""

import uuid
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
import pytest_asyncio
from lxml import etree
from yarl import URL

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import (
    ACCESSION_AUTHORITY,
    NORMAL,
    RESTRICTED,
    SOURCE_ID,
    IdSource,
    SampleAuthor,
    SampleCode,
    SampleFolder,
    SampleReferenceId,
)
from gateway.model import codes
from gateway.model.query import (
    FindDocuments,
    FindDocumentsByReferenceId,
    FindFolders,
    FindSubmissionSets,
    GetDocuments,
)
from tests.system import wire_failures as wire
from tests.system.documents import a_document, a_patient
from tests.system.stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

EPISODE = SampleCode("http://snomed.info/sct", "185349003", "Encounter for check up")
OTHER = SampleCode("http://snomed.info/sct", "32485007", "Hospital admission")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    """A gateway that trusts its registry to hold whole seconds, so that limits are asked as they are."""
    folder = tmp_path_factory.mktemp("pitfalls")
    async with running_stack(folder, search={"coarsest_time": "second"}) as running:
        yield running


@contextmanager
def listening(stack):
    """The stored queries that reach the registry meanwhile: id and values by slot."""
    asked = []

    async def listen(request):
        if request.path != wire.REGISTRY or "X-Passed" in request.headers:
            return None
        tree = etree.fromstring(await request.read())
        for query in tree.iter(f"{{{codes.NS_RIM}}}AdhocQuery"):
            slots = {}
            for slot in query.iter(f"{{{codes.NS_RIM}}}Slot"):
                values = [value.text for value in slot.iter(f"{{{codes.NS_RIM}}}Value")]
                slots.setdefault(slot.get("name"), []).append(values)
            asked.append((query.get("id"), slots))
        return await wire.forwarded(request)

    stack.interfere = listen
    try:
        yield asked
    finally:
        stack.interfere = None


async def publish(stack, patient, *documents, **changes):
    """Ids of SubmissionSet, documents and Folder."""
    bundle = provide_bundle(documents or (a_document(),), patient=patient, seed=uuid.uuid4().hex, **changes)
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    return [entry["response"]["location"].rpartition("/")[2] for entry in answer["entry"]]


def who(patient, **more):
    return {"patient__identifier": patient.token, "status": "current", **more}


def query_of(asked, kind):
    """Slots of the one query of a kind."""
    (slots,) = [slots for query_id, slots in asked if query_id == kind.query_id]
    return slots


# --- ids ------------------------------------------------------------------------------------------------


async def test_a_related_accession_is_asked_with_its_authority_and_its_type_each_in_its_place(stack):
    patient = a_patient()
    accession = SampleReferenceId(value="ACC", type=codes.REFERENCE_ACCESSION, authority=ACCESSION_AUTHORITY)
    await publish(stack, patient, a_document(reference_ids=(accession,)))
    with listening(stack) as asked:
        found = await stack.find(
            **who(patient), **{"related:identifier": f"urn:oid:{ACCESSION_AUTHORITY}|ACC"}
        )
    assert len(found) == 1
    (values,) = query_of(asked, FindDocumentsByReferenceId)["$XDSDocumentEntryReferenceIdList"]
    assert f"'ACC^^^&{ACCESSION_AUTHORITY}&ISO^{codes.REFERENCE_ACCESSION}'" in "".join(values)
    other = {"related:identifier": "urn:oid:2.999.99|ACC"}
    assert await stack.find(**who(patient), **other) == []


async def test_an_identifier_that_is_a_uuid_keeps_its_prefix(stack):
    patient = a_patient()
    unique_id = uuid.uuid4().urn
    (_, document, *_) = await publish(stack, patient, a_document(unique_id=unique_id))
    for value in (unique_id, f"urn:uuid:{document}"):
        with listening(stack) as asked:
            (found,) = await stack.find(identifier=f"urn:ietf:rfc:3986|{value}")
        assert found["id"] == document
        values = [v for query_id, slots in asked if query_id == GetDocuments.query_id for v in slots.values()]
        assert all(f"('{value}')" in "".join(*one) for one in values)


async def test_an_identifier_with_a_system_of_its_own_is_asked_whole(stack):
    with listening(stack) as asked:
        assert await stack.find(identifier="urn:oid:2.999.5|ext-1") == []
    assert query_of(asked, GetDocuments)["$XDSDocumentEntryUniqueId"] == [["('2.999.5^ext-1')"]]


async def test_an_id_alone_is_enough_and_the_id_of_a_result_can_be_read(stack):
    patient = a_patient()
    (_, document, *_) = await publish(stack, patient)
    (found,) = await stack.find(_id=document)
    assert await stack.get(f"DocumentReference/{found['id']}") == (200, found)
    (again,) = await stack.find(**who(patient), _id=f"{document},{uuid.uuid4()}")
    assert again == found


async def test_ids_of_two_patients_give_the_document_of_the_one_that_is_asked_for(stack):
    first, second = a_patient(), a_patient()
    (_, wanted, *_) = await publish(stack, first)
    (_, other, *_) = await publish(stack, second)
    (found,) = await stack.find(**who(first), _id=f"{other},{wanted}")
    assert found["id"] == wanted


async def test_the_unique_id_is_shown_as_what_it_is(stack):
    patient = a_patient()
    unique_ids = [uuid.uuid4().urn, IdSource(uuid.uuid4().hex).oid(3)]
    await publish(stack, patient, *(a_document(unique_id=unique_id) for unique_id in unique_ids))
    shown = {found["masterIdentifier"]["value"] for found in await stack.find(**who(patient))}
    assert shown == {unique_ids[0], f"urn:oid:{unique_ids[1]}"}


# --- patient and status ---------------------------------------------------------------------------------


async def test_no_search_goes_without_its_patient(stack):
    with listening(stack) as asked:
        assert await stack.find(patient="Patient/not-one-of-ours", status="current") == []
        status, _ = await stack.get("DocumentReference", status="current")
    assert (status, asked) == (400, [])


async def test_a_patient_id_is_decoded_once(stack):
    patient = a_patient("A%2B+B&C ")
    await publish(stack, patient)
    query = urlencode({"patient.identifier": patient.token, "status": "current"})
    with listening(stack) as asked:
        async with stack.session.get(
            URL(f"{stack.base_url}/DocumentReference?{query}", encoded=True)
        ) as answer:
            assert (await answer.json(content_type=None))["total"] == 1
    (value,) = query_of(asked, FindDocuments)["$XDSDocumentEntryPatientId"]
    assert "A%2B+B\\T\\C " in value[0]


async def test_a_status_that_is_not_sent_is_current_and_the_answer_says_so(stack):
    patient = a_patient()
    (_, old, *_) = await publish(stack, patient)
    (_, new, *_) = await publish(stack, patient, replaces=f"DocumentReference/{old}")
    with listening(stack) as asked:
        status, bundle = await stack.get("DocumentReference", **{"patient.identifier": patient.token})
    assert status == 200
    match, outcome = (entry["resource"] for entry in bundle["entry"])
    assert match["id"] == new
    assert "status" in outcome["issue"][0]["diagnostics"]
    assert "status=current" in bundle["link"][0]["url"]
    assert query_of(asked, FindDocuments)["$XDSDocumentEntryStatus"] == [[f"('{codes.STATUS_APPROVED}')"]]


# --- dates ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "start", "end"),
    [
        ("ge2024-01-01T10:00:00+01:00", "20240101090000", None),
        ("ge2024-01-01T10:00:00-05:30", "20240101153000", None),
        ("2024", "20240101000000", "20250101000000"),
        ("eq2024-02", "20240201000000", "20240301000000"),
        ("lt2024-02-03", None, "20240203000000"),
        ("le2024-02-03", None, "20240204000000"),
        ("gt2024-02-03", "20240204000000", None),
    ],
)
async def test_a_creation_time_is_asked_in_utc_and_by_its_precision(stack, value, start, end):
    with listening(stack) as asked:
        await stack.find(**who(a_patient()), creation=value)
    slots = query_of(asked, FindDocuments)
    assert slots.get("$XDSDocumentEntryCreationTimeFrom", [[None]]) == [[start]]
    assert slots.get("$XDSDocumentEntryCreationTimeTo", [[None]]) == [[end]]


async def test_after_is_not_from_and_before_is_not_until(stack):
    patient = a_patient()
    await publish(stack, patient, a_document(creation="2024-02-03T04:05:06Z"))
    found = {
        prefix: len(await stack.find(**who(patient), creation=f"{prefix}2024-02-03T04:05:06Z"))
        for prefix in ("ge", "gt", "le", "lt", "eq", "ne")
    }
    assert found == {"ge": 1, "gt": 0, "le": 1, "lt": 0, "eq": 1, "ne": 0}


async def test_the_date_of_a_document_is_not_its_creation_time(stack):
    patient = a_patient()
    await publish(
        stack, patient, a_document(creation="2020-02-03T04:05:06Z"), submitted="2025-03-04T05:06:07Z"
    )
    assert await stack.find(**who(patient), date="2020") == []
    (found,) = await stack.find(**who(patient), date="2025", creation="2020")
    assert "date" not in found


async def test_a_period_that_started_earlier_overlaps(stack):
    patient = a_patient()
    await publish(stack, patient, a_document(period=("2024-01-10T00:00:00Z", "2024-03-10T00:00:00Z")))
    for value, expected in [("ge2024-02-01", 1), ("lt2024-02-01", 1), ("sa2024-02", 0), ("eb2024-02", 0)]:
        assert len(await stack.find(**who(patient), period=value)) == expected, value
    assert len(await stack.find(**who(patient), period=["ge2024-02-01", "lt2024-02-02"])) == 1


async def test_the_precision_of_a_time_is_not_widened(stack):
    patient = a_patient()
    await publish(stack, patient, a_document(period=("2024-05", "2024-06-07")))
    (found,) = await stack.find(**who(patient))
    assert found["context"]["period"] == {"start": "2024-05", "end": "2024-06-07"}


# --- codes and names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "slot", "values"),
    [
        ("event", "$XDSDocumentEntryEventCodeList", (EPISODE, OTHER)),
        ("security-label", "$XDSDocumentEntryConfidentialityCode", (NORMAL, RESTRICTED)),
    ],
)
async def test_both_of_two_codes_are_asked_as_and_either_as_or(stack, name, slot, values):
    patient = a_patient()
    elements = {"event": "events", "security-label": "security_labels"}
    await publish(stack, patient, a_document(**{elements[name]: values}))
    await publish(stack, patient, a_document(**{elements[name]: values[:1]}))
    tokens = [value.token for value in values]
    with listening(stack) as asked:
        assert len(await stack.find(**who(patient), **{name: tokens})) == 1
    assert len(query_of(asked, FindDocuments)[slot]) == 2
    with listening(stack) as asked:
        assert len(await stack.find(**who(patient), **{name: ",".join(tokens)})) == 2
    assert len(query_of(asked, FindDocuments)[slot]) == 1


async def test_the_start_of_a_name_is_enough_in_any_case(stack):
    patient = a_patient()
    await publish(stack, patient, a_document(authors=(SampleAuthor("Weißköpfel", "Anna", "S-1"),)))
    for value, expected in [("weiss", 1), ("WEIßKÖP", 1), ("köpfel", 0), ("Weißköpfel", 1)]:
        assert len(await stack.find(**who(patient), author__family=value)) == expected, value


async def test_every_label_and_every_author_and_a_name_without_id_are_shown(stack):
    patient = a_patient()
    authors = (SampleAuthor("Welby", "Ann", "S-1"), SampleAuthor("Second", "Bob", "S-2"))
    await publish(stack, patient, a_document(security_labels=(NORMAL, RESTRICTED), authors=authors))
    (found,) = await stack.find(**who(patient))
    assert [label["coding"][0]["code"] for label in found["securityLabel"]] == ["N", "R"]
    assert all(len(label["coding"]) == 1 for label in found["securityLabel"])
    assert len(found["author"]) == 2
    bundle = provide_bundle([a_document()], patient=patient, seed=uuid.uuid4().hex)
    document = bundle["entry"][1]["resource"]
    document["contained"].append({"resourceType": "Organization", "id": "org", "name": "Name only"})
    document["author"] = [{"reference": "#org"}]
    assert (await stack.publish(bundle))[0] == 200
    names = {
        resource.get("name")
        for found in await stack.find(**who(patient))
        for resource in found["contained"]
        if resource["resourceType"] == "Organization"
    }
    assert names == {"Name only"}


# --- Lists ----------------------------------------------------------------------------------------------


async def test_designation_type_and_source_id_are_taken_by_their_names_in_the_guide(stack):
    patient = a_patient()
    set_id, _, folder_id, *_ = await publish(
        stack, patient, folder=SampleFolder(IdSource(uuid.uuid4().hex).oid(9), "Folder", EPISODE)
    )
    with listening(stack) as asked:
        (found,) = await stack.find_lists(
            **who(patient), code="submissionset", sourceId=f"urn:oid:{SOURCE_ID}"
        )
    assert found["id"] == set_id
    assert query_of(asked, FindSubmissionSets)["$XDSSubmissionSetSourceId"] == [[f"('{SOURCE_ID}')"]]
    with listening(stack) as asked:
        (found,) = await stack.find_lists(**who(patient), code="folder", designationType=EPISODE.token)
    assert found["id"] == folder_id
    assert query_of(asked, FindFolders)["$XDSFolderCodeList"] == [
        [f"('{EPISODE.code}^^2.16.840.1.113883.6.96')"]
    ]


async def test_lists_that_are_searched_have_their_entries_and_are_found_by_their_id(stack):
    patient = a_patient()
    set_id, document, *_ = await publish(stack, patient)
    (found,) = await stack.find_lists(**who(patient), code="submissionset")
    assert found["entry"] == [{"item": {"reference": f"DocumentReference/{document}"}}]
    assert await stack.find_lists(_id=set_id) == [found]
    for identifier in found["identifier"]:
        assert await stack.find_lists(identifier=f"{identifier['system']}|{identifier['value']}") == [found]


# --- results --------------------------------------------------------------------------------------------


async def test_relations_are_shown_and_lead_to_the_other_document(stack):
    patient = a_patient()
    (_, old, *_) = await publish(stack, patient)
    await publish(stack, patient, replaces=f"DocumentReference/{old}")
    (found,) = await stack.find(**who(patient))
    (relation,) = found["relatesTo"]
    assert relation["code"] == "replaces"
    status, target = await stack.get(relation["target"]["reference"])
    assert (status, target["id"], target["status"]) == (200, old, "superseded")


async def test_two_hundred_documents_cost_one_search_and_one_look_for_relations(stack):
    patient = a_patient()
    for _ in range(4):
        await publish(stack, patient, *(a_document() for _ in range(50)))
    stack.soap_calls.clear()
    found = await stack.find(**who(patient), _count=200)
    assert len(found) == 200
    assert dict(stack.soap_calls) == {"/xds/registry": 2}
    assert len({document["subject"]["reference"] for document in found}) == 1


async def test_a_document_claims_a_profile_of_documents_only_and_its_url_tells_nothing(stack):
    patient = a_patient()
    await publish(stack, patient)
    (found,) = await stack.find(**who(patient))
    assert found["meta"]["profile"] == [codes.PROFILE_COMPREHENSIVE_DOCUMENT]
    url = found["content"][0]["attachment"]["url"]
    assert found["masterIdentifier"]["value"].removeprefix("urn:oid:") not in url
    assert patient.id not in url
    for position in (-1, -20, -40):
        changed = url[:position] + ("A" if url[position] != "A" else "B") + url[position:][1:]
        async with stack.session.get(changed) as answer:
            assert answer.status == 404


async def test_count_sort_and_include_are_done_and_not_only_taken(stack):
    patient = a_patient()
    for year in ("2021", "2023", "2022"):
        await publish(stack, patient, a_document(creation=f"{year}-01-01T00:00:00Z"))
    status, bundle = await stack.get(
        "DocumentReference",
        **{
            "patient.identifier": patient.token,
            "status": "current",
            "_count": 2,
            "_sort": "creation",
            "_include": "DocumentReference:patient",
        },
    )
    assert (status, bundle["total"]) == (200, 3)
    modes = [entry["search"]["mode"] for entry in bundle["entry"]]
    assert modes == ["match", "match", "include"]
    years = [e["resource"]["content"][0]["attachment"]["creation"][:4] for e in bundle["entry"][:2]]
    assert years == ["2021", "2022"]


async def test_a_reference_from_another_patients_submission_changes_no_time_and_shows_no_other_patient(stack):
    patient, other = a_patient(), a_patient()
    (own_set, document, *_) = await publish(stack, patient, submitted="2025-03-04T05:06:07Z")
    bundle = provide_bundle([a_document()], patient=other, seed=uuid.uuid4().hex)
    bundle["entry"][0]["resource"]["entry"].append({"item": {"reference": f"DocumentReference/{document}"}})
    status, answer = await stack.publish(bundle)
    assert status == 200, answer
    (found,) = await stack.find(**who(patient), _lastUpdated="2025")
    assert found["id"] == document
    _, page = await stack.get(
        "DocumentReference",
        **{"patient.identifier": patient.token, "status": "current", "_revinclude": "List:item"},
    )
    included = [e["resource"]["id"] for e in page["entry"] if e["search"]["mode"] == "include"]
    assert included == [own_set]
    _, page = await stack.get(
        "List",
        **{"patient.identifier": other.token, "status": "current", "code": "submissionset", "_include": "*"},
    )
    modes = [e["search"]["mode"] for e in page["entry"]]
    included = [e["resource"] for e in page["entry"] if e["search"]["mode"] == "include"]
    documents = [r["id"] for r in included if r["resourceType"] == "DocumentReference"]
    assert documents == [answer["entry"][1]["response"]["location"].rpartition("/")[2]]
    assert "outcome" not in modes
