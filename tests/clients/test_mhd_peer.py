"""What FHIR servers of another make answer: they are asked, read and retrieved from all the same, and nothing that
they say leads anywhere else."""

import base64

import pytest
from aiohttp import web

from gateway.clients.fhir_access import HeaderFile
from gateway.clients.mhd_resources import MhdRules
from gateway.fhir.peer_ids import entry_uuid_of_id, unique_id_of_uuid
from gateway.mhd.current_version import with_current_versions
from gateway.model import Code, DocumentRequest, RegistryFailure, ResponseStatus, Severity
from gateway.model.codes import HAS_MEMBER, RPLC
from gateway.model.errors import PeerBusy, PeerProtocolError, PeerUnreachable, PeerUnsupported
from gateway.model.query import (
    ANY_DOCUMENT,
    ANY_STATUS,
    FindDocuments,
    FindFolders,
    FindSubmissionSets,
    GetAll,
    GetDocuments,
    GetFolderAndContents,
    GetFolders,
    GetFoldersForDocument,
    GetRelatedDocuments,
    GetSubmissionSetAndContents,
)
from tests.clients.fhir_store import LOINC, SYSTEM, cx, fhir_store, outcome, resource
from tests.system.stack import site

P = cx("P")


async def content(peer, entry):
    request = DocumentRequest(entry.repository_unique_id, entry.unique_id)
    async with peer.retrieve(request) as document:
        return b"".join([chunk async for chunk in document.chunks])


async def test_documents_without_ids_of_xds_are_found_by_those_that_are_made_for_them():
    async with fhir_store() as (store, peer):
        stored = store.document(store.patient("P"))
        found = await peer.query(FindDocuments(patient_id=P))
        (entry,) = found.entries
        assert (found.status, found.errors) == (ResponseStatus.SUCCESS, ())
        assert entry.entry_uuid == entry_uuid_of_id(stored["id"])
        assert entry.unique_id == unique_id_of_uuid(entry.entry_uuid)
        assert (entry.patient_id, entry.mime_type, entry.size) == (P, "text/plain", 6)
        for query in (
            GetDocuments(entry_uuids=(entry.entry_uuid,)),
            GetDocuments(unique_ids=(entry.unique_id,)),
        ):
            assert (await peer.query(query)).entries == (entry,)
        assert await content(peer, entry) == b"text\r\n"


@pytest.mark.parametrize(
    "next_url", ["{base}?_getpages={token}", "fhir?_getpages={token}", "?_getpages={token}"]
)
async def test_every_page_is_read_wherever_on_the_server_it_is(next_url):
    async with fhir_store(next_url=next_url.replace("fhir?", "../fhir?")) as (store, peer):
        patient = store.patient("P")
        ids = [store.document(patient)["id"] for _ in range(5)]
        found = await peer.query(FindDocuments(patient_id=P))
    assert [e.entry_uuid for e in found.entries] == [entry_uuid_of_id(i) for i in ids]


async def test_pages_without_end_are_an_error_of_the_server():
    async with fhir_store(next_url="{base}?_getpages=0") as (store, peer):
        patient = store.patient("P")
        for _ in range(3):
            store.document(patient)
        with pytest.raises(PeerProtocolError, match="no end"):
            await peer.query(FindDocuments(patient_id=P))


async def test_more_results_than_are_taken_are_too_many():
    async with fhir_store(rules=MhdRules(most=3)) as (store, peer):
        patient = store.patient("P")
        for _ in range(5):
            store.document(patient)
        with pytest.raises(RegistryFailure) as caught:
            await peer.query(FindDocuments(patient_id=P))
    assert [e.code for e in caught.value.errors] == ["XDSTooManyResults"]


