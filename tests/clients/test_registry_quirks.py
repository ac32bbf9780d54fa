"""Registries with their ways (ITI-18), over real sockets: each quirk asks as its registry needs to be asked."""

import re
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from msgspec import structs
from pydantic import ValidationError

from gateway.clients.quirks import RegistryQuirks, RepositoryQuirks
from gateway.clients.registry import DocumentRegistry
from gateway.ebxml.query_response import write_query_response
from gateway.ebxml.stored_queries import read_query
from gateway.model import (
    Association,
    Code,
    Cx,
    DocumentEntry,
    Folder,
    ObjectRef,
    QueryResult,
    ReferenceId,
    RegistryError,
    RegistryFailure,
    ResponseStatus,
    Severity,
    SubmissionSet,
    codes,
)
from gateway.model.errors import PeerUnsupported
from gateway.model.query import (
    ANY_DOCUMENT,
    FindDocuments,
    FindDocumentsByReferenceId,
    FindFolders,
    FindSubmissionSets,
    GetAssociations,
    GetDocuments,
    GetFolders,
    GetSubmissionSetAndContents,
    GetSubmissionSets,
)
from gateway.safe_xml import parse_xml
from gateway.soap.client import Peer, SoapClient
from gateway.soap.contract import load_contract
from gateway.soap.envelope import write_envelope
from tests.soap.wire import answering, http, raw_peer

SOAP = "application/soap+xml; charset=UTF-8"
PATIENT = Cx("p'1", "2.999.1")
TOO_MANY = (RegistryError("XDSTooManyResults", "more than this registry gives"),)
DCM, SHORT = "1.2.840.10008.2.16.4", "DCM"


def uuid(n: int) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{n:012x}"


ENTRIES = tuple(
    DocumentEntry(
        entry_uuid=uuid(n),
        unique_id=f"2.999.2.{n}",
        patient_id=PATIENT,
        creation_time=f"20{n:02}0615120000",
        reference_ids=(ReferenceId(f"A{n % 3}", "2.999.7", codes.REFERENCE_ACCESSION),),
        event_codes=(Code("CT", SHORT if n % 2 else DCM),),
    )
    for n in range(25)
)


def created_within(query, entry) -> bool:
    start, end = query.creation_time_from or "", query.creation_time_to or "9"
    return start <= (entry.creation_time or start) < end


@dataclass
class Registry:
    """Answers as a registry does that gives so many objects, or so many ids, and no more."""

    objects: tuple = ENTRIES
    most: int = 1_000
    most_refs: int = 1_000
    some_of_too_many: bool = False
    home: str | None = None
    answers: Callable | None = None
    asked: list = field(default_factory=list)
    sent: list[str] = field(default_factory=list)

    def __call__(self, request) -> bytes:
        self.sent.append(request.body.decode())
        body = next(e for e in parse_xml(request.body).iter() if str(e.tag).endswith("}AdhocQueryRequest"))
        query, return_type = read_query(body)
        self.asked.append((query, return_type))
        result = self.answers(query) if self.answers else self._answer(query, return_type)
        return http(write_envelope(write_query_response(result), action="urn:x"), SOAP)

    def _answer(self, query, return_type) -> QueryResult:
        found = [o for o in self.objects if self._matches(query, o)]
        refs = return_type == "ObjectRef"
        most = self.most_refs if refs else self.most
        status, errors = ResponseStatus.SUCCESS, ()
        if len(found) > most:
            if not self.some_of_too_many:
                return QueryResult(status=ResponseStatus.FAILURE, errors=TOO_MANY)
            found, status, errors = found[:most], ResponseStatus.PARTIAL, TOO_MANY
        if refs:
            return QueryResult(
                status=status,
                errors=errors,
                object_refs=tuple(ObjectRef(o.entry_uuid, self.home) for o in found),
            )
        return QueryResult(
            status=status,
            errors=errors,
            entries=tuple(o for o in found if isinstance(o, DocumentEntry)),
            submission_sets=tuple(o for o in found if isinstance(o, SubmissionSet)),
            folders=tuple(o for o in found if isinstance(o, Folder)),
            associations=tuple(o for o in found if isinstance(o, Association)),
        )

    def _matches(self, query, held) -> bool:
        if isinstance(query, FindDocuments):
            return created_within(query, held)
        if isinstance(query, GetAssociations):
            return held.source in query.uuids or held.target in query.uuids
        if isinstance(query, GetSubmissionSetAndContents):
            return held.entry_uuid == query.entry_uuid
        wanted = getattr(query, "entry_uuids", ()) or getattr(query, "unique_ids", ())
        return not wanted or held.entry_uuid in wanted or getattr(held, "unique_id", "") in wanted

    @property
    def kinds(self) -> list[str]:
        return [f"{type(q).__name__} {r}" for q, r in self.asked]


