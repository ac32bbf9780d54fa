"""What a registry takes, what it refuses and with which code, and what a replacement changes."""

import hashlib
from datetime import timedelta

import pytest
from msgspec import structs

from gateway.affinity.errors import Refused
from gateway.model import AvailabilityStatus, Code, Cx
from gateway.model.codes import (
    APND,
    HAS_MEMBER,
    IS_SNAPSHOT_OF,
    ON_DEMAND_DOCUMENT,
    RPLC,
    SIGNS,
    XFRM,
    XFRM_RPLC,
)
from gateway.model.query import (
    ANY_STATUS,
    FindDocuments,
    FindFolders,
    FindSubmissionSets,
    GetAssociations,
    GetDocuments,
    GetFolderAndContents,
    GetFolders,
    GetSubmissionSetAndContents,
)
from tests.affinity.samples import (
    OTHER_PATIENT,
    PATIENT,
    entry,
    entry_uuid,
    folder,
    link,
    sha1,
    submission,
    unique_id,
)

METADATA = "XDSRegistryMetadataError"


def refusals(domain, wanted) -> list[str]:
    """Codes of a refused registration, after which the registry is as it was."""
    before = domain.rows()
    with pytest.raises(Refused) as caught:
        domain.register(wanted)
    assert domain.rows() == before
    return [error.code for error in caught.value.errors]


def status_of(domain, uuid):
    return domain.query(GetDocuments(entry_uuids=(uuid,))).entries[0].status


def members(domain, folder_uuid):
    found = domain.query(GetFolderAndContents(entry_uuid=folder_uuid))
    return {e.entry_uuid for e in found.entries}


def test_a_registered_entry_comes_back_as_it_was_sent(domain):
    sent = entry()
    domain.register(sent)
    assert domain.query(FindDocuments(patient_id=PATIENT)).entries == (sent,)


def test_symbolic_ids_become_urns_in_every_reference(domain):
    document = entry(entry_uuid="Document01")
    box = folder(entry_uuid="Folder01")
    domain.register(
        submission(
            document,
            folders=(box,),
            associations=(link(HAS_MEMBER, "Folder01", "Document01", entry_uuid="as01"),),
            entry_uuid="SubmissionSet01",
        )
    )
    found = domain.query(FindFolders(patient_id=PATIENT)).folders[0]
    content = domain.query(GetFolderAndContents(entry_uuid=found.entry_uuid))
    assert found.entry_uuid.startswith("urn:uuid:")
    assert [e.unique_id for e in content.entries] == [document.unique_id]
    assert content.associations[0].entry_uuid.startswith("urn:uuid:")


def test_uuids_are_stored_in_lower_case(domain):
    upper = "urn:uuid:ABCDEFAB-0000-4000-8000-ABCDEFABCDEF"
    domain.register(entry(entry_uuid=upper))
    assert domain.query(GetDocuments(entry_uuids=(upper.lower(),))).entries


def updated(domain, box) -> str:
    return domain.query(GetFolders(entry_uuids=(box.entry_uuid,))).folders[0].last_update_time


def test_a_folder_gets_its_last_update_time_from_the_registry(domain):
    box = folder(last_update_time="1999")
    domain.register(submission(folders=(box,)))
    assert updated(domain, box) == "20240506070809"


def test_each_new_member_is_an_update_of_a_folder(domain):
    old, box, other = entry(), folder(), folder()
    domain.register(submission(old, folders=(box, other)))
    domain.now += timedelta(hours=1)
    domain.register(
        submission(entry(), associations=(link(HAS_MEMBER, box.entry_uuid, old.entry_uuid),)),
    )
    assert updated(domain, box) == "20240506080809"
    domain.now += timedelta(hours=1)
    new = entry()
    domain.register(submission(new, associations=(link(RPLC, new.entry_uuid, old.entry_uuid),)))
    assert updated(domain, box) == "20240506090809"
    found = domain.query(FindFolders(patient_id=PATIENT, last_update_time_from="2024050609"))
    assert [f.entry_uuid for f in found.folders] == [box.entry_uuid]
    assert updated(domain, other) == "20240506070809"


