"""Submissions: everything survives, what we write is valid, each structural fault has its code."""

import pytest
from hypothesis import given, settings

from gateway.ebxml.names import PROVIDE_AND_REGISTER_REQUEST, SUBMIT_OBJECTS_REQUEST
from gateway.ebxml.retrieve import XopHref
from gateway.ebxml.submissions import (
    MetadataError,
    read_provide_and_register,
    read_submit_objects,
    write_provide_and_register,
    write_submit_objects,
)
from gateway.model import Association, Code, Cx, DocumentEntry, Folder, Submission, SubmissionSet, codes
from tests.ebxml import strategies
from tests.ebxml.wire import over_the_wire, parse

FEW = settings(max_examples=40, deadline=None)

ENTRY = DocumentEntry(
    entry_uuid="Document01",
    unique_id="1.2.3",
    patient_id=Cx("p1", "1.2"),
    class_code=Code("c", "1.9", "d"),
    language="en",
)
SUBMISSION = Submission(
    submission_set=SubmissionSet(
        entry_uuid="SubmissionSet01", unique_id="1.1", source_id="1.2", submission_time="2024"
    ),
    entries=(ENTRY,),
    folders=(Folder(entry_uuid="Folder01", unique_id="1.4"),),
    associations=(
        Association(
            entry_uuid="a1",
            type=codes.HAS_MEMBER,
            source="SubmissionSet01",
            target="Document01",
            submission_set_status="Original",
        ),
    ),
)
OBJECTS = "{*}RegistryObjectList"


def written():
    return over_the_wire(write_submit_objects(SUBMISSION))


def fault(element) -> str:
    with pytest.raises(MetadataError) as caught:
        read_submit_objects(element)
    assert caught.value.code == "XDSRegistryMetadataError"
    assert "p1" not in caught.value.context
    return caught.value.context


@FEW
@given(strategies.submissions())
def test_a_submission_survives(submission):
    assert read_submit_objects(over_the_wire(write_submit_objects(submission))) == submission


@settings(max_examples=30, deadline=None)
@given(strategies.submissions())
def test_a_submission_is_valid(assert_valid, submission):
    assert_valid(write_submit_objects(submission))
    content_ids = {entry.entry_uuid: f"{n}@gateway" for n, entry in enumerate(submission.entries)}
    assert_valid(write_provide_and_register(submission, content_ids))


@FEW
@given(strategies.submissions())
def test_documents_are_named_by_the_id_of_their_entry(submission):
    content_ids = {entry.entry_uuid: f"{n}@gateway" for n, entry in enumerate(submission.entries)}
    read = read_provide_and_register(over_the_wire(write_provide_and_register(submission, content_ids)))
    assert read.submission == submission
    assert read.documents == {key: f"cid:{value}" for key, value in content_ids.items()}
    assert all(isinstance(href, XopHref) for href in read.documents.values())


def test_content_id_is_escaped_in_the_href():
    request = write_provide_and_register(SUBMISSION, {"Document01": "a b%<c>@x"})
    assert next(request.iter("{*}Include")).get("href") == "cid:a%20b%25%3Cc%3E@x"


def test_symbolic_ids_stay_as_given():
    read = read_submit_objects(written())
    assert read.entries[0].entry_uuid == "Document01"
    assert read.associations[0].source == "SubmissionSet01"


def test_inline_document_is_its_bytes():
    request = over_the_wire(write_provide_and_register(SUBMISSION, {"Document01": "x"}))
    document = request[1]
    document.remove(document[0])
    document.text = "\n  DQph\n  DQo=  "
    assert read_provide_and_register(request).documents == {"Document01": b"\r\na\r\n"}


