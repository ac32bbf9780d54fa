"""Answers to stored queries: every object and error, in steps, from peers of every kind."""

import pytest
from hypothesis import given, settings

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import ADHOC_QUERY_RESPONSE
from gateway.ebxml.query_response import QueryResponseReader, read_query_response, write_query_response
from gateway.model import (
    Author,
    Code,
    DocumentEntry,
    Folder,
    ObjectRef,
    Organization,
    Person,
    QueryResult,
    ResponseStatus,
    Severity,
    SubmissionSet,
    codes,
)
from tests.ebxml import strategies
from tests.ebxml.wire import over_the_wire, parse

FEW = settings(max_examples=40, deadline=None)

SUBMISSION_SET = SubmissionSet(
    entry_uuid="urn:uuid:s", unique_id="1.1", source_id="1.2", submission_time="2024"
)
FOLDER = Folder(entry_uuid="urn:uuid:f", unique_id="1.3")


def answer(objects: str = "", errors: str = "", status: str = f'status="{codes.RESPONSE_SUCCESS}"'):
    listed = f"<rs:RegistryErrorList>{errors}</rs:RegistryErrorList>" if errors else ""
    return parse(
        f"<query:AdhocQueryResponse {status}>{listed}"
        f"<rim:RegistryObjectList>{objects}</rim:RegistryObjectList></query:AdhocQueryResponse>"
    )


@FEW
@given(strategies.query_results)
def test_an_answer_survives(result):
    assert read_query_response(over_the_wire(write_query_response(result))) == result


@settings(max_examples=30, deadline=None)
@given(strategies.query_results)
def test_an_answer_is_valid(assert_valid, result):
    assert_valid(write_query_response(result))


def test_reading_in_steps_gives_the_same_as_reading_at_once():
    entries = tuple(DocumentEntry(entry_uuid=f"urn:uuid:{n}", unique_id=f"1.{n}") for n in range(10))
    result = QueryResult(status=ResponseStatus.SUCCESS, entries=entries)
    reader = QueryResponseReader(over_the_wire(write_query_response(result)))
    steps = 1
    while not reader.read_some(3):
        assert len(reader.result().entries) == 3 * steps
        steps += 1
    assert steps == 4
    assert reader.read_some(3)
    assert reader.result() == result


def test_objects_keep_the_order_of_the_answer():
    refs = "".join(f'<rim:ObjectRef id="urn:uuid:{n}"/>' for n in (3, 1, 2))
    assert [ref.id[-1] for ref in read_query_response(answer(refs)).object_refs] == ["3", "1", "2"]


def test_object_ref_with_empty_home():
    refs = read_query_response(answer('<rim:ObjectRef id="URN:UUID:AB" home=""/>')).object_refs
    assert refs == (ObjectRef("urn:uuid:ab"),)


class TestKindOfPackage:
    def _without_label(self, result: QueryResult):
        written = over_the_wire(write_query_response(result))
        for label in list(written.iterfind(".//{*}Classification[@classificationNode]")):
            label.getparent().remove(label)
        return written

    def test_label_next_to_the_package(self):
        result = QueryResult(
            status=ResponseStatus.SUCCESS, submission_sets=(SUBMISSION_SET,), folders=(FOLDER,)
        )
        written = over_the_wire(write_query_response(result))
        labels = list(written.iterfind(".//{*}Classification[@classificationNode]"))
        assert len(labels) == 2
        written[0].extend(labels)
        assert read_query_response(written) == result

    def test_without_label_the_unique_id_tells(self):
        result = QueryResult(
            status=ResponseStatus.SUCCESS, submission_sets=(SUBMISSION_SET,), folders=(FOLDER,)
        )
        assert read_query_response(self._without_label(result)) == result

    def test_package_of_unknown_kind_is_left_out_with_a_warning(self):
        result = read_query_response(answer('<rim:RegistryPackage id="urn:uuid:p"/>'))
        assert [error.severity for error in result.errors] == [Severity.WARNING]
        assert "neither SubmissionSet nor Folder" in result.errors[0].context


def test_an_unreadable_object_is_left_out_with_a_warning_that_quotes_nothing():
    good = DocumentEntry(entry_uuid="urn:uuid:1", unique_id="1.2")
    written = over_the_wire(write_query_response(QueryResult(status=ResponseStatus.SUCCESS, entries=(good,))))
    written[0].insert(0, parse('<rim:ExtrinsicObject id="urn:uuid:secret"/>'))
    result = read_query_response(written)
    assert result.entries == (good,)
    assert result.status is ResponseStatus.SUCCESS
    assert result.errors[0].severity is Severity.WARNING
    assert result.errors[0].context.startswith("object 1 of the answer is left out")
    assert "secret" not in result.errors[0].context


