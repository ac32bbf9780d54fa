"""Stored queries: every parameter survives, what we write is valid, what is wrong has its error code."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ebxml.names import ADHOC_QUERY_REQUEST, VALUE
from gateway.ebxml.query_parameters import COMMON, DEFINITIONS
from gateway.ebxml.slot_encoding import Literal, quoted, read_value, write_list
from gateway.ebxml.stored_queries import StoredQueryError, read_query, write_query
from gateway.model import AvailabilityStatus, Code, Cx, codes
from gateway.model.query import (
    ALL_QUERIES,
    ANY_STATUS,
    FindDocuments,
    FindDocumentsByReferenceId,
    FindSubmissionSets,
    GetAssociations,
    GetDocuments,
    GetFoldersForDocument,
    GetRelatedDocuments,
)
from tests.ebxml import strategies
from tests.ebxml.wire import over_the_wire, parse

PATIENT = Cx("p1", "1.2.3")
FIND = FindDocuments.query_id
PATIENT_SLOT = ("$XDSDocumentEntryPatientId", "'p1^^^&amp;1.2.3&amp;ISO'")
STATUS_SLOT = ("$XDSDocumentEntryStatus", f"('{codes.STATUS_APPROVED}')")


def request(
    *slots: tuple[str, ...], query_id: str = FIND, option: str = 'returnType="LeafClass"', home: str = ""
):
    listed = "".join(
        f'<rim:Slot name="{name}"><rim:ValueList>'
        + "".join(f"<rim:Value>{value}</rim:Value>" for value in values)
        + "</rim:ValueList></rim:Slot>"
        for name, *values in slots
    )
    return parse(
        f'<query:AdhocQueryRequest><query:ResponseOption returnComposedObjects="true" {option}/>'
        f'<rim:AdhocQuery id="{query_id}" {home}>{listed}</rim:AdhocQuery></query:AdhocQueryRequest>'
    )


def find(*slots: tuple[str, ...]) -> FindDocuments:
    query, _ = read_query(request(PATIENT_SLOT, STATUS_SLOT, *slots))
    assert type(query) is FindDocuments
    return query


def refused(*slots: tuple[str, ...], **options: str) -> str:
    with pytest.raises(StoredQueryError) as caught:
        read_query(request(*slots, **options))
    assert "p1" not in caught.value.context
    return caught.value.code


def values_of(element, slot: str) -> list[list[str]]:
    return [
        [value.text for value in found.iter(VALUE)]
        for found in element.iterfind(".//{*}Slot")
        if found.get("name") == slot
    ]


def test_each_of_the_14_queries_is_in_the_table():
    assert {definition.query for definition in DEFINITIONS.values()} == set(ALL_QUERIES)
    assert len(DEFINITIONS) == 14


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=lambda d: d.query.__name__)
def test_each_field_of_a_query_has_its_parameter(definition):
    fields = set(definition.query.__struct_fields__) - {"home", *(parameter.field for parameter in COMMON)}
    assert {parameter.field for parameter in definition.parameters} == fields


@settings(max_examples=200, deadline=None)
@given(strategies.stored_queries, st.sampled_from(("LeafClass", "ObjectRef")))
def test_a_query_survives(query, return_type):
    assert read_query(over_the_wire(write_query(query, return_type))) == (query, return_type)


@settings(max_examples=60, deadline=None)
@given(strategies.stored_queries)
def test_a_query_is_valid(assert_valid, query):
    assert_valid(write_query(query))


class TestCoding:
    def write(self, **parameters):
        return write_query(FindDocuments(patient_id=PATIENT, **parameters))

    def test_text_in_single_quotes_with_quotes_doubled(self):
        written = self.write(author_person=("O'Neil%",))
        assert values_of(written, "$XDSDocumentEntryAuthorPerson") == [["('O''Neil%')"]]

    def test_patient_id(self):
        assert values_of(self.write(), "$XDSDocumentEntryPatientId") == [["'p1^^^&1.2.3&ISO'"]]

    def test_time_stands_bare(self):
        written = self.write(creation_time_from="2024")
        assert values_of(written, "$XDSDocumentEntryCreationTimeFrom") == [["2024"]]

    def test_code_with_scheme(self):
        written = self.write(class_code=(Code("c", "1.2", "display"), Code("d", "1.3")))
        assert values_of(written, "$XDSDocumentEntryClassCode") == [["('c^^1.2','d^^1.3')"]]

    def test_status_list(self):
        written = self.write(status=ANY_STATUS)
        assert values_of(written, "$XDSDocumentEntryStatus") == [
            [f"('{codes.STATUS_APPROVED}','{codes.STATUS_DEPRECATED}')"]
        ]

    def test_and_is_a_repeated_slot_and_or_a_list_in_it(self):
        written = self.write(event_codes=((Code("a", "1"), Code("b", "1")), (Code("c", "1"),)))
        assert values_of(written, "$XDSDocumentEntryEventCodeList") == [["('a^^1','b^^1')"], ["('c^^1')"]]

    def test_home_is_an_attribute_and_target_communities_a_list(self):
        written = write_query(
            GetAssociations(uuids=("urn:uuid:1",), home="urn:oid:1.2", target_communities=("urn:oid:1.3",))
        )
        assert written[1].get("home") == "urn:oid:1.2"
        assert values_of(written, "$targetCommunityIdList") == [["('urn:oid:1.3')"]]

    def test_a_long_list_goes_on_in_further_values(self):
        uuids = tuple(f"urn:uuid:00000000-0000-0000-0000-{n:012}" for n in range(20))
        values = values_of(write_query(GetAssociations(uuids=uuids)), "$uuid")[0]
        assert len(values) == 4
        assert all(len(value) <= 256 and value.startswith("('") and value.endswith("')") for value in values)

    @pytest.mark.parametrize("length", [252, 253])
    def test_a_value_of_256_characters_fits_and_a_longer_one_is_an_error(self, length):
        query = FindDocuments(patient_id=PATIENT, author_person=("x" * length,))
        if length == 252:
            assert read_query(write_query(query))[0] == query
            return
        with pytest.raises(StoredQueryError, match=r"AuthorPerson has 257 characters .* cannot be split"):
            write_query(query)

    def test_a_long_single_value_is_an_error_that_does_not_quote_it(self):
        with pytest.raises(StoredQueryError) as caught:
            write_query(FindDocuments(patient_id=Cx("secret" * 50, "1.2")))
        assert "secret" not in str(caught.value)

    def test_a_control_character_is_an_error(self):
        with pytest.raises(StoredQueryError, match="control character"):
            write_query(FindDocuments(patient_id=Cx("a\x00", "1.2")))

    def test_a_delimiter_in_a_code_is_escaped_and_an_ampersand_is_not(self):
        written = self.write(class_code=(Code("a^b", "1.2"), Code("a&b", "1.2")))
        assert values_of(written, "$XDSDocumentEntryClassCode") == [[r"('a\S\b^^1.2','a&b^^1.2')"]]


class TestLists:
    @settings(max_examples=150, deadline=None)
    @given(st.lists(strategies.texts(60), min_size=1, max_size=30))
    def test_any_list_survives_the_split(self, texts):
        values = write_list(quoted(text) for text in texts)
        assert all(len(value) <= 256 for value in values)
        assert [literal.text for value in values for literal in read_value(value)] == texts

    @pytest.mark.parametrize(
        "value",
        ["('a','b')", " ( 'a' , 'b' ) ", "('a',\n   'b')", "'a','b'", '("a","b")', "('a',\"b\")"],
    )
    def test_blanks_line_breaks_and_double_quotes(self, value):
        assert read_value(value) == [Literal("a", True), Literal("b", True)]

    def test_parentheses_and_commas_inside_quotes_are_text(self):
        assert read_value("('a),(b','''')") == [Literal("a),(b", True), Literal("'", True)]

    def test_bare_numbers(self):
        assert read_value("(1, 2)") == [Literal("1", False), Literal("2", False)]

    def test_empty_list(self):
        assert read_value("()") == []

    @pytest.mark.parametrize(
        "value", ["('a'", "'a", "('a' 'b')", "('a',)", "(,'a')", "('a'))", "'a'b'", "(('a'))"]
    )
    def test_what_is_no_list(self, value):
        with pytest.raises(ValueError, match=r"parenthesis|literals"):
            read_value(value)


class TestToleranceOfTheReader:
    def test_parentheses_around_a_single_value(self):
        query, _ = read_query(request((PATIENT_SLOT[0], f"({PATIENT_SLOT[1]})"), STATUS_SLOT))
        assert query.patient_id == PATIENT

    def test_a_list_of_one_without_parentheses(self):
        assert find(("$XDSDocumentEntryClassCode", "'c^^1.2'")).class_code == (Code("c", "1.2"),)

    def test_a_list_over_several_values(self):
        query = find(("$XDSDocumentEntryClassCode", "('c^^1.2')", "('d^^1.2','e^^1.2')"))
        assert [code.code for code in query.class_code] == ["c", "d", "e"]

    def test_a_quoted_time(self):
        assert find(("$XDSDocumentEntryCreationTimeFrom", "'20240101'")).creation_time_from == "20240101"

    def test_the_wrong_status_urn_of_the_examples(self):
        status = (
            "$XDSDocumentEntryStatus",
            "('urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Approved')",
        )
        query, _ = read_query(request(PATIENT_SLOT, status))
        assert query.status == (AvailabilityStatus.APPROVED,)

    def test_an_unknown_status_is_ignored(self):
        status = ("$XDSDocumentEntryStatus", f"('urn:x:Submitted','{codes.STATUS_DEPRECATED}')")
        query, _ = read_query(request(PATIENT_SLOT, status))
        assert query.status == (AvailabilityStatus.DEPRECATED,)

    def test_unknown_slots_are_ignored(self):
        assert find(("$XDSSomethingOfTheDomain", "1", "2")) == FindDocuments(patient_id=PATIENT)

    @pytest.mark.parametrize("literal", ["2", "'2'", "(2)"])
    def test_the_metadata_level_may_stand_in_quotes(self, literal):
        assert find(("$MetadataLevel", literal)) == FindDocuments(patient_id=PATIENT, metadata_level=2)

    def test_an_empty_optional_slot_is_absent(self):
        assert find(("$XDSDocumentEntryClassCode",)) == FindDocuments(patient_id=PATIENT)

    def test_query_id_in_any_case(self):
        query, _ = read_query(request(PATIENT_SLOT, STATUS_SLOT, query_id=FIND.upper()))
        assert type(query) is FindDocuments

    def test_home_with_or_without_urn(self):
        query, _ = read_query(request(PATIENT_SLOT, STATUS_SLOT, home='home="1.2.3"'))
        assert query.home == "urn:oid:1.2.3"

    def test_uuids_are_lower_case(self):
        slot = ("$uuid", "('URN:UUID:AB')")
        query, _ = read_query(request(slot, query_id=GetAssociations.query_id))
        assert query.uuids == ("urn:uuid:ab",)


class TestErrors:
    def test_unknown_query(self):
        assert refused(query_id="urn:uuid:3d1bdb10-39a2-11de-89c2-2f44d94eaa9f") == "XDSUnknownStoredQuery"

    def test_missing_patient_id(self):
        assert refused(STATUS_SLOT) == "XDSStoredQueryMissingParam"

    def test_missing_status(self):
        assert refused(PATIENT_SLOT) == "XDSStoredQueryMissingParam"

    def test_status_without_a_known_value(self):
        slot = ("$XDSDocumentEntryStatus", "('urn:x:Submitted')")
        assert refused(PATIENT_SLOT, slot) == "XDSStoredQueryMissingParam"

    def test_required_slot_without_value(self):
        assert refused(PATIENT_SLOT, (STATUS_SLOT[0],)) == "XDSStoredQueryMissingParam"

    def test_repeated_slot_that_is_not_and_or(self):
        slot = ("$XDSDocumentEntryClassCode", "('c^^1.2')")
        assert refused(PATIENT_SLOT, STATUS_SLOT, slot, slot) == "XDSStoredQueryParamNumber"

    @pytest.mark.parametrize(
        "values", [("'a^^^&amp;1.2&amp;ISO','b^^^&amp;1.2&amp;ISO'",), (PATIENT_SLOT[1],) * 2]
    )
    def test_several_values_of_a_single_parameter(self, values):
        assert refused((PATIENT_SLOT[0], *values), STATUS_SLOT) == "XDSStoredQueryParamNumber"

    def test_both_uuid_and_unique_id(self):
        slots = (("$XDSDocumentEntryEntryUUID", "('urn:uuid:1')"), ("$XDSDocumentEntryUniqueId", "('1.2')"))
        assert refused(*slots, query_id=GetDocuments.query_id) == "XDSStoredQueryParamNumber"

    def test_neither_uuid_nor_unique_id(self):
        assert refused(query_id=GetFoldersForDocument.query_id) == "XDSStoredQueryParamNumber"

    def test_several_uuids_where_one_is_allowed(self):
        slot = ("$XDSDocumentEntryEntryUUID", "('urn:uuid:1','urn:uuid:2')")
        assert refused(slot, query_id=GetFoldersForDocument.query_id) == "XDSStoredQueryParamNumber"

    def test_missing_association_types(self):
        slot = ("$XDSDocumentEntryEntryUUID", "'urn:uuid:1'")
        assert refused(slot, query_id=GetRelatedDocuments.query_id) == "XDSStoredQueryMissingParam"

    def test_missing_reference_ids(self):
        found = refused(PATIENT_SLOT, STATUS_SLOT, query_id=FindDocumentsByReferenceId.query_id)
        assert found == "XDSStoredQueryMissingParam"

    @pytest.mark.parametrize(
        "slot",
        [
            ("$XDSDocumentEntryClassCode", "(c^^1.2)"),
            ("$XDSDocumentEntryClassCode", "('c^^')"),
            ("$XDSDocumentEntryClassCode", "('c')"),
            ("$XDSDocumentEntryClassCode", "('c^^1.2'"),
            ("$XDSDocumentEntryAuthorPerson", "('')"),
            ("$XDSDocumentEntryCreationTimeFrom", "2024-01-01"),
            ("$XDSDocumentEntryCreationTimeFrom", "20241301"),
        ],
    )
    def test_malformed_values(self, slot):
        assert refused(PATIENT_SLOT, STATUS_SLOT, slot) == "XDSRegistryError"

    @pytest.mark.parametrize("value", ["p1^^^&amp;1.2.3&amp;ISO", "'p1'", "'^^^&amp;1.2.3&amp;ISO'"])
    def test_malformed_patient_id(self, value):
        assert refused((PATIENT_SLOT[0], value), STATUS_SLOT) == "XDSRegistryError"

    @pytest.mark.parametrize("option", ['returnType="RegistryObject"', ""])
    def test_other_return_types(self, option):
        assert refused(PATIENT_SLOT, STATUS_SLOT, option=option) == "XDSRegistryError"

    def test_another_element(self):
        with pytest.raises(StoredQueryError, match="no AdhocQueryRequest"):
            read_query(parse("<query:AdhocQueryResponse/>"))

    @pytest.mark.parametrize(
        ("query", "code"),
        [
            (FindSubmissionSets(patient_id=PATIENT, status=()), "XDSStoredQueryMissingParam"),
            (GetDocuments(), "XDSStoredQueryParamNumber"),
            (GetDocuments(entry_uuids=("urn:uuid:1",), unique_ids=("1.2",)), "XDSStoredQueryParamNumber"),
            (GetAssociations(uuids=()), "XDSStoredQueryMissingParam"),
        ],
    )
    def test_the_writer_refuses_what_a_registry_would(self, query, code):
        with pytest.raises(StoredQueryError) as caught:
            write_query(query)
        assert caught.value.code == code


def test_a_query_of_others(oracle_message):
    query, return_type = read_query(oracle_message("soap-sq-req.xml", ADHOC_QUERY_REQUEST))
    assert query.class_code == (Code("value", "scheme"),)
    assert return_type == "LeafClass"


@pytest.mark.parametrize(
    ("name", "code"),
    [("sq-req-bad-code.xml", "XDSRegistryError"), ("sq-req-missing-stat.xml", "XDSStoredQueryMissingParam")],
)
def test_broken_queries_of_others(oracle_message, name, code):
    with pytest.raises(StoredQueryError) as caught:
        read_query(oracle_message(name, ADHOC_QUERY_REQUEST))
    assert caught.value.code == code
