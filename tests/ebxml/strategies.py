"""Hypothesis strategies for whole values of the model, as any wire format may have to carry them.

Texts hold the delimiters of HL7 v2, XML and the stored queries, letters of several scripts, no blanks at
their ends and no control characters. Values are short enough for the 256 characters of an ebRIM slot.
"""

from datetime import datetime

from hypothesis import strategies as st
from msgspec.structs import replace

from gateway.model import (
    Association,
    Author,
    AvailabilityStatus,
    Code,
    Cx,
    DocumentEntry,
    DocumentHeader,
    DocumentRequest,
    Folder,
    IntendedRecipient,
    ObjectRef,
    Organization,
    Person,
    QueryResult,
    ReferenceId,
    RegistryError,
    ResponseStatus,
    Severity,
    SourcePatientInfo,
    Submission,
    SubmissionSet,
    Telecom,
    codes,
    query,
)
from gateway.model.metadata import Address

_CHARACTERS = st.one_of(
    st.sampled_from("|^&~\\'\"(),<>;%_ "),
    st.characters(exclude_categories=("Cs", "Cc", "Cn"), exclude_characters="\ufffe\uffff"),
)


def texts(max_size: int = 5) -> st.SearchStrategy[str]:
    """Text of 1 to `max_size` characters."""
    return st.text(_CHARACTERS, min_size=1, max_size=max_size).map(str.strip).filter(bool)


def maybe(strategy):
    return st.one_of(st.none(), strategy)


def several(strategy, max_size=3, min_size=0):
    return st.lists(strategy, min_size=min_size, max_size=max_size).map(tuple)


def present(strategy, empty):
    """Values of which at least one part is filled."""
    return strategy.filter(lambda value: value != empty)


oids = st.from_regex(r"[0-2](\.(0|[1-9][0-9]{0,4})){2,5}", fullmatch=True)
uuids = st.uuids().map(lambda value: f"urn:uuid:{value}")
homes = oids.map(lambda value: f"urn:oid:{value}")
statuses = st.sampled_from(AvailabilityStatus)
unique_ids = st.one_of(
    oids, uuids, st.builds("{}^{}".format, oids, st.from_regex(r"[A-Z0-9]{1,16}", fullmatch=True))
)
hashes = st.binary(min_size=20, max_size=20).map(bytes.hex)


@st.composite
def dtms(draw):
    """DTM of every precision."""
    moment = draw(st.datetimes(min_value=datetime(1850, 1, 1), max_value=datetime(2200, 1, 1)))
    return moment.strftime("%Y%m%d%H%M%S")[: draw(st.sampled_from((4, 6, 8, 10, 12, 14)))]


bare_codes = st.builds(Code, texts(12), st.one_of(oids, texts(12)))
coded = st.builds(Code, texts(12), st.one_of(oids, texts(12)), maybe(texts(40)))
cxs = st.builds(Cx, texts(12), oids)
reference_ids = st.builds(
    ReferenceId,
    texts(12),
    maybe(oids),
    st.sampled_from(("", codes.REFERENCE_ACCESSION, codes.REFERENCE_STUDY, codes.REFERENCE_ENCOUNTER)),
    maybe(homes),
)
names = present(
    st.builds(
        Person,
        family=maybe(texts()),
        given=maybe(texts()),
        further_given=maybe(texts()),
        suffix=maybe(texts()),
        prefix=maybe(texts()),
        degree=maybe(texts()),
    ),
    Person(),
)
persons = (
    st.builds(
        Person,
        id=texts(),
        family=maybe(texts()),
        given=maybe(texts()),
        further_given=maybe(texts()),
        suffix=maybe(texts()),
        prefix=maybe(texts()),
        degree=maybe(texts()),
        authority=maybe(oids),
    )
    | names
)
organizations = st.builds(Organization, name=texts(8), id=maybe(texts()), authority=maybe(oids)) | st.builds(
    Organization, name=maybe(texts(8)), id=oids
)
_uses = st.sampled_from((None, "home", "work", "mobile"))
telecoms = st.one_of(
    st.builds(Telecom, texts(10), st.sampled_from(("phone", "fax", "pager", "other")), _uses),
    st.builds(Telecom, st.builds("{}@{}".format, texts(), texts()), st.just("email"), _uses),
    st.builds(Telecom, texts(10).map("https://{}".format), st.just("url"), _uses),
)
_roles = several(st.one_of(texts(12), st.builds(Code, texts(12), oids)), 2)
authors = present(
    st.builds(Author, maybe(persons), several(organizations, 2), _roles, _roles, several(telecoms, 2)),
    Author(),
)
addresses = present(
    st.builds(
        Address,
        street=maybe(texts()),
        other=maybe(texts()),
        city=maybe(texts()),
        state=maybe(texts()),
        postal_code=maybe(texts()),
        country=maybe(texts()),
    ),
    Address(),
)
patient_infos = present(
    st.builds(
        SourcePatientInfo,
        ids=several(cxs),
        names=several(names, 2),
        birth_date=maybe(dtms()),
        gender=maybe(st.sampled_from("MFOUAN")),
        addresses=several(addresses, 2),
        other=several(texts(12).map("PID-13|{}".format), 2),
    ),
    SourcePatientInfo(),
)
recipients = present(
    st.builds(IntendedRecipient, maybe(organizations), maybe(persons), maybe(telecoms)), IntendedRecipient()
)
extras = st.lists(
    st.tuples(texts(12).map("urn:x:{}".format), several(texts(40))),
    max_size=2,
    unique_by=lambda slot: slot[0],
).map(tuple)


