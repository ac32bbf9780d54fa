"""Every attribute of every registry object survives the way through ebRIM, and what we write is valid."""

import pytest
from hypothesis import given, settings
from lxml import etree

from gateway.ebxml.errors import MetadataError
from gateway.ebxml.names import LONG_NAME, REGISTRY_OBJECT_LIST
from gateway.ebxml.registry_objects import (
    read_association,
    read_document_entry,
    read_folder,
    read_submission_set,
    write_association,
    write_document_entry,
    write_folder,
    write_submission_set,
)
from gateway.model import Author, Code, Cx, DocumentEntry, Person, codes
from tests.ebxml import strategies
from tests.ebxml.wire import over_the_wire, parse

FEW = settings(max_examples=60, deadline=None)

MINIMAL = DocumentEntry(entry_uuid="urn:uuid:0a7a3c8e-7a5c-4a3a-9d1a-6f0e5d1c2b3a", unique_id="1.2.3")


def entry_with(children: str = "", attributes: str = "") -> DocumentEntry:
    return read_document_entry(
        parse(
            f'<rim:ExtrinsicObject id="{MINIMAL.entry_uuid}" {attributes}>{children}'
            '<rim:ExternalIdentifier id="x" registryObject="y" value="1.2.3"'
            f' identificationScheme="{codes.DE_UNIQUE_ID}"/></rim:ExtrinsicObject>'
        )
    )


def slot(name: str, *values: str) -> str:
    listed = "".join(f"<rim:Value>{value}</rim:Value>" for value in values)
    return f'<rim:Slot name="{name}"><rim:ValueList>{listed}</rim:ValueList></rim:Slot>'


def classification(scheme: str, code: str, children: str) -> str:
    return (
        f'<rim:Classification id="c" classifiedObject="o" classificationScheme="{scheme}"'
        f' nodeRepresentation="{code}">{children}</rim:Classification>'
    )


@FEW
@given(strategies.document_entries())
def test_a_document_entry_survives(entry):
    assert read_document_entry(over_the_wire(write_document_entry(entry))) == entry


@FEW
@given(strategies.submission_sets())
def test_a_submission_set_survives(submission_set):
    assert read_submission_set(over_the_wire(write_submission_set(submission_set))) == submission_set


@FEW
@given(strategies.folders())
def test_a_folder_survives(folder):
    assert read_folder(over_the_wire(write_folder(folder))) == folder


@FEW
@given(strategies.associations())
def test_an_association_survives(association):
    assert read_association(over_the_wire(write_association(association))) == association


def test_parts_of_a_registered_object_have_uuids_and_the_same_ones_each_time():
    entry = MINIMAL
    first = [e.get("id") for e in write_document_entry(entry).iter("{*}ExternalIdentifier")]
    assert all(part.startswith("urn:uuid:") for part in first)
    assert first == [e.get("id") for e in write_document_entry(entry).iter("{*}ExternalIdentifier")]


def test_parts_of_a_symbolic_object_have_symbolic_ids():
    entry = DocumentEntry(entry_uuid="Document01", unique_id="1.2.3")
    assert [e.get("id") for e in write_document_entry(entry).iter("{*}ExternalIdentifier")] == [
        "Document01.1"
    ]


def test_an_object_written_in_place_is_the_same():
    entry = DocumentEntry(entry_uuid="urn:uuid:1", unique_id="1.2.3", title="T", size=3)
    parent = etree.Element(REGISTRY_OBJECT_LIST, nsmap={"rim": codes.NS_RIM})
    placed = write_document_entry(entry, parent)
    assert parent[0] is placed
    assert etree.tostring(placed, method="c14n") == etree.tostring(write_document_entry(entry), method="c14n")


