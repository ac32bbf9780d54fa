"""What a submission of ITI-57 asks for survives the wire; what it cannot mean is refused."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.metadata_update import (
    EntryVersion,
    MetadataUpdate,
    StatusChange,
    read_update,
    submission_of,
)
from gateway.ebxml.submissions import read_submit_objects, write_submit_objects
from gateway.model import Association, AvailabilityStatus, DocumentEntry, Folder, SubmissionSet, codes
from tests.ebxml.wire import over_the_wire

APPROVED, DEPRECATED = AvailabilityStatus.APPROVED, AvailabilityStatus.DEPRECATED
SET = SubmissionSet(entry_uuid="set", unique_id="1.1", source_id="1.2", submission_time="2024")
ENTRY = DocumentEntry(
    entry_uuid="new",
    unique_id="1.3",
    logical_id="urn:uuid:00000000-0000-4000-8000-000000000001",
    mime_type="text/plain",
)
OLD = "urn:uuid:00000000-0000-4000-8000-000000000002"


def link(kind: str, source: str, target: str, name: str, **slots: str) -> Association:
    return Association(
        entry_uuid=name,
        type=kind,
        source=source,
        target=target,
        extra=tuple((slot, (value,)) for slot, value in slots.items()),
    )


def update(**changes) -> MetadataUpdate:
    member = link(codes.HAS_MEMBER, "set", "new", "member", PreviousVersion="1", AssociationPropagation="no")
    request = link(
        codes.UPDATE_AVAILABILITY_STATUS,
        "set",
        OLD,
        "request",
        OriginalStatus=APPROVED.value,
        NewStatus=DEPRECATED.value,
    )
    submitted = link(codes.SIGNS, OLD, OLD, "submitted")
    return structs.replace(
        MetadataUpdate(
            submission_set=SET,
            versions=(EntryVersion(member=member, entry=ENTRY, previous_version="1", propagate=False),),
            status_changes=(StatusChange(request=request, target=OLD, original=APPROVED, new=DEPRECATED),),
            associations=((link(codes.SUBMIT_ASSOCIATION, "set", "submitted", "submit"), submitted),),
        ),
        **changes,
    )


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from(["1", "2", "17"]),
    st.booleans(),
    st.permutations([APPROVED, DEPRECATED]),
    st.sets(st.sampled_from(["versions", "status_changes", "associations"]), max_size=2),
)
def test_an_update_survives(assert_valid, previous, propagate, statuses, left_out):
    wanted = update()
    (version,), (change,) = wanted.versions, wanted.status_changes
    wanted = structs.replace(
        wanted,
        versions=(structs.replace(version, previous_version=previous, propagate=propagate),),
        status_changes=(structs.replace(change, original=statuses[0], new=statuses[1]),),
    )
    wanted = structs.replace(wanted, **dict.fromkeys(left_out, ()))
    element = write_submit_objects(submission_of(wanted))
    assert_valid(element)
    read = read_update(read_submit_objects(over_the_wire(element)))
    assert submission_of(read) == submission_of(wanted)
    assert [(v.entry, v.previous_version, v.propagate) for v in read.versions] == [
        (v.entry, v.previous_version, v.propagate) for v in wanted.versions
    ]
    assert [(c.target, c.original, c.new) for c in read.status_changes] == [
        (c.target, c.original, c.new) for c in wanted.status_changes
    ]
    assert read.associations == wanted.associations


def fault(submission) -> str:
    with pytest.raises(MetadataError) as caught:
        read_update(submission)
    assert caught.value.code == "XDSMetadataUpdateOperationError"
    return caught.value.context


def with_association(association) -> str:
    whole = submission_of(update())
    others = tuple(a for a in whole.associations if a.entry_uuid != association.entry_uuid)
    return fault(structs.replace(whole, associations=(*others, association)))


@pytest.mark.parametrize(
    ("association", "finding"),
    [
        (link(codes.HAS_MEMBER, "set", "new", "member"), "PreviousVersion is missing"),
        (
            link(codes.HAS_MEMBER, "set", "new", "member", PreviousVersion="1", AssociationPropagation="?"),
            "must be yes or no",
        ),
        (
            link(codes.HAS_MEMBER, "set", "new", "second", PreviousVersion="1"),
            "DocumentEntry new: one HasMember",
        ),
        (link(codes.HAS_MEMBER, "set", OLD, "x"), "Association x: its type and target"),
        (link(codes.RPLC, "set", OLD, "x"), "Association x: its type and target"),
        (link(codes.SUBMIT_ASSOCIATION, "set", OLD, "x"), "must end at one of the request"),
        (link(codes.SIGNS, OLD, OLD, "x"), "Association x: no SubmitAssociation"),
        (
            link(codes.UPDATE_AVAILABILITY_STATUS, "set", OLD, "request", OriginalStatus=APPROVED.value),
            "slot NewStatus must be Approved or Deprecated",
        ),
        (
            link(
                codes.UPDATE_AVAILABILITY_STATUS,
                "set",
                OLD,
                "request",
                OriginalStatus="urn:x:Submitted",
                NewStatus=DEPRECATED.value,
            ),
            "slot OriginalStatus must be Approved or Deprecated",
        ),
    ],
)
def test_what_no_operation_means_is_refused(association, finding):
    assert finding in with_association(association)


def test_folders_and_empty_requests_are_refused():
    whole = submission_of(update())
    folder = Folder(entry_uuid="box", unique_id="1.9")
    assert "a Folder is part of the update" in fault(structs.replace(whole, folders=(folder,)))
    assert "no operation" in fault(structs.replace(whole, entries=(), associations=()))