@pytest.mark.parametrize(
    "change",
    [
        {"mime_type": ""},
        {"mime_type": "pdf"},
        {"object_type": ON_DEMAND_DOCUMENT},
        {"object_type": "urn:uuid:00000000-0000-4000-8000-000000000000"},
        {"unique_id": ""},
        {"unique_id": "2.999." + "1" * 128},
        {"patient_id": Cx("", "2.999.1.1")},
        {"patient_id": Cx("P-1", "authority")},
        {"source_patient_id": None},
        {"class_code": None},
        {"type_code": None},
        {"format_code": Code("x", "")},
        {"facility_type": None},
        {"practice_setting": Code("", "2.999.3")},
        {"confidentiality": ()},
        {"event_codes": (Code("x", ""),)},
        {"creation_time": None},
        {"creation_time": "20241301"},
        {"service_start_time": "yesterday"},
        {"service_stop_time": "2024010"},
        {"language": None},
        {"language": "english please"},
        {"hash": None},
        {"hash": "x" * 40},
        {"hash": "ab"},
        {"size": None},
        {"size": -1},
        {"repository_unique_id": None},
        {"repository_unique_id": "here"},
        {"limited_metadata": True},
        {"entry_uuid": "urn:uuid:1"},
    ],
    ids=str,
)
def test_an_entry_without_what_is_required_is_a_metadata_error(domain, change):
    assert METADATA in refusals(domain, submission(entry(**change)))


@pytest.mark.parametrize(
    "change",
    [
        {"unique_id": "urn:uuid:00000000-0000-4000-8000-000000000000"},
        {"source_id": ""},
        {"source_id": "01.2"},
        {"submission_time": "2024-01-01"},
        {"patient_id": None},
        {"content_type": None},
        {"limited_metadata": True},
    ],
    ids=str,
)
def test_a_submission_set_without_what_is_required_is_a_metadata_error(domain, change):
    assert METADATA in refusals(domain, submission(entry(), **change))


@pytest.mark.parametrize(
    "change", [{"unique_id": "folder"}, {"code_list": ()}, {"title": None}, {"patient_id": None}], ids=str
)
def test_a_folder_without_what_is_required_is_a_metadata_error(domain, change):
    assert METADATA in refusals(domain, submission(folders=(folder(**change),)))


def test_every_broken_rule_is_reported_and_none_quotes_the_patient(domain):
    wanted = submission(entry(class_code=None, language=None, patient_id=Cx("Secret-77", "x")))
    with pytest.raises(Refused) as caught:
        domain.register(wanted)
    texts = [error.context for error in caught.value.errors]
    assert any("classCode" in text for text in texts)
    assert any("languageCode" in text for text in texts)
    assert not any("Secret-77" in text for text in texts)


@pytest.mark.parametrize(
    "identifier",
    ["2.999.1", "2.999.1^ext", "urn:uuid:0d4b7c1e-1111-4222-8333-444455556666", "https://docs.example/1"],
)
def test_a_document_may_be_named_by_oid_uuid_and_uri(domain, identifier):
    domain.register(entry(unique_id=identifier))
    assert domain.query(GetDocuments(unique_ids=(identifier,))).entries[0].unique_id == identifier


def test_an_entry_outside_the_submission_set_is_a_metadata_error(domain):
    whole = submission(entry())
    assert refusals(domain, structs.replace(whole, associations=())) == [METADATA]


def test_a_new_member_must_be_original(domain):
    whole = submission(entry())
    changed = structs.replace(whole.associations[0], submission_set_status="Reference")
    assert refusals(domain, structs.replace(whole, associations=(changed,))) == [METADATA]


def test_an_unknown_association_type_is_a_metadata_error(domain):
    first, second = entry(), entry()
    odd = link("urn:ihe:iti:2007:AssociationType:LIKES", first.entry_uuid, second.entry_uuid)
    assert refusals(domain, submission(first, second, associations=(odd,))) == [METADATA]


@pytest.mark.parametrize("kind", ["entry", "folder"])
def test_two_patients_in_one_submission_do_not_match(domain, kind):
    wanted = (
        submission(entry(patient_id=OTHER_PATIENT))
        if kind == "entry"
        else submission(folders=(folder(patient_id=OTHER_PATIENT),))
    )
    assert refusals(domain, wanted) == ["XDSPatientIdDoesNotMatch"]