@asynccontextmanager
async def connected(registry, **quirks):
    async with raw_peer(answering(registry)) as peer, SoapClient(load_contract()) as soap:
        at = Peer(name="registry", url=peer.url, max_attempts=1)
        yield DocumentRegistry(soap, at, RegistryQuirks(**quirks))


async def ask(registry, query, **quirks) -> QueryResult:
    async with connected(registry, **quirks) as client:
        return await client.query(query)


FIND = FindDocuments(patient_id=PATIENT)


# --- more than a registry gives at once -------------------------------------------------------------------


async def test_a_find_without_trouble_is_one_request():
    registry = Registry()
    assert (await ask(registry, FIND)).entries == ENTRIES
    assert registry.kinds == ["FindDocuments LeafClass"]


@pytest.mark.parametrize("some", [False, True], ids=["Failure", "PartialSuccess with some"])
async def test_too_many_results_are_asked_for_by_id_and_then_in_pieces(some):
    registry = Registry(most=10, some_of_too_many=some)
    result = await ask(registry, FIND, objects_per_query=7)
    assert (result.entries, result.errors, result.status) == (ENTRIES, (), ResponseStatus.SUCCESS)
    assert registry.kinds == [
        "FindDocuments LeafClass",
        "FindDocuments ObjectRef",
        *["GetDocuments LeafClass"] * 4,
    ]
    assert max(len(q.entry_uuids) for q, _ in registry.asked[2:]) == 7


async def test_the_query_for_ids_is_the_query_itself():
    registry = Registry(most=10)
    query = FindDocuments(patient_id=PATIENT, class_code=(Code("a", "2.999.4"),), document_type=ANY_DOCUMENT)
    await ask(registry, query)
    assert [q for q, _ in registry.asked[:2]] == [query, query]


async def test_a_piece_that_is_too_large_is_halved():
    registry = Registry(most=3)
    assert (await ask(registry, FIND, objects_per_query=25)).entries == ENTRIES


async def test_a_registry_with_a_known_limit_is_asked_for_ids_at_once():
    registry = Registry(most=10)
    assert (await ask(registry, FIND, object_refs="always", objects_per_query=10)).entries == ENTRIES
    assert registry.kinds == ["FindDocuments ObjectRef", *["GetDocuments LeafClass"] * 3]


async def test_the_fallback_can_be_switched_off():
    registry = Registry(most=10)
    with pytest.raises(RegistryFailure) as caught:
        await ask(registry, FIND, object_refs="never")
    assert caught.value.errors == TOO_MANY
    assert len(registry.asked) == 1
    partial = await ask(Registry(most=10, some_of_too_many=True), FIND, object_refs="never")
    assert (partial.entries, partial.errors) == (ENTRIES[:10], TOO_MANY)


async def test_a_registry_that_gives_no_ids_has_still_said_that_there_is_too_much():
    def answer(query):
        return QueryResult(
            status=ResponseStatus.FAILURE,
            errors=TOO_MANY if len(registry.asked) == 1 else (RegistryError("XDSRegistryError", "no refs"),),
        )

    registry = Registry(answers=answer)
    with pytest.raises(RegistryFailure) as caught:
        await ask(registry, FIND)
    assert caught.value.errors == TOO_MANY