async def test_a_server_that_refuses_parameters_is_asked_without_and_the_answer_filtered():
    wanted = Code("11488-4", "2.16.840.1.113883.6.1")
    query = FindDocuments(patient_id=P, type_code=(wanted,), creation_time_from="20240201")
    async with fhir_store() as (store, peer):
        patient = store.patient("P")
        type_ = {"coding": [{"system": LOINC, "code": "11488-4"}]}
        right = store.document(patient, type=type_)
        store.document(patient, type=type_, attachment={"creation": "2024-01-01"})
        store.document(patient, type={"coding": [{"system": LOINC, "code": "1-8"}]})
        found = await peer.query(query)
    assert [e.entry_uuid for e in found.entries] == [entry_uuid_of_id(right["id"])]
    first, second = (parameters for _, parameters in store.asked)
    assert "creation" in first
    assert set(second) == {"patient.identifier", "status", "_count"}


async def test_a_server_that_leaves_out_the_patient_shows_nobody_elses_documents():
    async with fhir_store(ignores=frozenset({"patient.identifier"})) as (store, peer):
        mine, other = store.patient("P"), store.patient("Q")
        own = store.document(mine)
        store.document(other)
        store.document(other, subject={"identifier": {"system": SYSTEM, "value": "Q"}})
        store.document(other, subject={"display": "somebody"})
        found = await peer.query(FindDocuments(patient_id=P))
    assert [e.entry_uuid for e in found.entries] == [entry_uuid_of_id(own["id"])]
    assert {e.severity for e in found.errors} == {Severity.WARNING}
    assert len(found.errors) == 2 + 1


async def test_a_patient_that_cannot_be_read_is_who_was_asked_where_the_server_says_that_it_looked_for_him():
    for said, number in ((True, 1), (False, 0)):
        async with fhir_store(self_link=said) as (store, peer):
            store.document(store.patient("P"))

            async def no_patients(request):
                return outcome(403, "no") if "/Patient/" in request.path else None

            store.interfere = no_patients
            found = await peer.query(FindDocuments(patient_id=P))
        assert len(found.entries) == number


async def test_documents_in_binaries_attachments_and_resources_are_the_same():
    data = base64.b64encode(b"text\r\n").decode()
    async with fhir_store() as (store, peer):
        patient = store.patient("P")
        store.document(patient)
        inline = store.document(patient)["content"][0]["attachment"]
        del inline["url"]
        inline["data"] = data
        store.document(patient)
        binary = {"resourceType": "Binary", "id": "4", "contentType": "text/plain", "data": data}
        store.contents["4"] = ("application/fhir+json", str(binary).replace("'", '"').encode())
        found = await peer.query(FindDocuments(patient_id=P))
        assert [await content(peer, entry) for entry in found.entries] == [b"text\r\n"] * 3


@pytest.mark.parametrize("change", [{"hash": base64.b64encode(bytes(20)).decode()}, {"size": 7}])
async def test_a_document_that_is_not_what_its_reference_describes_is_an_error(change):
    async with fhir_store() as (store, peer):
        store.document(store.patient("P"), attachment=change)
        (entry,) = (await peer.query(FindDocuments(patient_id=P))).entries
        with pytest.raises(PeerProtocolError):
            await content(peer, entry)


async def test_a_document_at_another_host_is_fetched_only_where_that_is_allowed_and_without_the_token(
    tmp_path,
):
    calls = []

    async def elsewhere(request):
        calls.append(request.headers.get("Authorization"))
        return web.Response(body=b"text\r\n", content_type="text/plain")

    other = web.Application()
    other.router.add_get("/document", elsewhere)
    (tmp_path / "header").write_text("Bearer secret\n")
    async with site(other) as url:
        for hosts in ((), (url.removeprefix("http://"),)):
            async with fhir_store(
                hosts=hosts, access=HeaderFile(tmp_path / "header"), token="Bearer secret"
            ) as (store, peer):
                store.document(store.patient("P"), attachment={"url": f"{url}/document"})
                (entry,) = (await peer.query(FindDocuments(patient_id=P))).entries
                if hosts:
                    assert await content(peer, entry) == b"text\r\n"
                    continue
                with pytest.raises(RegistryFailure) as caught:
                    await content(peer, entry)
                assert "allowed_hosts" in caught.value.errors[0].context
                assert calls == []
    assert calls == [None]