def document_entries(**fixed):
    """DocumentEntry with every attribute; `fixed` replaces single strategies."""
    fields = {
        "entry_uuid": uuids,
        "unique_id": unique_ids,
        "patient_id": maybe(cxs),
        "object_type": st.sampled_from(query.ANY_DOCUMENT),
        "status": statuses,
        "mime_type": st.sampled_from(("", "text/xml", "application/pdf", "application/dicom")),
        "home_community_id": maybe(homes),
        "repository_unique_id": maybe(oids),
        "source_patient_id": maybe(cxs),
        "source_patient_info": maybe(patient_infos),
        "authors": several(authors, 2),
        "legal_authenticator": maybe(persons),
        "class_code": maybe(coded),
        "type_code": maybe(coded),
        "format_code": maybe(coded),
        "facility_type": maybe(coded),
        "practice_setting": maybe(coded),
        "confidentiality": several(coded, 2),
        "event_codes": several(coded, 2),
        "reference_ids": several(reference_ids, 2),
        "creation_time": maybe(dtms()),
        "service_start_time": maybe(dtms()),
        "service_stop_time": maybe(dtms()),
        "language": maybe(st.sampled_from(("en-us", "de-CH", "zh"))),
        "hash": maybe(hashes),
        "size": maybe(st.integers(0, 2**40)),
        "title": maybe(texts(60)),
        "comments": maybe(texts(60)),
        "uri": maybe(texts(40)),
        "limited_metadata": st.booleans(),
        "document_availability": maybe(st.just("urn:ihe:iti:2010:DocumentAvailability:Online")),
        "logical_id": maybe(uuids),
        "version": maybe(st.integers(1, 99).map(str)),
        "extra": extras,
    }
    return st.builds(DocumentEntry, **(fields | fixed))


def submission_sets(**fixed):
    """SubmissionSet with every attribute."""
    fields = {
        "entry_uuid": uuids,
        "unique_id": oids,
        "source_id": oids,
        "submission_time": dtms(),
        "patient_id": maybe(cxs),
        "content_type": maybe(coded),
        "authors": several(authors, 2),
        "intended_recipients": several(recipients, 2),
        "title": maybe(texts(60)),
        "comments": maybe(texts(60)),
        "status": statuses,
        "home_community_id": maybe(homes),
        "limited_metadata": st.booleans(),
        "extra": extras,
    }
    return st.builds(SubmissionSet, **(fields | fixed))


def folders(**fixed):
    """Folder with every attribute."""
    fields = {
        "entry_uuid": uuids,
        "unique_id": oids,
        "patient_id": maybe(cxs),
        "code_list": several(coded, 3),
        "last_update_time": maybe(dtms()),
        "title": maybe(texts(60)),
        "comments": maybe(texts(60)),
        "status": statuses,
        "home_community_id": maybe(homes),
        "limited_metadata": st.booleans(),
        "extra": extras,
    }
    return st.builds(Folder, **(fields | fixed))


def associations(**fixed):
    """Association of every type."""
    fields = {
        "entry_uuid": uuids,
        "type": st.sampled_from(sorted({codes.HAS_MEMBER, *codes.DOCUMENT_RELATIONS})),
        "source": uuids,
        "target": uuids,
        "submission_set_status": maybe(st.sampled_from(("Original", "Reference"))),
        "documentation": maybe(coded),
        "status": statuses,
        "home_community_id": maybe(homes),
        "extra": extras,
    }
    return st.builds(Association, **(fields | fixed))


_entry_lists = several(document_entries(), 3)
_sets = submission_sets()
_folder_lists = several(folders(), 1)
_member_lists = several(associations(), 4, min_size=4)
_id_lists = st.one_of(
    st.just([f"Object{n}" for n in range(5)]), st.lists(uuids, min_size=5, max_size=5, unique=True)
)


@st.composite
def submissions(draw):
    """Submission whose SubmissionSet has every entry and folder as member; ids may be symbolic."""
    own, *ids = draw(_id_lists)
    entries = [replace(entry, entry_uuid=ids.pop()) for entry in draw(_entry_lists)]
    kept = [replace(folder, entry_uuid=ids.pop()) for folder in draw(_folder_lists)]
    members = [
        replace(
            association,
            entry_uuid=f"Member{n}",
            type=codes.HAS_MEMBER,
            source=own,
            target=member.entry_uuid,
        )
        for n, (association, member) in enumerate(zip(draw(_member_lists), [*entries, *kept], strict=False))
    ]
    return Submission(
        submission_set=replace(draw(_sets), entry_uuid=own),
        entries=tuple(entries),
        folders=tuple(kept),
        associations=tuple(members),
    )