async def test_what_the_registry_says_beside_the_ids_is_kept():
    warning = RegistryError("XDSRegistryError", "one shard is late", Severity.WARNING)

    def answer(query):
        if len(registry.asked) == 1:
            return QueryResult(status=ResponseStatus.FAILURE, errors=TOO_MANY)
        return QueryResult(status=ResponseStatus.SUCCESS, errors=(warning,) * (len(registry.asked) == 2))

    registry = Registry(answers=answer)
    assert (await ask(registry, FIND)).errors == (warning,)


async def test_objects_are_asked_for_at_the_level_of_the_query():
    registry = Registry(most=10)
    await ask(registry, structs.replace(FIND, metadata_level=2))
    assert {q.metadata_level for q, _ in registry.asked} == {2}


async def test_the_community_of_an_id_is_asked_for_its_object():
    registry = Registry(most=10, home="urn:oid:2.999.3")
    await ask(registry, FIND)
    assert {q.home for q, _ in registry.asked[2:]} == {"urn:oid:2.999.3"}


async def test_objects_that_are_gone_meanwhile_are_told_of():
    registry = Registry(most=10)
    whole = registry._answer
    registry.answers = lambda query: (
        whole(query, "ObjectRef" if len(registry.asked) == 2 else "LeafClass")
        if len(registry.asked) < 3
        else QueryResult(status=ResponseStatus.SUCCESS, entries=ENTRIES[5:])
    )
    result = await ask(registry, FIND)
    assert result.entries == ENTRIES[5:]
    assert [(e.severity, e.context) for e in result.errors] == [
        (Severity.WARNING, "5 of 25 objects that match could not be had")
    ]


async def test_no_more_objects_are_fetched_than_the_settings_say():
    registry = Registry(most=10)
    with pytest.raises(RegistryFailure) as caught:
        await ask(registry, FIND, max_objects=24)
    assert caught.value.errors[0].code == "XDSTooManyResults"
    assert "25 objects match; at most 24" in caught.value.errors[0].context
    assert len(registry.asked) == 2


async def test_too_many_ids_without_a_time_are_too_many():
    registry = Registry(most=10, most_refs=10)
    with pytest.raises(RegistryFailure) as caught:
        await ask(registry, FIND)
    assert caught.value.errors == TOO_MANY
    assert registry.kinds == ["FindDocuments LeafClass", "FindDocuments ObjectRef"]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"creation_time_from": "2000"}, ENTRIES),
        ({"creation_time_to": "2010"}, ENTRIES[:10]),
        ({"creation_time_from": "2003", "creation_time_to": "20220615120001"}, ENTRIES[3:23]),
    ],
)
async def test_too_many_ids_are_asked_for_by_halves_of_the_time(limits, expected):
    registry = Registry(most=4, most_refs=4)
    result = await ask(registry, structs.replace(FIND, **limits), objects_per_query=4)
    assert (result.entries, result.errors) == (expected, ())
    windows = [q for q, r in registry.asked if r == "ObjectRef"]
    assert len(windows) < 40
    for name, limit in limits.items():
        extreme = (min if name.endswith("from") else max)(getattr(w, name) or limit for w in windows)
        assert extreme == limit, "no window reaches beyond what was asked"


async def test_an_entry_without_the_time_is_in_every_window_and_once_in_the_answer():
    entries = (structs.replace(ENTRIES[0], creation_time=None), *ENTRIES[1:])
    registry = Registry(entries, most=6, most_refs=6)
    result = await ask(registry, structs.replace(FIND, creation_time_from="2000"), objects_per_query=6)
    assert sorted(result.entries, key=lambda e: e.entry_uuid) == list(entries)


async def test_what_no_window_can_part_is_too_many():
    same = tuple(structs.replace(e, creation_time="20200101000000") for e in ENTRIES)
    registry = Registry(same, most=4, most_refs=4)
    with pytest.raises(RegistryFailure) as caught:
        await ask(registry, structs.replace(FIND, creation_time_from="2000", creation_time_to="2030"))
    assert caught.value.errors == TOO_MANY
    assert len(registry.asked) < 60