class TestDocumentsAndEntries:
    def refused(self, request) -> str:
        with pytest.raises(MetadataError) as caught:
            read_provide_and_register(request)
        return caught.value.code

    def test_entry_without_document(self):
        request = over_the_wire(write_provide_and_register(SUBMISSION, {"Document01": "x"}))
        request.remove(request[1])
        assert self.refused(request) == "XDSMissingDocument"

    def test_document_without_entry(self):
        request = over_the_wire(write_provide_and_register(SUBMISSION, {"Document01": "x"}))
        request[1].set("id", "Document01")
        request.append(parse('<xds:Document id="Document02"/>'))
        assert self.refused(request) == "XDSMissingDocumentMetadata"

    def test_two_documents_of_the_same_id(self):
        request = over_the_wire(write_provide_and_register(SUBMISSION, {"Document01": "x"}))
        request.append(parse('<xds:Document id="Document01"/>'))
        assert self.refused(request) == "XDSRepositoryMetadataError"

    @pytest.mark.parametrize("href", ["http://inside/", "file:///etc/passwd", ""])
    def test_include_that_is_no_cid_is_refused(self, href):
        request = over_the_wire(write_provide_and_register(SUBMISSION, {"Document01": "x"}))
        request[1][0].set("href", href)
        assert self.refused(request) == "XDSRepositoryError"

    def test_fault_of_the_metadata_is_the_repositorys(self):
        request = over_the_wire(write_provide_and_register(SUBMISSION, {"Document01": "x"}))
        request[0].remove(request[0][0])
        assert self.refused(request) == "XDSRepositoryMetadataError"

    @pytest.mark.parametrize(
        ("content_ids", "code"),
        [({}, "XDSMissingDocument"), ({"Document01": "x", "other": "y"}, "XDSMissingDocumentMetadata")],
    )
    def test_the_writer_refuses_them_too(self, content_ids, code):
        with pytest.raises(MetadataError) as caught:
            write_provide_and_register(SUBMISSION, content_ids)
        assert caught.value.code == code