registry_errors = st.builds(
    RegistryError,
    st.sampled_from(("XDSRegistryError", "XDSTooManyResults", "XDSUnknownPatientId")),
    st.one_of(st.just(""), texts(40)),
    st.sampled_from(Severity),
    maybe(homes),
)
object_refs = st.builds(ObjectRef, uuids, maybe(homes))
query_results = st.builds(
    QueryResult,
    status=st.sampled_from(ResponseStatus),
    errors=several(registry_errors, 2),
    entries=several(document_entries(), 2),
    submission_sets=several(submission_sets(), 1),
    folders=several(folders(), 1),
    associations=several(associations(), 2),
    object_refs=several(object_refs, 2),
)
document_requests = st.builds(DocumentRequest, oids, unique_ids, maybe(homes))
document_headers = st.builds(
    DocumentHeader,
    oids,
    unique_ids,
    st.sampled_from(("text/plain", "application/dicom")),
    maybe(homes),
    maybe(oids),
    maybe(unique_ids),
)

_any_status = st.lists(statuses, min_size=1, max_size=2, unique=True).map(tuple)
_and_or = several(several(bare_codes, 3, min_size=1), 2)
_some_codes = several(bare_codes, 8)
_time = maybe(dtms())
_content = {
    "format_code": _some_codes,
    "confidentiality": _and_or,
    "document_type": st.sampled_from(((), query.ANY_DOCUMENT)),
}
_find = _content | {
    "patient_id": cxs,
    "status": _any_status,
    "class_code": _some_codes,
    "type_code": _some_codes,
    "practice_setting": _some_codes,
    "facility_type": _some_codes,
    "event_codes": _and_or,
    "author_person": several(texts(30), 4),
    "creation_time_from": _time,
    "creation_time_to": _time,
    "service_start_time_from": _time,
    "service_start_time_to": _time,
    "service_stop_time_from": _time,
    "service_stop_time_to": _time,
}
_shared = {
    "home": maybe(homes),
    "target_communities": several(homes, 6),
    "metadata_level": st.sampled_from((None, 1, 2)),
    "association_status": st.sampled_from(((), query.APPROVED, query.ANY_STATUS)),
}


def _by_id(kind, one: bool, logical: bool = False, **fields):
    """Queries by entryUUID, by uniqueId and, where `logical`, by logicalID: by one of them."""
    names = ("entry_uuid", "unique_id") if one else ("entry_uuids", "unique_ids")
    values = (
        (uuids, unique_ids) if one else (several(uuids, 30, min_size=1), several(unique_ids, 9, min_size=1))
    )
    if logical:
        names, values = (*names, "logical_ids"), (*values, several(uuids, 30, min_size=1))
    return st.one_of(
        *(
            st.builds(kind, **_shared, **fields, **{name: value})
            for name, value in zip(names, values, strict=True)
        )
    )


stored_queries = st.one_of(
    st.builds(query.FindDocuments, **_shared, **_find),
    st.builds(
        query.FindDocumentsByReferenceId,
        **_shared,
        **_find,
        reference_ids=several(several(texts(60), 3, min_size=1), 3, min_size=1),
    ),
    st.builds(
        query.FindSubmissionSets,
        **_shared,
        patient_id=cxs,
        status=_any_status,
        source_id=several(oids, 3),
        submission_time_from=_time,
        submission_time_to=_time,
        author_person=maybe(texts(30)),
        content_type=_some_codes,
    ),
    st.builds(
        query.FindFolders,
        **_shared,
        patient_id=cxs,
        status=_any_status,
        last_update_time_from=_time,
        last_update_time_to=_time,
        code_list=_and_or,
    ),
    st.builds(
        query.GetAll,
        **_shared,
        **_content,
        patient_id=cxs,
        entry_status=_any_status,
        submission_set_status=_any_status,
        folder_status=_any_status,
    ),
    _by_id(query.GetDocuments, one=False, logical=True),
    _by_id(query.GetFolders, one=False),
    st.builds(query.GetAssociations, **_shared, uuids=several(uuids, 30, min_size=1)),
    _by_id(query.GetDocumentsAndAssociations, one=False, logical=True),
    st.builds(query.GetSubmissionSets, **_shared, uuids=several(uuids, 30, min_size=1)),
    _by_id(query.GetSubmissionSetAndContents, one=True, **_content),
    _by_id(query.GetFolderAndContents, one=True, **_content),
    _by_id(query.GetFoldersForDocument, one=True),
    _by_id(
        query.GetRelatedDocuments,
        one=True,
        association_types=st.lists(
            st.sampled_from(sorted(codes.DOCUMENT_RELATIONS)), min_size=1, max_size=5, unique=True
        ).map(tuple),
        document_type=st.sampled_from(((), query.ANY_DOCUMENT)),
    ),
)
"""Every stored query with every parameter."""