async def test_a_date_range_makes_windows_possible():
    registry = Registry(most=4, most_refs=4)
    result = await ask(registry, FIND, date_range="creation", objects_per_query=4)
    assert result.entries == ENTRIES


async def test_submission_sets_are_fetched_one_by_one_without_what_they_brought():
    sets = tuple(
        SubmissionSet(
            entry_uuid=uuid(100 + n), unique_id=f"2.999.4.{n}", source_id="2.999.5", submission_time="2024"
        )
        for n in range(6)
    )
    registry = Registry(sets, most=5)
    result = await ask(registry, FindSubmissionSets(patient_id=PATIENT))
    assert (result.submission_sets, result.entries) == (sets, ())
    assert registry.kinds[2:] == ["GetSubmissionSetAndContents LeafClass"] * 6


async def test_folders_are_fetched_in_pieces():
    folders = tuple(Folder(entry_uuid=uuid(200 + n), unique_id=f"2.999.6.{n}") for n in range(6))
    registry = Registry(folders, most=5)
    result = await ask(registry, FindFolders(patient_id=PATIENT), objects_per_query=3)
    assert result.folders == folders
    assert registry.kinds[2:] == ["GetFolders LeafClass"] * 2


def composed() -> tuple:
    """A SubmissionSet with what it brought."""
    brought = SubmissionSet(
        entry_uuid=uuid(500), unique_id="2.999.4.1", source_id="2.999.5", submission_time="2024"
    )
    folder = Folder(entry_uuid=uuid(501), unique_id="2.999.6.1")
    members = (folder.entry_uuid, *(e.entry_uuid for e in ENTRIES[:5]))
    links = tuple(
        Association(entry_uuid=uuid(600 + n), type=codes.HAS_MEMBER, source=brought.entry_uuid, target=member)
        for n, member in enumerate(members)
    )
    return brought, folder, links


async def test_a_set_with_too_many_contents_is_put_together_from_its_parts():
    brought, folder, links = composed()
    other = Association(entry_uuid=uuid(700), type=codes.RPLC, source=uuid(0), target=uuid(900))
    held = {o.entry_uuid: o for o in (brought, folder, *ENTRIES[:5], *links)}

    def answer(query):
        if isinstance(query, GetSubmissionSetAndContents):
            if len(registry.asked) == 1:
                return QueryResult(status=ResponseStatus.FAILURE, errors=TOO_MANY)
            return QueryResult(status=ResponseStatus.SUCCESS, object_refs=tuple(map(ObjectRef, held)))
        found = {}
        if isinstance(query, GetDocuments):
            found = {"entries": tuple(e for e in ENTRIES if e.entry_uuid in query.entry_uuids)}
        elif isinstance(query, GetFolders):
            found = {"folders": (folder,) if folder.entry_uuid in query.entry_uuids else ()}
        elif isinstance(query, GetAssociations):
            touched = {a for a in (*links, other) if {a.source, a.target} & set(query.uuids)}
            found = {"associations": tuple(touched)}
        elif isinstance(query, GetSubmissionSets):
            found = {"submission_sets": (brought,) if uuid(0) in query.uuids else ()}
        return QueryResult(status=ResponseStatus.SUCCESS, **found)

    registry = Registry(answers=answer)
    result = await ask(
        registry, GetSubmissionSetAndContents(entry_uuid=brought.entry_uuid), objects_per_query=4
    )
    assert result == QueryResult(
        status=ResponseStatus.SUCCESS,
        submission_sets=(brought,),
        folders=(folder,),
        entries=ENTRIES[:5],
        associations=links,
    )


# --- many ids ---------------------------------------------------------------------------------------------


async def test_ids_are_asked_for_in_pieces_and_their_objects_come_once_and_in_order():
    registry = Registry()
    wanted = tuple(e.entry_uuid for e in ENTRIES)
    result = await ask(registry, GetDocuments(entry_uuids=wanted + wanted[:3]), ids_per_query=10)
    assert result.entries == ENTRIES
    assert [len(q.entry_uuids) for q, _ in registry.asked] == [10, 10, 5]