@pytest.mark.parametrize("next_url", ["http://127.0.0.1:9/fhir?_getpages={token}", "http://user@{base}/"])
async def test_a_page_at_another_host_is_not_asked_for(next_url):
    async with fhir_store(next_url=next_url) as (store, peer):
        patient = store.patient("P")
        for _ in range(3):
            store.document(patient)
        with pytest.raises(PeerProtocolError, match="allowed_hosts"):
            await peer.query(FindDocuments(patient_id=P))


async def test_redirects_are_not_followed():
    async with fhir_store() as (store, peer):

        async def elsewhere(_):
            raise web.HTTPTemporaryRedirect("http://127.0.0.1:9/")

        store.interfere = elsewhere
        with pytest.raises(PeerProtocolError, match="not followed"):
            await peer.query(FindDocuments(patient_id=P))


async def test_shapes_that_fhir_does_not_have_are_read_as_far_as_they_can_be():
    async with fhir_store() as (store, peer):
        patient = store.patient("P")
        good = store.document(
            patient,
            category={"coding": {"system": LOINC, "code": "X"}},
            description=7,
            securityLabel="N",
            identifier={"system": "urn:ietf:rfc:3986", "value": "URN:OID:2.999.77", "use": "usual"},
            attachment={"size": "6", "title": True},
        )
        good["content"] = good["content"][0]
        store.document(patient, status="entered-in-error")
        store.document(patient)["content"] = []
        store.document(
            patient, masterIdentifier={"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.78"}
        )["status"] = "superseded"
        found = await peer.query(FindDocuments(patient_id=P, status=ANY_STATUS))
        (first, second) = found.entries
        (again,) = (await peer.query(GetDocuments(unique_ids=("2.999.78",)))).entries
    assert (first.class_code.code, first.comments, first.size) == ("X", "7", 6)
    assert (first.unique_id, first.title, first.confidentiality) == ("2.999.77", None, ())
    assert (second.unique_id, again) == ("2.999.78", second)
    assert [e.context.partition(": ")[2] for e in found.errors] == ["it has no attachment"]


async def test_lists_stand_for_submission_sets_and_folders_with_their_members():
    async with fhir_store() as (store, peer):
        patient = store.patient("P")
        old, new = store.document(patient), store.document(patient)
        old["status"] = "superseded"
        new["relatesTo"] = [
            {"code": "replaces", "target": {"reference": f"{store.base}/DocumentReference/2"}}
        ]
        folder = store.list(patient, "folder", old, new)
        whole = store.list(patient, "submissionset", new, folder)
        other = store.list(patient, "worklist", new)
        uuid = {r["id"]: entry_uuid_of_id(r["id"]) for r in (old, new, folder, whole, other)}
        everything = await peer.query(GetAll(patient_id=P, entry_status=ANY_STATUS))
        (found,) = (await peer.query(FindSubmissionSets(patient_id=P))).submission_sets
        contents = await peer.query(GetSubmissionSetAndContents(entry_uuid=uuid[whole["id"]]))
        in_folder = await peer.query(GetFolderAndContents(entry_uuid=uuid[folder["id"]]))
        holding = await peer.query(GetFoldersForDocument(entry_uuid=uuid[old["id"]]))
        related = await peer.query(GetRelatedDocuments(entry_uuid=uuid[old["id"]], association_types=(RPLC,)))
        wrong_kind = await peer.query(GetFolders(entry_uuids=(uuid[whole["id"]],)))
    links = {(a.type, a.source, a.target) for a in everything.associations}
    assert links == {
        (HAS_MEMBER, uuid[folder["id"]], uuid[old["id"]]),
        (HAS_MEMBER, uuid[folder["id"]], uuid[new["id"]]),
        (HAS_MEMBER, uuid[whole["id"]], uuid[new["id"]]),
        (HAS_MEMBER, uuid[whole["id"]], uuid[folder["id"]]),
        (RPLC, uuid[new["id"]], uuid[old["id"]]),
    }
    assert found.submission_time == "20240302000000"
    assert [e.entry_uuid for e in contents.entries] == [uuid[new["id"]]]
    assert [f.entry_uuid for f in contents.folders] == [uuid[folder["id"]]]
    assert {e.entry_uuid for e in in_folder.entries} == {uuid[new["id"]], uuid[old["id"]]}
    assert [f.entry_uuid for f in holding.folders] == [uuid[folder["id"]]]
    assert {e.entry_uuid for e in related.entries} == {uuid[new["id"]], uuid[old["id"]]}
    assert wrong_kind.folders == ()


