"""`gateway admin` as an operator sees it: processes against an affinity domain over sockets."""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from gateway.affinity.app import create_app
from gateway.affinity.options import AffinityOptions
from gateway.ebxml.responses import write_registry_response
from gateway.model import AvailabilityStatus, RegistryError, RegistryResponse, ResponseStatus
from gateway.model.codes import APND, HAS_MEMBER
from gateway.model.query import ANY_STATUS, FindDocuments, GetAll, GetDocuments, GetFolderAndContents
from gateway.soap.client import SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.envelope import write_envelope
from tests.affinity.client import Client
from tests.affinity.samples import (
    PATIENT,
    REPOSITORY,
    entry,
    folder,
    link,
    on_demand,
    sha1,
    submission,
)
from tests.system.stack import site

CONTENT = b"a report"
SECRETS = ("P-1", "Report", "Curie")
EVERYTHING = GetAll(
    patient_id=PATIENT,
    entry_status=ANY_STATUS,
    submission_set_status=ANY_STATUS,
    folder_status=ANY_STATUS,
    metadata_level=2,
)


class Office:
    """An affinity domain, a direct way to it, and the command."""

    def __init__(self, domain: Client, folder_) -> None:
        self.domain = domain
        self._folder = folder_
        self.interfere = None
        """Answers a request in place of the domain, after it was carried out or before; None lets it pass."""

    async def admin(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        repository = {"unique_id": REPOSITORY, "url": f"{self.domain.base}/xds/repository"}
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")},
            "GATEWAY_REGISTRY__URL": f"{self.domain.base}/xds/registry",
            "GATEWAY_REPOSITORIES": json.dumps([repository]),
            "GATEWAY_STATE_DIR": str(self._folder / "gateway"),
            "COLUMNS": "200",
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway.cli", "admin", *arguments),
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert b"Traceback" not in err
        return process.returncode, out.decode(), err.decode()

    async def provide(self, *documents, **more):
        wanted = submission(*documents, **more)
        answer = await self.domain.provide(wanted, *(CONTENT for _ in documents))
        assert answer.errors == ()
        return wanted

    async def current(self):
        return (await self.domain.query(FindDocuments(patient_id=PATIENT, status=ANY_STATUS))).entries


@pytest.fixture
async def office(tmp_path):
    async with running_office(tmp_path) as opened:
        yield opened


@asynccontextmanager
async def running_office(tmp_path):
    holder = []

    @web.middleware
    async def between(request, handler):
        if holder and holder[0].interfere is not None:
            answer = await holder[0].interfere(request, handler)
            if answer is not None:
                return answer
        return await handler(request)

    app = create_app(AffinityOptions(state_dir=tmp_path / "domain", repository_unique_id=REPOSITORY))
    app.middlewares.append(between)
    async with site(app) as base, SoapClient(load_contract()) as soap:
        holder.append(Office(Client(soap, base), tmp_path))
        yield holder[0]


def provided(**changes):
    return entry(**{"hash": sha1(CONTENT), "size": len(CONTENT), **changes})


def bare(value) -> str:
    return value.entry_uuid.removeprefix("urn:uuid:")


async def test_a_document_is_deprecated_and_approved_by_any_of_its_ids(office):
    document = provided()
    await office.provide(document)
    names = (document.entry_uuid, bare(document), document.unique_id, f"urn:oid:{document.unique_id}")
    for name in names:
        for command, status in (("deprecate", "DEPRECATED"), ("approve", "APPROVED")):
            code, out, err = await office.admin(command, name, "--yes")
            assert (code, err) == (0, "")
            assert out.splitlines()[0] == f"registry   {office.domain.base}/xds/registry"
            assert "\ndone\n" in out
            (found,) = await office.current()
            assert found.status is AvailabilityStatus[status]


async def test_nothing_is_changed_without_yes(office):
    document = provided()
    await office.provide(document)
    before = await office.domain.query(EVERYTHING)
    for arguments in (
        ("deprecate", document.entry_uuid),
        ("update", document.entry_uuid, "--set", "title=New"),
        ("delete", document.entry_uuid),
        ("remove", document.entry_uuid),
    ):
        code, out, _ = await office.admin(*arguments)
        assert code == 0
        assert "change     " in out
        assert out.endswith("nothing was changed; add --yes to do it\n")
    assert await office.domain.query(EVERYTHING) == before
    assert (await office.domain.retrieve(document.unique_id))[1] == {document.unique_id: CONTENT}


async def test_metadata_is_updated_and_what_was_is_kept(office):
    document = provided()
    await office.provide(document)
    arguments = (
        *("--set", "title=Corrected", "--set", "comments=", "--set", "language=de-AT"),
        *("--set", "type=11488-4^Consult note^urn:oid:2.16.840.1.113883.6.1"),
        *("--set", "confidentiality=R^restricted^2.999.3", "--set", "confidentiality=V^very^2.999.3"),
        *("--set", "stop=202402"),
    )
    code, out, err = await office.admin("update", document.entry_uuid, *arguments, "--yes")
    assert (code, err) == (0, "")
    (new,) = await office.current()
    assert (new.title, new.language, new.service_stop_time, new.version) == (
        "Corrected",
        "de-AT",
        "202402",
        "2",
    )
    assert new.type_code.code == "11488-4"
    assert new.type_code.scheme == "2.16.840.1.113883.6.1"
    assert [c.code for c in new.confidentiality] == ["R", "V"]
    assert (new.class_code, new.authors, new.hash) == (document.class_code, document.authors, document.hash)
    assert "change     title: (text of 6 characters) -> (text of 9 characters)" in out
    assert "change     language: en-GB -> de-AT" in out
    code, out, _ = await office.admin("show", bare(document))
    assert f"version    1: {document.entry_uuid} deprecated\n" in out
    assert f"version    2: {new.entry_uuid} approved, current\n" in out
    assert (await office.domain.retrieve(document.unique_id))[1] == {document.unique_id: CONTENT}


async def test_patient_data_is_shown_only_where_it_is_asked_for(office):
    document = provided(comments="of P-1")
    await office.provide(document)
    for arguments in (
        ("show", document.entry_uuid),
        ("update", document.entry_uuid, "--set", "title=Report of P-1"),
        ("deprecate", document.entry_uuid),
    ):
        _, out, err = await office.admin(*arguments)
        assert not [secret for secret in SECRETS if secret in out + err]
    _, out, _ = await office.admin("show", document.entry_uuid, "--show-patient-data")
    assert all(secret in out for secret in SECRETS)
    arguments = ("update", document.entry_uuid, "--set", "title=New", "--show-patient-data")
    assert "change     title: Report -> New" in (await office.admin(*arguments))[1]


@pytest.mark.parametrize(
    ("settings", "finding"),
    [
        (("hash=x",), "--set hash: must be NAME=VALUE with NAME one of title,"),
        (("title",), "must be NAME=VALUE"),
        (("title=a", "title=b"), "--set title: it has one value, 2 are given"),
        (("type=11488-4",), "--set type: must be code^display^scheme"),
        (("type=",), "--set type: it cannot be without a value"),
        (("start=yesterday",), "--set start: must be a time"),
        (("language=d e",), "--set language: must be a language tag"),
    ],
)
async def test_a_setting_that_means_nothing_is_told_in_one_line(office, settings, finding):
    options = [word for setting in settings for word in ("--set", setting)]
    code, out, err = await office.admin("update", "1.2.3", *options, "--yes")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert finding in err


async def test_what_is_so_already_is_no_change(office):
    document = provided()
    await office.provide(document)
    for arguments, finding in (
        (("approve", document.entry_uuid), "the document is approved already"),
        (("update", document.entry_uuid, "--set", "title=Report"), "has these values already"),
    ):
        code, _, err = await office.admin(*arguments, "--yes")
        assert (code, finding in err) == (2, True)


async def test_an_id_names_one_document(office):
    one = provided()
    two = provided(unique_id=one.unique_id)
    await office.provide(one)
    await office.provide(two)
    code, _, err = await office.admin("delete", one.unique_id, "--yes")
    assert code == 3
    assert one.entry_uuid in err
    assert two.entry_uuid in err
    code, _, err = await office.admin("remove", one.entry_uuid, "--yes")
    assert (code, f"also that of {two.entry_uuid}" in err) == (2, True)
    assert len(await office.current()) == 2
    code, _out, err = await office.admin("show", "2.999.4711")
    assert (code, err) == (3, "admin: the registry has no document with this id\n")


async def test_a_document_is_removed_with_all_that_refers_to_it(office):
    document, box, addendum = provided(), folder(), provided()
    in_box = link(HAS_MEMBER, box.entry_uuid, document.entry_uuid)
    first = await office.provide(document, folders=(box,), associations=(in_box,))
    await office.provide(addendum, associations=(link(APND, addendum.entry_uuid, document.entry_uuid),))
    assert (await office.admin("update", document.entry_uuid, "--set", "title=New", "--yes"))[0] == 0
    assert (await office.admin("deprecate", document.entry_uuid, "--yes"))[0] == 0
    code, out, err = await office.admin("remove", bare(document), "--yes")
    assert (code, err) == (0, "")
    assert f"change     takes it out of folder {box.entry_uuid}\n" in out
    assert f"change     ends the relation APND from document {addendum.entry_uuid}\n" in out
    assert f"removes document {document.unique_id} from repository {REPOSITORY}" in out
    assert out.endswith("after      the registry has no document with this id\n")
    left = await office.domain.query(EVERYTHING)
    assert [e.entry_uuid for e in left.entries] == [addendum.entry_uuid]
    assert first.submission_set.entry_uuid in [s.entry_uuid for s in left.submission_sets]
    assert len(left.submission_sets) == 2
    assert (await office.domain.query(GetFolderAndContents(entry_uuid=box.entry_uuid))).entries == ()
    answer, _ = await office.domain.retrieve(document.unique_id)
    assert [e.code for e in answer.errors] == ["XDSDocumentUniqueIdError"]


async def test_metadata_alone_is_deleted(office):
    document = provided()
    await office.provide(document)
    code, _, _ = await office.admin("delete", document.entry_uuid, "--yes")
    found = await office.domain.query(EVERYTHING)
    assert (code, found.entries, found.submission_sets, found.associations) == (0, (), (), ())
    assert (await office.domain.retrieve(document.unique_id))[1] == {document.unique_id: CONTENT}
    code, _out, err = await office.admin("remove", document.unique_id, "--repository", REPOSITORY, "--yes")
    assert (code, err) == (0, "")
    assert (await office.domain.retrieve(document.unique_id))[1] == {}


async def test_a_registered_document_is_not_taken_from_its_repository_alone(office):
    document = provided()
    await office.provide(document)
    code, _, err = await office.admin("remove", document.unique_id, "--repository", REPOSITORY, "--yes")
    assert (code, "the registry has this document" in err) == (2, True)
    code, _, err = await office.admin("remove", document.unique_id, "--repository", "2.999.77", "--yes")
    assert (code, "none of the setting repositories" in err) == (2, True)
    assert (await office.domain.retrieve(document.unique_id))[1] == {document.unique_id: CONTENT}


async def test_of_an_on_demand_document_the_metadata_is_removed(office):
    wanted = on_demand()
    await office.domain.register_on_demand(submission(wanted))
    code, out, err = await office.admin("remove", wanted.entry_uuid, "--yes")
    assert (code, err) == (0, "")
    assert "made on demand" in out
    assert (await office.domain.query(GetDocuments(entry_uuids=(wanted.entry_uuid,)))).entries == ()


async def test_a_repository_that_refuses_leaves_word_how_to_go_on(office):
    document = provided()
    await office.provide(document)

    async def refuse(request, handler):
        return web.Response(status=503) if request.path.endswith("/repository") else None

    office.interfere = refuse
    code, _, err = await office.admin("remove", document.entry_uuid, "--yes")
    assert code == 1
    assert f"gateway admin remove {document.unique_id} --repository {REPOSITORY} --yes" in err
    office.interfere = None
    code, _, _ = await office.admin("remove", document.unique_id, "--repository", REPOSITORY, "--yes")
    assert code == 0


async def lose_the_answer(request, handler):
    """The domain does what it is asked; who asked does not hear of it."""
    if "RegistryStoredQuery" in request.headers["Content-Type"] or "X-Inner" in request.headers:
        return None
    headers = {"Content-Type": request.headers["Content-Type"], "X-Inner": "yes"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(request.url, data=await request.read(), headers=headers) as answer,
    ):
        assert answer.status == 200
    request.transport.close()
    return web.Response(status=500)


async def test_an_answer_that_is_lost_is_looked_up_and_nothing_is_repeated(office):
    document = provided()
    await office.provide(document)
    office.interfere = lose_the_answer
    for arguments in (
        ("update", document.entry_uuid, "--set", "title=New"),
        ("deprecate", document.entry_uuid),
    ):
        code, out, err = await office.admin(*arguments, "--yes")
        assert (code, "\ndone\n" in out, "asking whether it was done" in err) == (0, True, True), err
    office.interfere = None
    found = await office.domain.query(GetDocuments(unique_ids=(document.unique_id,), metadata_level=2))
    assert [e.version for e in found.entries] == ["1", "2"]
    assert found.entries[-1].status is AvailabilityStatus.DEPRECATED


async def test_a_request_that_did_not_arrive_is_reported_as_not_done(office):
    document = provided()
    await office.provide(document)

    async def drop(request, handler):
        if "RegistryStoredQuery" in request.headers.get("Content-Type", ""):
            return None
        request.transport.close()
        return web.Response(status=500)

    office.interfere = drop
    code, _, err = await office.admin("deprecate", document.entry_uuid, "--yes")
    assert (code, err.splitlines()[-1]) == (1, "admin: it was not done")


async def test_a_registry_that_refuses_unknown_parameters_is_asked_without_them(office):
    document = provided()
    await office.provide(document)
    refused = []

    async def refuse(request, handler):
        if "X-Inner" in request.headers:
            return None
        body = await request.read()
        if b"$MetadataLevel" in body or b"LogicalID" in body:
            refused.append(body)
            error = RegistryError("XDSStoredQueryParamNumber", "unknown parameter")
            failure = write_registry_response(RegistryResponse(ResponseStatus.FAILURE, (error,)))
            action = "urn:ihe:iti:2007:RegistryStoredQueryResponse"
            return web.Response(
                body=write_envelope(failure, action=action), content_type="application/soap+xml"
            )
        headers = {"Content-Type": request.headers["Content-Type"], "X-Inner": "yes"}
        async with (
            aiohttp.ClientSession() as session,
            session.post(request.url, data=body, headers=headers) as answer,
        ):
            return web.Response(
                body=await answer.read(), headers={"Content-Type": answer.headers["Content-Type"]}
            )

    office.interfere = refuse
    code, out, err = await office.admin("deprecate", document.unique_id, "--yes")
    assert (code, err) == (0, "")
    assert refused
    assert "held by    submission set urn:uuid:" in out
    (found,) = await office.current()
    assert found.status is AvailabilityStatus.DEPRECATED


async def test_a_peer_that_cannot_be_reached_is_one_line(office):
    office.domain.base = "http://127.0.0.1:1"
    code, _out, err = await office.admin("show", "1.2.3")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("admin: ITI-18 to registry:")