async def test_an_association_between_two_pieces_comes_once():
    links = tuple(
        Association(entry_uuid=uuid(300 + n), type=codes.RPLC, source=uuid(n + 1), target=uuid(n))
        for n in range(6)
    )
    registry = Registry(links)
    result = await ask(registry, GetAssociations(uuids=tuple(map(uuid, range(7)))), ids_per_query=2)
    assert result.associations == links
    assert len(registry.asked) == 4


async def test_a_thousand_ids_are_one_request_whose_values_are_short_enough():
    registry = Registry()
    await ask(registry, GetDocuments(entry_uuids=tuple(map(uuid, range(1000)))))
    (sent,) = registry.sent
    values = re.findall(r"<rim:Value>([^<]*)</rim:Value>", sent)
    assert len(registry.asked[0][0].entry_uuids) == 1000
    assert len(values) > 100
    assert max(map(len, values)) <= 256


async def test_pieces_take_no_more_places_than_the_peer_has():
    registry = Registry()
    async with raw_peer(answering(registry)) as peer, SoapClient(load_contract()) as soap:
        at = Peer(name="registry", url=peer.url, max_in_flight=1, max_waiting=0)
        client = DocumentRegistry(soap, at, RegistryQuirks(ids_per_query=5))
        result = await client.query(GetDocuments(entry_uuids=tuple(e.entry_uuid for e in ENTRIES)))
    assert result.entries == ENTRIES


async def test_a_piece_that_fails_fails_the_query():
    def answer(query):
        if ENTRIES[12].entry_uuid in query.entry_uuids:
            return QueryResult(status=ResponseStatus.FAILURE, errors=(RegistryError("XDSRegistryBusy"),))
        return QueryResult(status=ResponseStatus.SUCCESS)

    wanted = tuple(e.entry_uuid for e in ENTRIES)
    with pytest.raises(RegistryFailure) as caught:
        await ask(Registry(answers=answer), GetDocuments(entry_uuids=wanted), ids_per_query=5)
    assert [e.code for e in caught.value.errors] == ["XDSRegistryBusy"]


async def test_pieces_with_errors_make_a_partial_success_that_says_each_once():
    gone = RegistryError("XDSUnavailableCommunity", "away", Severity.ERROR, "urn:oid:2.999.9")

    def answer(query):
        held = tuple(e for e in ENTRIES if e.entry_uuid in query.entry_uuids)
        return QueryResult(status=ResponseStatus.PARTIAL, errors=(gone,), entries=held)

    wanted = tuple(e.entry_uuid for e in ENTRIES)
    result = await ask(Registry(answers=answer), GetDocuments(entry_uuids=wanted), ids_per_query=5)
    assert (result.entries, result.errors, result.status) == (ENTRIES, (gone,), ResponseStatus.PARTIAL)


# --- what is sent -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("quirk", "field"), [("creation", "creation_time"), ("service_start", "service_start_time")]
)
async def test_a_registry_that_needs_dates_gets_them(quirk, field):
    def needs_dates(query):
        both = getattr(query, f"{field}_from") and getattr(query, f"{field}_to")
        return QueryResult(status=ResponseStatus.SUCCESS, entries=ENTRIES if both else ())

    assert (await ask(Registry(answers=needs_dates), FIND)).entries == ()
    registry = Registry(answers=needs_dates)
    assert (await ask(registry, FIND, date_range=quirk)).entries == ENTRIES
    await ask(registry, structs.replace(FIND, **{f"{field}_from": "2024"}), date_range=quirk)
    sent = registry.asked[1][0]
    assert (getattr(sent, f"{field}_from"), getattr(sent, f"{field}_to")) == ("2024", "21000101")