async def test_a_server_without_lists_does_not_do_queries_for_them():
    for rules in (MhdRules(), MhdRules(lists=False)):
        async with fhir_store(no_lists=True, rules=rules) as (store, peer):
            store.document(store.patient("P"))
            for query in (FindSubmissionSets(patient_id=P), FindFolders(patient_id=P), GetAll(patient_id=P)):
                with pytest.raises(PeerUnsupported):
                    await peer.query(query)
            assert len((await peer.query(FindDocuments(patient_id=P))).entries) == 1


async def test_every_document_is_the_first_version_of_itself():
    async with fhir_store() as (store, peer):
        store.document(store.patient("P"))
        (entry,) = (await peer.query(FindDocuments(patient_id=P))).entries
        (named,) = (await peer.query(GetDocuments(logical_ids=(entry.entry_uuid,)))).entries
        (version,) = (await peer.query(FindDocuments(patient_id=P, metadata_level=2))).entries
    assert named == entry
    assert (version.logical_id, version.version) == (entry.entry_uuid, "1")


async def test_on_demand_documents_are_told_from_those_without_hash_by_their_time():
    async with fhir_store() as (store, peer):
        patient = store.patient("P")
        plain, demand = store.document(patient), store.document(patient)
        for each in (plain, demand):
            del each["content"][0]["attachment"]["hash"], each["content"][0]["attachment"]["size"]
        del demand["content"][0]["attachment"]["creation"]
        stable = await peer.query(FindDocuments(patient_id=P))
        both = await peer.query(FindDocuments(patient_id=P, document_type=ANY_DOCUMENT))
    assert [e.entry_uuid for e in stable.entries] == [entry_uuid_of_id(plain["id"])]
    assert [e.on_demand for e in both.entries] == [False, True]


async def test_what_a_server_says_beside_its_results_is_passed_on():
    issue = {
        "severity": "error",
        "code": "transient",
        "details": {"coding": [{"code": "XDSUnavailableCommunity"}], "text": "c does not answer"},
    }
    entry = {
        "search": {"mode": "Outcome"},
        "resource": {"resourceType": "OperationOutcome", "issue": [issue]},
    }
    async with fhir_store() as (store, peer):

        async def partial(_):
            return resource({"resourceType": "Bundle", "type": "searchset", "entry": [entry]})

        store.interfere = partial
        with pytest.raises(RegistryFailure) as caught:
            await peer.query(FindDocuments(patient_id=P))
    assert [e.code for e in caught.value.errors] == ["XDSUnavailableCommunity"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda: web.Response(body=b"<Bundle/>", content_type="application/fhir+xml"), PeerProtocolError),
        (
            lambda: web.Response(body=b'{"resourceType": "Bundle"', content_type="text/html"),
            PeerProtocolError,
        ),
        (lambda: web.Response(body=b"[" * 100_000), PeerProtocolError),
        (lambda: resource({"resourceType": "Patient"}), PeerProtocolError),
        (lambda: web.Response(body=b'{"x": "' + b"x" * 200_000 + b'"}'), PeerProtocolError),
        (lambda: outcome(403, "no"), PeerProtocolError),
        (lambda: outcome(500, "no"), PeerProtocolError),
        (lambda: outcome(429, "no"), PeerBusy),
    ],
)
async def test_an_answer_that_is_none_is_an_error_that_names_the_server(answer, error):
    async with fhir_store(peer={"max_answer_bytes": 100_000}) as (store, peer):

        async def interfere(_):
            return answer()

        store.interfere = interfere
        with pytest.raises(error, match="to store"):
            await peer.query(FindDocuments(patient_id=P))