@pytest.mark.parametrize("bad", ["", "urn:uuid:", "urn:uuid:a b", "urn:oid:1.2", "PID-3|x", "x" * 65])
def test_an_object_whose_id_is_none_is_left_out_with_a_warning(bad):
    good = "urn:uuid:1"
    names = {"id": good, "associationType": codes.RPLC, "sourceObject": good, "targetObject": good}
    result = QueryResult(
        status=ResponseStatus.SUCCESS,
        entries=(DocumentEntry(entry_uuid=good, unique_id="1.2"),),
        submission_sets=(SUBMISSION_SET,),
        folders=(FOLDER,),
    )
    written = over_the_wire(write_query_response(result))
    for child in written[0]:
        child.set("id", bad)
    for changed in ("sourceObject", "targetObject"):
        attributes = " ".join(f'{name}="{value}"' for name, value in (names | {changed: bad}).items())
        written[0].append(parse(f"<rim:Association {attributes}/>"))
    read = read_query_response(written)
    assert (read.entries, read.submission_sets, read.folders, read.associations) == ((), (), (), ())
    assert [error.severity for error in read.errors] == [Severity.WARNING] * 5


class TestStatus:
    ERROR = '<rs:RegistryError errorCode="XDSRegistryError" codeContext="c"/>'
    REF = '<rim:ObjectRef id="urn:uuid:1"/>'

    @pytest.mark.parametrize(
        ("text", "status"),
        [
            ("Success", ResponseStatus.SUCCESS),
            ("urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:PartialSuccess", ResponseStatus.PARTIAL),
            (codes.RESPONSE_PARTIAL, ResponseStatus.PARTIAL),
            ("urn:x:failure", ResponseStatus.FAILURE),
        ],
    )
    def test_last_token_counts(self, text, status):
        assert read_query_response(answer(status=f'status="{text}"')).status is status

    def test_missing_status_without_errors_is_success(self):
        assert read_query_response(answer(self.REF, status="")).status is ResponseStatus.SUCCESS

    def test_missing_status_with_errors_is_failure(self):
        assert read_query_response(answer(errors=self.ERROR, status="")).status is ResponseStatus.FAILURE

    def test_missing_status_with_errors_and_objects_is_partial(self):
        found = read_query_response(answer(self.REF, self.ERROR, status=""))
        assert found.status is ResponseStatus.PARTIAL

    def test_warning_is_no_error(self):
        warning = '<rs:RegistryError errorCode="W" codeContext="" severity="x:Warning"/>'
        found = read_query_response(answer(errors=warning, status='status="unheard"'))
        assert found.status is ResponseStatus.SUCCESS
        assert found.errors[0].severity is Severity.WARNING

    def test_severity_defaults_to_error(self):
        assert read_query_response(answer(errors=self.ERROR)).errors[0].severity is Severity.ERROR


def test_a_bare_registry_response_is_an_answer_without_objects():
    failure = parse(f'<rs:RegistryResponse status="{codes.RESPONSE_FAILURE}"/>')
    assert read_query_response(failure) == QueryResult(status=ResponseStatus.FAILURE)


def test_an_answer_without_object_list():
    assert read_query_response(parse('<query:AdhocQueryResponse status="Success"/>')).entries == ()


def test_another_element_is_no_answer():
    with pytest.raises(MetadataError, match="not an AdhocQueryResponse"):
        read_query_response(parse("<query:AdhocQueryRequest/>"))


def test_an_answer_of_others_with_one_entry(oracle_message):
    result = read_query_response(oracle_message("sq-resp-lc.xml", ADHOC_QUERY_RESPONSE))
    entry = result.entries[0]
    assert result.status is ResponseStatus.SUCCESS
    assert entry.unique_id == "1.42.20100312104638.15"
    assert entry.patient_id.authority == "1.3.6.1.4.1.21367.2005.3.7"
    assert [author.person.family for author in entry.authors] == ["Smitty", "Dopplemeyer"]
    assert [code.display for code in entry.event_codes] == ["Kidney", "Liver"]
    assert (entry.title, entry.comments, entry.version) == ("DocA", None, "1.1")
    assert entry.extra == ()
    assert result.errors == ()


def test_an_answer_of_another_community(oracle_message):
    result = read_query_response(oracle_message("soap-xcq-resp.xml", ADHOC_QUERY_RESPONSE))
    assert {entry.home_community_id for entry in result.entries} == {"urn:oid:2.3.4"}


def test_references_of_others(oracle_message):
    result = read_query_response(oracle_message("sq-resp-objectref.xml", ADHOC_QUERY_RESPONSE))
    assert len(result.object_refs) == 6
    assert result.object_refs[0] == ObjectRef("urn:uuid:22c85315-12cd-4d52-97a9-8d827f03ddc5")


def test_equal_codes_and_authors_of_an_answer_are_the_same_objects():
    author = Author(Person(family="Welby"), (Organization("Hospital"),))
    entries = tuple(
        DocumentEntry(
            entry_uuid=f"urn:uuid:{n}",
            unique_id=f"1.{n}",
            authors=(author,),
            class_code=Code("c", "1.2", "d"),
        )
        for n in range(2)
    )
    written = write_query_response(QueryResult(status=ResponseStatus.SUCCESS, entries=entries))
    first, second = read_query_response(over_the_wire(written)).entries
    assert first.class_code is second.class_code
    assert first.authors[0] is second.authors[0]