async def test_a_registry_that_refuses_the_document_type_is_not_sent_it_and_its_answer_is_filtered():
    mixed = (structs.replace(ENTRIES[0], object_type=codes.ON_DEMAND_DOCUMENT), ENTRIES[1])

    def refuses(query):
        if query.document_type:
            error = RegistryError("XDSStoredQueryParamNumber", "$XDSDocumentEntryType is not known")
            return QueryResult(status=ResponseStatus.FAILURE, errors=(error,))
        return QueryResult(status=ResponseStatus.SUCCESS, entries=mixed)

    query = structs.replace(FIND, document_type=(codes.STABLE_DOCUMENT,))
    with pytest.raises(RegistryFailure):
        await ask(Registry(answers=refuses), query)
    assert (await ask(Registry(answers=refuses), query, document_type=False)).entries == mixed[1:]
    both = structs.replace(FIND, document_type=ANY_DOCUMENT)
    assert (await ask(Registry(answers=refuses), both, document_type=False)).entries == mixed


RELATED = FindDocumentsByReferenceId(
    patient_id=PATIENT, reference_ids=(("A1^%", "A2^^^&2.999.8%"), ("A_^%",))
)


async def test_a_registry_without_reference_ids_is_asked_for_all_and_its_answer_filtered():
    registry = Registry()
    result = await ask(registry, RELATED, reference_ids="filter")
    assert result.entries == tuple(e for e in ENTRIES if e.reference_ids[0].id == "A1")
    assert registry.kinds == ["FindDocuments LeafClass"]


async def test_where_the_answer_cannot_be_filtered_either_the_error_names_the_setting():
    registry = Registry()
    with pytest.raises(PeerUnsupported, match=r"registry\.quirks\.reference_ids"):
        await ask(registry, RELATED, reference_ids="refuse")
    assert registry.asked == []


async def test_codes_are_asked_for_in_both_spellings_and_read_in_one():
    registry = Registry(
        answers=lambda query: QueryResult(
            status=ResponseStatus.SUCCESS,
            entries=tuple(e for e in ENTRIES if any(e.event_codes[0] in g for g in query.event_codes)),
        )
    )
    query = structs.replace(
        FIND,
        event_codes=((Code("CT", DCM),), (Code("CT", DCM), Code("MR", DCM))),
        type_code=(Code("a", DCM),),
    )
    assert len((await ask(registry, query)).entries) == 13
    result = await ask(registry, query, code_schemes={DCM: (SHORT,)})
    assert [e.entry_uuid for e in result.entries] == [e.entry_uuid for e in ENTRIES]
    assert {code for e in result.entries for code in e.event_codes} == {Code("CT", DCM)}
    sent = registry.asked[-1][0]
    assert sent.event_codes[1] == (Code("CT", DCM), Code("CT", SHORT), Code("MR", DCM), Code("MR", SHORT))
    assert sent.type_code == (Code("a", DCM), Code("a", SHORT))


async def test_codes_of_submission_sets_and_folders_are_read_in_one_spelling_too():
    result = QueryResult(
        status=ResponseStatus.SUCCESS,
        submission_sets=(
            SubmissionSet(
                entry_uuid=uuid(1),
                unique_id="2.999.4.1",
                source_id="2.999.5",
                submission_time="2024",
                content_type=Code("a", SHORT),
            ),
        ),
        folders=(Folder(entry_uuid=uuid(2), unique_id="2.999.6.1", code_list=(Code("b", SHORT),)),),
    )
    read = await ask(Registry(answers=lambda _: result), FIND, code_schemes={DCM: (SHORT,)})
    assert read.submission_sets[0].content_type == Code("a", DCM)
    assert read.folders[0].code_list == (Code("b", DCM),)


async def test_unique_ids_are_asked_for_with_and_without_their_urn():
    registry = Registry((structs.replace(ENTRIES[1], unique_id="urn:oid:2.999.2.1"),))
    query = GetDocuments(unique_ids=("2.999.2.1", "a^b"))
    assert (await ask(registry, query)).entries == ()
    (found,) = (await ask(registry, query, unique_id_urns=True)).entries
    assert found.unique_id == "urn:oid:2.999.2.1", "a retrieve has to send what the registry gave"
    assert registry.asked[1][0].unique_ids == ("2.999.2.1", "a^b", "urn:oid:2.999.2.1")