def test_a_patient_outside_the_policy_is_unknown(make_domain):
    domain = make_domain(known_authorities=frozenset({"2.999.4"}), known_patients=frozenset({OTHER_PATIENT}))
    assert refusals(domain, submission(entry())) == ["XDSUnknownPatientId"]
    domain.register(submission(entry(patient_id=OTHER_PATIENT), patient_id=OTHER_PATIENT))
    insider = Cx("anyone", "2.999.4")
    domain.register(submission(entry(patient_id=insider), patient_id=insider))


def test_a_unique_id_twice_in_a_message_is_refused(domain):
    same = unique_id()
    assert refusals(domain, submission(entry(unique_id=same), entry(unique_id=same))) == [
        "XDSRegistryDuplicateUniqueIdInMessage"
    ]


def test_a_submission_set_or_folder_with_a_registered_unique_id_is_refused(domain):
    box = folder()
    first = domain.register(submission(entry(), folders=(box,)))
    again = submission(entry(), unique_id=first.submission_set.unique_id)
    assert refusals(domain, again) == ["XDSDuplicateUniqueIdInRegistry"]
    assert refusals(domain, submission(folders=(folder(unique_id=box.unique_id),))) == [
        "XDSDuplicateUniqueIdInRegistry"
    ]
    assert refusals(domain, submission(entry(unique_id=box.unique_id))) == ["XDSDuplicateUniqueIdInRegistry"]


def test_a_document_may_be_registered_again_with_its_hash_only(domain):
    first = entry(hash=sha1(b"a").upper(), size=1)
    domain.register(first)
    for same in (sha1(b"a"), sha1(b"a").upper()):
        domain.register(entry(unique_id=first.unique_id, hash=same, size=1))
    assert len(domain.query(GetDocuments(unique_ids=(first.unique_id,))).entries) == 3
    other = entry(unique_id=first.unique_id, hash=sha1(b"b"), size=1)
    assert refusals(domain, submission(other))[0] == "XDSNonIdenticalHash"
    longer = entry(unique_id=first.unique_id, hash=sha1(b"a"), size=2)
    assert refusals(domain, submission(longer))[0] == "XDSNonIdenticalSize"


def test_a_registered_entry_uuid_is_refused(domain):
    first = domain.register(entry())
    assert refusals(domain, submission(entry(entry_uuid=first.entries[0].entry_uuid))) == [METADATA]


def test_a_submission_set_cannot_have_the_unique_id_of_a_document(domain):
    document = entry()
    domain.register(document)
    again = submission(entry(), unique_id=document.unique_id)
    assert refusals(domain, again) == ["XDSDuplicateUniqueIdInRegistry"]


def test_logical_id_and_version_are_left_to_metadata_update(domain):
    document = entry(logical_id="urn:uuid:00000000-0000-4000-8000-00000000000f", version="3")
    domain.register(document)
    (stored,) = domain.query(FindDocuments(patient_id=PATIENT)).entries
    assert stored == structs.replace(document, logical_id=None, version=None)


def test_whatever_a_source_says_a_new_entry_is_approved(domain):
    document, addendum = entry(status=AvailabilityStatus.DEPRECATED), entry()
    appended = link(APND, addendum.entry_uuid, document.entry_uuid)
    domain.register(submission(document, addendum, associations=(appended,)))
    assert status_of(domain, document.entry_uuid) is AvailabilityStatus.APPROVED


def test_an_id_twice_in_a_message_is_refused(domain):
    assert METADATA in refusals(domain, submission(entry(entry_uuid="a"), entry(entry_uuid="a")))


def test_a_reference_that_names_nothing_is_unresolved(domain):
    new = entry()
    for target in ("symbolic", entry_uuid()):
        wanted = submission(new, associations=(link(APND, new.entry_uuid, target),))
        assert refusals(domain, wanted) == ["UnresolvedReferenceException"]
    wanted = submission(new, associations=(link(HAS_MEMBER, entry_uuid(), new.entry_uuid),))
    assert refusals(domain, wanted) == ["UnresolvedReferenceException"]