class TestToleranceOfTheReader:
    def test_name_without_localized_string_is_no_title(self):
        assert entry_with("<rim:Name/><rim:Description/>").title is None

    def test_title_of_any_language_counts(self):
        name = '<rim:Name><rim:LocalizedString xml:lang="de-CH" charset="UTF-8" value="Bericht"/></rim:Name>'
        assert entry_with(name).title == "Bericht"

    def test_first_filled_language_wins(self):
        name = '<rim:Name><rim:LocalizedString value=""/><rim:LocalizedString value="B"/></rim:Name>'
        assert entry_with(name).title == "B"

    @pytest.mark.parametrize("home", ["1.2.3", "urn:oid:1.2.3", "URN:OID:1.2.3", " urn:oid:1.2.3 "])
    def test_home_community_id_with_or_without_urn(self, home):
        assert entry_with(attributes=f'home="{home}"').home_community_id == "urn:oid:1.2.3"

    def test_empty_home_community_id_is_none(self):
        assert entry_with(attributes='home=""').home_community_id is None

    def test_repository_unique_id_with_urn_prefix_is_bare(self):
        assert entry_with(slot("repositoryUniqueId", "urn:oid:1.9.8")).repository_unique_id == "1.9.8"

    def test_entry_uuid_is_lower_case(self):
        upper = etree.fromstring(etree.tostring(write_document_entry(MINIMAL)))
        upper.set("id", "URN:UUID:" + MINIMAL.entry_uuid[9:].upper())
        assert read_document_entry(upper).entry_uuid == MINIMAL.entry_uuid

    def test_hash_is_lower_case(self):
        assert entry_with(slot("hash", "AB" * 20)).hash == "ab" * 20

    @pytest.mark.parametrize(
        "status",
        ["urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Deprecated", "Deprecated", "x:DEPRECATED"],
    )
    def test_status_is_the_last_token(self, status):
        assert entry_with(attributes=f'status="{status}"').status.name == "DEPRECATED"

    @pytest.mark.parametrize("attributes", ["", 'status=""', 'status="urn:x:Approved"'])
    def test_absent_status_is_approved(self, attributes):
        assert entry_with(attributes=attributes).status.name == "APPROVED"

    def test_object_type_of_a_part_is_never_compared(self):
        written = over_the_wire(write_document_entry(MINIMAL))
        for part in written:
            part.set(
                "objectType", "Urn:oasis:names:tc:ebxml-regrep:ObjectType:RegistryObject:ExternalIdentifier"
            )
        assert read_document_entry(written) == MINIMAL

    def test_children_in_any_order(self):
        entry = DocumentEntry(
            entry_uuid=MINIMAL.entry_uuid,
            unique_id="1.2.3",
            patient_id=Cx("p", "1.2"),
            title="T",
            language="en",
            class_code=Code("c", "1.2", "d"),
            authors=(Author(Person(family="F")),),
        )
        written = over_the_wire(write_document_entry(entry))
        written[:] = reversed(written)
        for part in written.iterchildren("{*}Classification"):
            part[:] = reversed(part)
        assert read_document_entry(written) == entry

    def test_line_breaks_around_values(self):
        assert entry_with(slot("languageCode", "\n   en-us\n  ")).language == "en-us"

    def test_slot_without_value_is_absent(self):
        assert entry_with(slot("languageCode") + '<rim:Slot name="hash"/>') == MINIMAL

    def test_value_after_an_empty_one(self):
        assert entry_with(slot("languageCode", "", "de")).language == "de"

    def test_unknown_slots_are_kept_in_order(self):
        entry = entry_with(slot("urn:b", "2", "3") + slot("languageCode", "en") + slot("urn:a", "1"))
        assert entry.extra == (("urn:b", ("2", "3")), ("urn:a", ("1",)))

    def test_code_without_display_name(self):
        entry = entry_with(classification(codes.DE_CLASS, "c", slot("codingScheme", "1.2") + "<rim:Name/>"))
        assert entry.class_code == Code("c", "1.2")

    def test_coding_scheme_with_urn_prefix_is_bare(self):
        entry = entry_with(classification(codes.DE_CLASS, "c", slot("codingScheme", "urn:oid:1.2")))
        assert entry.class_code == Code("c", "1.2")

    def test_code_without_coding_scheme_is_kept(self):
        name = '<rim:Name><rim:LocalizedString value="d"/></rim:Name>'
        entry = entry_with(classification(codes.DE_CLASS, "c", name))
        assert entry.class_code == Code("c", "", "d")

    def test_description_in_place_of_the_name_is_no_display(self):
        part = '<rim:Description><rim:LocalizedString value="long"/></rim:Description>'
        entry = entry_with(classification(codes.DE_CLASS, "c", slot("codingScheme", "1.2") + part))
        assert entry.class_code == Code("c", "1.2")

    def test_several_authors_in_order(self):
        first = classification(codes.DE_AUTHOR, "", slot("authorPerson", "1^A"))
        second = classification(codes.DE_AUTHOR, "", slot("authorPerson", "2^B"))
        assert [a.person.family for a in entry_with(first + second).authors] == ["A", "B"]

    def test_several_persons_in_one_author_share_the_rest(self):
        parts = slot("authorPerson", "^A", "^B") + slot("authorRole", "Attending")
        entry = entry_with(classification(codes.DE_AUTHOR, "", parts))
        assert entry.authors == (
            Author(Person(family="A"), roles=("Attending",)),
            Author(Person(family="B"), roles=("Attending",)),
        )

    def test_author_without_content_is_none(self):
        entry = entry_with(classification(codes.DE_AUTHOR, "", slot("authorPerson", "^^^")))
        assert entry.authors == ()

    def test_limited_metadata_is_a_classification_node(self):
        node = f'<rim:Classification id="c" classifiedObject="o" classificationNode="{codes.DE_LIMITED}"/>'
        assert entry_with(node).limited_metadata

    def test_association_type_without_urn_is_completed(self):
        association = read_association(
            parse('<rim:Association id="a" associationType="HasMember" sourceObject="s" targetObject="t"/>')
        )
        assert association.type == codes.HAS_MEMBER

    def test_patient_id_without_authority_is_kept(self):
        identifier = f'<rim:ExternalIdentifier value="p1" identificationScheme="{codes.DE_PATIENT_ID}"/>'
        assert entry_with(identifier).patient_id == Cx("p1", "")