STYLED = FindDocuments(patient_id=PATIENT, class_code=(Code("a", "2.999.4"),), creation_time_from="2024")


@pytest.mark.parametrize(
    ("quirks", "patient", "class_code", "created"),
    [
        ({}, "'p''1^^^&amp;2.999.1&amp;ISO'", "('a^^2.999.4')", "2024"),
        ({"parentheses": "several"}, "'p''1^^^&amp;2.999.1&amp;ISO'", "'a^^2.999.4'", "2024"),
        ({"parentheses": "always"}, "('p''1^^^&amp;2.999.1&amp;ISO')", "('a^^2.999.4')", "(2024)"),
        ({"quotes": "lists"}, "p'1^^^&amp;2.999.1&amp;ISO", "('a^^2.999.4')", "2024"),
    ],
)
async def test_values_are_written_with_the_quotes_and_parentheses_that_the_registry_reads(
    quirks, patient, class_code, created
):
    sent = []

    def note(request):
        sent.append(request.body.decode())
        empty = write_query_response(QueryResult(status=ResponseStatus.SUCCESS))
        return http(write_envelope(empty, action="urn:x"), SOAP)

    await ask(note, STYLED, **quirks)
    slots = dict(
        re.findall(r'<rim:Slot name="\$XDSDocumentEntry(\w+)">.*?<rim:Value>(.*?)</rim:Value>', sent[0])
    )
    assert (slots["PatientId"], slots["ClassCode"], slots["CreationTimeFrom"]) == (
        patient,
        class_code,
        created,
    )


async def test_several_values_keep_their_parentheses():
    registry = Registry()
    query = structs.replace(STYLED, class_code=(Code("a", "2.999.4"), Code("b", "2.999.4")))
    await ask(registry, query, parentheses="several")
    assert "('a^^2.999.4','b^^2.999.4')" in registry.sent[0]


@pytest.mark.parametrize(("urns", "home"), [(True, "urn:oid:2.999.3"), (False, "2.999.3")])
async def test_a_community_is_named_as_the_registry_reads_it(urns, home):
    registry = Registry()
    await ask(registry, GetDocuments(entry_uuids=(uuid(1),), home="urn:oid:2.999.3"), home_urns=urns)
    assert f'home="{home}"' in registry.sent[0]
    registry = Registry(most=10, home="urn:oid:2.999.3")
    await ask(registry, FIND, home_urns=urns)
    assert f'home="{home}"' in registry.sent[2], "what an id brought is named in the same way"


async def test_an_empty_answer_is_asked_for_again_as_often_as_the_settings_say():
    def answer(_):
        return QueryResult(
            status=ResponseStatus.SUCCESS, entries=ENTRIES[:1] if len(registry.asked) == 2 else ()
        )

    registry = Registry(answers=answer)
    assert (await ask(registry, FIND)).entries == ()
    registry = Registry(answers=answer)
    assert (await ask(registry, FIND, empty_retries=1)).entries == ENTRIES[:1]
    registry = Registry(objects=())
    assert (await ask(registry, FIND, empty_retries=1)).entries == ()
    assert len(registry.asked) == 2


# --- the data ---------------------------------------------------------------------------------------------


def test_quirks_that_differ_from_the_standard_are_told():
    assert list(RegistryQuirks().active()) == []
    assert list(RepositoryQuirks().active()) == []
    quirks = RegistryQuirks(date_range="creation", document_type=False, ids_per_query=1_000)
    assert list(quirks.active()) == ["date_range=creation", "document_type=False"]


@pytest.mark.parametrize(
    "values", [{"date_range": "always"}, {"ids_per_query": 0}, {"empty_retries": 11}, {"unknown": 1}]
)
def test_quirks_that_mean_nothing_are_refused(values):
    with pytest.raises(ValidationError):
        RegistryQuirks(**values)