def test_the_source_of_a_relation_is_a_new_entry(domain):
    old = domain.register(entry()).entries[0]
    new = entry()
    backwards = link(RPLC, old.entry_uuid, new.entry_uuid)
    assert METADATA in refusals(domain, submission(new, associations=(backwards,)))


def test_a_replacement_needs_a_registered_target(domain):
    first, second = entry(), entry()
    wanted = submission(first, second, associations=(link(RPLC, first.entry_uuid, second.entry_uuid),))
    assert refusals(domain, wanted) == ["UnresolvedReferenceException"]


@pytest.mark.parametrize("kind", [RPLC, XFRM_RPLC, APND, XFRM, SIGNS])
def test_what_is_deprecated_takes_no_successor_addendum_or_signature(domain, kind):
    old = domain.register(entry()).entries[0]
    new = entry()
    domain.register(submission(new, associations=(link(RPLC, new.entry_uuid, old.entry_uuid),)))
    late = entry()
    wanted = submission(late, associations=(link(kind, late.entry_uuid, old.entry_uuid),))
    assert refusals(domain, wanted) == ["XDSRegistryDeprecatedDocumentError"]


def test_what_is_deprecated_becomes_no_member_again(domain):
    old, box = entry(), folder()
    domain.register(submission(old, folders=(box,)))
    new = entry()
    domain.register(submission(new, associations=(link(RPLC, new.entry_uuid, old.entry_uuid),)))
    late = submission(entry())
    by_reference = link(
        HAS_MEMBER, late.submission_set.entry_uuid, old.entry_uuid, submission_set_status="Reference"
    )
    into_the_folder = link(HAS_MEMBER, box.entry_uuid, old.entry_uuid)
    for association in (by_reference, into_the_folder):
        wanted = structs.replace(late, associations=(*late.associations, association))
        assert refusals(domain, wanted) == ["XDSRegistryDeprecatedDocumentError"]


def test_a_relation_to_a_document_of_another_patient_does_not_match(domain):
    old = domain.register(submission(entry(patient_id=OTHER_PATIENT), patient_id=OTHER_PATIENT)).entries[0]
    new = entry()
    for association in (
        link(RPLC, new.entry_uuid, old.entry_uuid),
        link(SIGNS, new.entry_uuid, old.entry_uuid),
    ):
        assert refusals(domain, submission(new, associations=(association,))) == ["XDSPatientIdDoesNotMatch"]


def test_a_stable_document_has_no_snapshot(domain):
    old = domain.register(entry()).entries[0]
    new = entry()
    wanted = submission(new, associations=(link(IS_SNAPSHOT_OF, new.entry_uuid, old.entry_uuid),))
    assert refusals(domain, wanted) == [METADATA]


def holding(target, status="Reference"):
    """A submission that brings one document and has a registered one as member."""
    base = submission(entry())
    member = link(HAS_MEMBER, base.submission_set.entry_uuid, target, submission_set_status=status)
    return structs.replace(base, associations=(*base.associations, member))


def test_a_member_by_reference_is_a_registered_document(domain):
    old = domain.register(entry()).entries[0]
    assert refusals(domain, holding(entry_uuid())) == ["UnresolvedReferenceException"]
    assert refusals(domain, holding(old.entry_uuid, "Original")) == [METADATA]
    taken = domain.register(holding(old.entry_uuid))
    found = domain.query(GetSubmissionSetAndContents(entry_uuid=taken.submission_set.entry_uuid))
    assert old.entry_uuid in {e.entry_uuid for e in found.entries}


def test_a_member_by_reference_may_be_of_another_patient(domain):
    foreign = domain.register(submission(entry(patient_id=OTHER_PATIENT), patient_id=OTHER_PATIENT)).entries[
        0
    ]
    taken = domain.register(holding(foreign.entry_uuid))
    query = GetSubmissionSetAndContents(entry_uuid=taken.submission_set.entry_uuid)
    assert [e.code for e in domain.query(query).errors] == ["XDSResultNotSinglePatient"]
    assert foreign.entry_uuid in {r.id for r in domain.query(query, "ObjectRef").object_refs}