class TestStructure:
    def test_no_submission_set(self):
        request = written()
        objects = request.find(OBJECTS)
        objects.remove(next(objects.iterfind("{*}RegistryPackage[@id='SubmissionSet01']")))
        assert "exactly one SubmissionSet, this one has 0" in fault(request)

    def test_two_submission_sets(self):
        request = written()
        second = over_the_wire(write_submit_objects(SUBMISSION)).find(OBJECTS)[1]
        second.set("id", "SubmissionSet02")
        for part in second.iterchildren("{*}Classification"):
            part.set("classifiedObject", "SubmissionSet02")
        request.find(OBJECTS).append(second)
        assert "this one has 2" in fault(request)

    def test_label_next_to_the_package(self):
        request = written()
        objects = request.find(OBJECTS)
        objects.extend(list(objects.iterfind("{*}RegistryPackage/{*}Classification")))
        assert read_submit_objects(request) == SUBMISSION

    def test_label_of_a_package_that_is_not_there(self):
        request = written()
        request.find(OBJECTS).append(
            parse(
                f'<rim:Classification id="c" classifiedObject="elsewhere" classificationNode="{codes.FOLDER_NODE}"/>'
            )
        )
        assert "does not hold" in fault(request)

    def test_package_of_unknown_kind(self):
        request = written()
        request.find(OBJECTS).append(parse('<rim:RegistryPackage id="p"/>'))
        assert "neither SubmissionSet nor Folder" in fault(request)

    def test_two_objects_of_the_same_id(self):
        request = written()
        request.find("{*}RegistryObjectList/{*}Association").set("id", "Document01")
        assert "same id" in fault(request)

    def test_object_references_may_repeat(self):
        request = written()
        for _ in range(2):
            request.find(OBJECTS).append(parse(f'<rim:ObjectRef id="{codes.DE_CLASS}"/>'))
        assert read_submit_objects(request) == SUBMISSION

    def test_object_of_another_kind(self):
        request = written()
        request.find(OBJECTS).append(parse('<rim:Service id="s"/>'))
        assert "cannot hold Service" in fault(request)

    def test_two_slots_of_the_same_name(self):
        request = written()
        entry = request.find(OBJECTS)[0]
        entry.insert(0, over_the_wire(entry[0]))
        assert "two slots of the same name" in fault(request)

    def test_single_slot_with_two_values(self):
        request = written()
        values = request.find(OBJECTS)[0][0][0]
        values.append(parse("<rim:Value>de</rim:Value>"))
        assert "slot languageCode of ExtrinsicObject has several values" in fault(request)

    def test_two_class_codes(self):
        request = written()
        entry = request.find(OBJECTS)[0]
        found = next(entry.iterfind("{*}Classification"))
        found.addnext(over_the_wire(found))
        assert "two classifications" in fault(request)

    def test_code_without_coding_scheme(self):
        request = written()
        found = next(request.find(OBJECTS)[0].iterfind("{*}Classification"))
        found.remove(found[0])
        assert "codingScheme" in fault(request)

    def test_classification_without_code(self):
        request = written()
        next(request.find(OBJECTS)[0].iterfind("{*}Classification")).set("nodeRepresentation", "")
        assert "nodeRepresentation" in fault(request)

    def test_classification_of_another_object(self):
        request = written()
        next(request.find(OBJECTS)[0].iterfind("{*}Classification")).set("classifiedObject", "Folder01")
        assert "classifiedObject" in fault(request)

    def test_two_identifiers_of_the_same_scheme(self):
        request = written()
        entry = request.find(OBJECTS)[0]
        entry.append(over_the_wire(entry[-1]))
        assert "two ExternalIdentifiers" in fault(request)

    @pytest.mark.parametrize(
        "value", ["p1", "p1^^^&1.2", "p1^^^NS&1.2&ISO", "^^^&1.2&ISO", "p1^^^&1.2&ISO^PI"]
    )
    def test_patient_id_of_another_form(self, value):
        request = written()
        for identifier in request.find(OBJECTS)[0].iterfind("{*}ExternalIdentifier"):
            if identifier.get("identificationScheme") == codes.DE_PATIENT_ID:
                identifier.set("value", value)
        assert "patientId of ExtrinsicObject" in fault(request)

    @pytest.mark.parametrize("scheme", [codes.DE_UNIQUE_ID, codes.SS_SOURCE_ID, codes.FOLDER_UNIQUE_ID])
    def test_missing_identifiers(self, scheme):
        request = written()
        found = next(request.iterfind(f".//{{*}}ExternalIdentifier[@identificationScheme='{scheme}']"))
        found.getparent().remove(found)
        assert "has no" in fault(request)

    def test_association_without_target(self):
        request = written()
        del request.find("{*}RegistryObjectList/{*}Association").attrib["targetObject"]
        assert "targetObject" in fault(request)

    def test_object_without_id(self):
        request = written()
        del request.find("{*}RegistryObjectList/{*}Association").attrib["id"]
        assert "Association has no id" in fault(request)

    def test_another_element(self):
        assert "no SubmitObjectsRequest" in fault(parse("<rs:RegistryResponse/>"))


def test_a_submission_of_others(oracle_message, assert_valid):
    read = read_submit_objects(oracle_message("soap-pnr.xml", SUBMIT_OBJECTS_REQUEST))
    assert [entry.entry_uuid for entry in read.entries] == ["Document01", "Document02"]
    assert read.submission_set.source_id == "1.3.6.1.4.1.21367.2009.1.2.1"
    assert {a.submission_set_status for a in read.associations} == {"Original"}
    again = write_submit_objects(read)
    assert_valid(again)
    assert read_submit_objects(over_the_wire(again)) == read


def test_a_submission_of_others_whose_documents_are_missing(oracle_message):
    with pytest.raises(MetadataError) as caught:
        read_provide_and_register(oracle_message("soap-pnr.xml", PROVIDE_AND_REGISTER_REQUEST))
    assert caught.value.code == "XDSMissingDocument"