async def test_a_document_that_is_gone_is_not_there():
    async with fhir_store() as (store, peer):
        store.document(store.patient("P"))
        (entry,) = (await peer.query(FindDocuments(patient_id=P))).entries

        async def gone(request):
            return outcome(410, "gone") if "/Binary/" in request.path else None

        store.interfere = gone
        with pytest.raises(RegistryFailure) as caught:
            await content(peer, entry)
        many = [
            o async for o in peer.retrieve_many([DocumentRequest("2.999.404", entry.unique_id)], max_bytes=10)
        ]
    assert [e.code for e in caught.value.errors] == ["XDSDocumentUniqueIdError"]
    assert [e.code for e in many[0][1].errors] == ["XDSUnknownRepositoryId"]


async def test_identifiers_of_patients_are_in_no_url():
    async with fhir_store() as (store, peer):
        urls = []

        async def watch(request):
            urls.append(str(request.url))

        store.interfere = watch
        store.document(store.patient("PATIENT-7"))
        assert len((await peer.query(FindDocuments(patient_id=cx("PATIENT-7")))).entries) == 1
    assert urls
    assert not any("PATIENT-7" in url for url in urls)


async def test_a_header_that_cannot_be_read_is_an_error_before_anything_is_sent(tmp_path):
    async with fhir_store(access=HeaderFile(tmp_path / "none")) as (store, peer):
        with pytest.raises(PeerUnreachable, match="header"):
            await peer.query(FindDocuments(patient_id=P))
    assert store.headers == []


async def test_each_exchange_is_told_to_who_keeps_a_record_of_it():
    told = []
    async with fhir_store(record=told.append) as (store, peer):
        store.document(store.patient("P"))
        (entry,) = (await peer.query(FindDocuments(patient_id=P))).entries
        await content(peer, entry)
        store.contents.clear()
        with pytest.raises(PeerProtocolError):
            await content(peer, entry)
    searched = told[0]
    retrieved, failed = (each for each in told if each.transaction == "ITI-68")
    assert (searched.transaction, searched.url, searched.failure) == ("ITI-67", store.base, None)
    assert searched.patient == P
    assert searched.query.startswith(b"patient.identifier=https%3A%2F%2Fhospital.example")
    assert (retrieved.transaction, retrieved.patient, retrieved.failure) == ("ITI-68", P, None)
    assert retrieved.document == DocumentRequest(entry.repository_unique_id, entry.unique_id)
    assert "500" in failed.failure


async def test_an_id_that_the_server_does_not_have_is_unknown_although_it_has_no_versions():
    query = GetDocuments(entry_uuids=("urn:uuid:7d1c9e53-0c3f-4c6f-9a53-3f1f4c1b2a90",))
    async with fhir_store() as (_, peer):
        found = await with_current_versions(peer, query, await peer.query(query))
    assert found.entries == ()


@pytest.mark.parametrize("stored_first", [True, False])
async def test_of_two_formats_under_one_unique_id_the_stored_one_is_found_and_retrieved(stored_first):
    master = {"masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:2.999.2.77"}}
    async with fhir_store() as (store, peer):
        patient = store.patient("P")
        for is_stored in (stored_first, not stored_first):
            made = store.document(patient, b"stored\r\n" if is_stored else b"{}", **master)
            if not is_stored:
                attachment = made["content"][0]["attachment"]
                attachment["contentType"] = "application/fhir+json"
                del attachment["hash"], attachment["size"]
        (entry,) = (await peer.query(FindDocuments(patient_id=P))).entries
        assert (entry.unique_id, entry.mime_type) == ("2.999.2.77", "text/plain")
        assert await content(peer, entry) == b"stored\r\n"