def test_a_folder_holds_documents_of_its_patient_only(domain):
    foreign = domain.register(submission(entry(patient_id=OTHER_PATIENT), patient_id=OTHER_PATIENT)).entries[
        0
    ]
    mine, theirs = folder(), folder(patient_id=OTHER_PATIENT)
    into_mine = link(HAS_MEMBER, mine.entry_uuid, foreign.entry_uuid)
    assert refusals(domain, submission(folders=(mine,), associations=(into_mine,))) == [
        "XDSPatientIdDoesNotMatch"
    ]
    domain.register(submission(folders=(theirs,), patient_id=OTHER_PATIENT))
    document = entry()
    into_theirs = link(HAS_MEMBER, theirs.entry_uuid, document.entry_uuid)
    assert refusals(domain, submission(document, associations=(into_theirs,))) == ["XDSPatientIdDoesNotMatch"]


@pytest.mark.parametrize("kind", [RPLC, XFRM_RPLC])
def test_a_replacement_deprecates_the_old_one_with_its_children(domain, kind):
    old, addendum, transformed, bystander = entry(), entry(), entry(), entry()
    domain.register(submission(old, bystander))
    domain.register(submission(addendum, associations=(link(APND, addendum.entry_uuid, old.entry_uuid),)))
    domain.register(
        submission(transformed, associations=(link(XFRM, transformed.entry_uuid, addendum.entry_uuid),))
    )
    new = entry()
    domain.register(submission(new, associations=(link(kind, new.entry_uuid, old.entry_uuid),)))
    for gone in (old, addendum, transformed):
        assert status_of(domain, gone.entry_uuid) is AvailabilityStatus.DEPRECATED
    for kept in (new, bystander):
        assert status_of(domain, kept.entry_uuid) is AvailabilityStatus.APPROVED
    current = domain.query(FindDocuments(patient_id=PATIENT)).entries
    assert {e.entry_uuid for e in current} == {new.entry_uuid, bystander.entry_uuid}
    assert len(domain.query(FindDocuments(patient_id=PATIENT, status=ANY_STATUS)).entries) == 5


def test_a_signature_survives_the_replacement_of_what_it_signs(domain):
    old, signature, new = entry(), entry(), entry()
    domain.register(old)
    domain.register(submission(signature, associations=(link(SIGNS, signature.entry_uuid, old.entry_uuid),)))
    domain.register(submission(new, associations=(link(RPLC, new.entry_uuid, old.entry_uuid),)))
    assert status_of(domain, signature.entry_uuid) is AvailabilityStatus.APPROVED


def test_a_replacement_goes_into_the_folders_of_the_old_one(domain):
    old, new, box, other = entry(), entry(), folder(), folder()
    domain.register(
        submission(
            old, folders=(box, other), associations=(link(HAS_MEMBER, box.entry_uuid, old.entry_uuid),)
        )
    )
    domain.register(submission(new, associations=(link(RPLC, new.entry_uuid, old.entry_uuid),)))
    assert members(domain, box.entry_uuid) == {old.entry_uuid, new.entry_uuid}
    assert members(domain, other.entry_uuid) == set()


def test_the_membership_that_a_replacement_adds_belongs_to_its_submission_set(domain):
    old, new, box = entry(), entry(), folder()
    domain.register(
        submission(old, folders=(box,), associations=(link(HAS_MEMBER, box.entry_uuid, old.entry_uuid),))
    )
    taken = domain.register(submission(new, associations=(link(RPLC, new.entry_uuid, old.entry_uuid),)))
    found = domain.query(GetSubmissionSetAndContents(entry_uuid=taken.submission_set.entry_uuid))
    assert [a.target for a in found.associations if a.source == box.entry_uuid] == [new.entry_uuid]


def test_a_replacement_that_names_the_folder_itself_is_a_member_once(domain):
    old, new, box = entry(), entry(), folder()
    domain.register(
        submission(old, folders=(box,), associations=(link(HAS_MEMBER, box.entry_uuid, old.entry_uuid),))
    )
    domain.register(
        submission(
            new,
            associations=(
                link(RPLC, new.entry_uuid, old.entry_uuid),
                link(HAS_MEMBER, box.entry_uuid, new.entry_uuid),
            ),
        )
    )
    touching = domain.query(GetAssociations(uuids=(new.entry_uuid,))).associations
    assert [a.source for a in touching].count(box.entry_uuid) == 1