class TestLimitsOfTheWriter:
    def test_value_over_256_characters_names_the_slot_and_not_the_value(self):
        entry = DocumentEntry(entry_uuid="x", unique_id="1.2", uri="u" * (LONG_NAME + 1))
        with pytest.raises(MetadataError) as caught:
            write_document_entry(entry)
        assert "slot URI" in caught.value.context
        assert "uuu" not in str(caught.value)

    def test_256_characters_are_carried(self):
        entry = DocumentEntry(entry_uuid="x", unique_id="1.2", uri="u" * LONG_NAME)
        assert read_document_entry(over_the_wire(write_document_entry(entry))) == entry

    def test_title_over_1024_characters(self):
        with pytest.raises(MetadataError, match="title has 1025"):
            write_document_entry(DocumentEntry(entry_uuid="x", unique_id="1.2", title="t" * 1025))

    def test_control_character(self):
        with pytest.raises(MetadataError, match="title has a control character"):
            write_document_entry(DocumentEntry(entry_uuid="x", unique_id="1.2", title="a\x00b"))


def test_entry_without_unique_id_is_an_error():
    with pytest.raises(MetadataError, match="no uniqueId"):
        read_document_entry(parse('<rim:ExtrinsicObject id="urn:uuid:1"/>'))


@pytest.mark.parametrize("size", ["12.5", "-1", "many", "١٢"])
def test_size_that_is_no_number_is_an_error(size):
    with pytest.raises(MetadataError, match="size"):
        entry_with(slot("size", size))