def test_of_a_refused_submission_nothing_remains(domain):
    domain.register(entry())
    good, bad = entry(), entry()
    wanted = submission(good, bad, associations=(link(APND, bad.entry_uuid, entry_uuid()),))
    assert refusals(domain, wanted) == ["UnresolvedReferenceException"]
    assert not domain.query(GetDocuments(entry_uuids=(good.entry_uuid,))).entries
    assert len(domain.query(FindSubmissionSets(patient_id=PATIENT)).submission_sets) == 1


class TestRepository:
    def test_a_document_is_kept_under_its_hash_and_size(self, domain):
        content = b"\r\nbytes\r\n"
        wanted = submission(entry(hash=None, size=None, repository_unique_id=None))
        domain.provide(wanted, content)
        stored = domain.query(GetDocuments(entry_uuids=(wanted.entries[0].entry_uuid,))).entries[0]
        assert (stored.hash, stored.size) == (hashlib.sha1(content).hexdigest(), len(content))
        assert stored.repository_unique_id == domain.options.repository_unique_id
        assert domain.files.path(stored.hash).read_bytes() == content

    @pytest.mark.parametrize("change", [{"hash": sha1(b"other")}, {"size": 77}], ids=str)
    def test_a_wrong_hash_or_size_is_a_repository_metadata_error(self, domain, change):
        with pytest.raises(Refused) as caught:
            domain.provide(submission(entry(**{"hash": None, "size": None, **change})), b"abc")
        assert [e.code for e in caught.value.errors] == ["XDSRepositoryMetadataError"]
        assert domain.stored_files() == []

    def test_of_a_refused_submission_no_file_remains(self, domain):
        wanted = submission(entry(hash=None, size=None))
        late = structs.replace(
            wanted,
            associations=(*wanted.associations, link(APND, wanted.entries[0].entry_uuid, entry_uuid())),
        )
        with pytest.raises(Refused):
            domain.provide(late, b"abc")
        assert domain.stored_files() == []
        assert set(domain.rows().values()) == {0}

    def test_a_refused_submission_leaves_the_same_content_of_another_alone(self, domain):
        domain.provide(submission(entry(hash=None, size=None)), b"same")
        wanted = submission(entry(hash=None, size=None))
        late = structs.replace(
            wanted,
            associations=(*wanted.associations, link(APND, wanted.entries[0].entry_uuid, entry_uuid())),
        )
        with pytest.raises(Refused):
            domain.provide(late, b"same")
        assert domain.stored_files() == [sha1(b"same")]

    def test_a_refused_submission_leaves_the_content_of_one_under_way_alone(self, domain):
        content = b"same"
        with domain.files.pinned([sha1(content)]):
            domain.files.place(sha1(content), content)
            late = submission(entry(hash=None, size=None))
            new = late.entries[0].entry_uuid
            with pytest.raises(Refused):
                domain.provide(
                    structs.replace(late, associations=(*late.associations, link(APND, new, entry_uuid()))),
                    content,
                )
            assert domain.stored_files() == [sha1(content)]

    def test_the_same_content_is_stored_once(self, domain):
        for _ in range(2):
            domain.provide(submission(entry(hash=None, size=None)), b"same")
        assert domain.stored_files() == [sha1(b"same")]
        assert domain.rows()["document"] == 2

    def test_another_content_with_the_same_hash_is_refused(self, domain):
        from gateway.affinity.repository import Content

        domain.provide(submission(entry(hash=None, size=None)), b"one")
        wanted = submission(entry(hash=None, size=None))
        with pytest.raises(Refused) as caught:
            domain.repository.provide(
                wanted, {wanted.entries[0].entry_uuid: Content(sha1(b"one"), 3, b"two")}
            )
        assert [e.code for e in caught.value.errors] == ["XDSRepositoryError"]
        assert domain.files.path(sha1(b"one")).read_bytes() == b"one"

    def test_orphans_are_collected_at_start(self, domain):
        domain.provide(submission(entry(hash=None, size=None)), b"named")
        domain.files.place(sha1(b"orphan"), b"orphan")
        (domain.options.state_dir / "documents" / "incoming" / "half").write_bytes(b"hal")
        assert domain.database.write(domain.files.collect_orphans).result() == 1
        assert domain.stored_files() == [sha1(b"named")]
