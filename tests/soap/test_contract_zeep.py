"""zeep builds what libxml2 accepts and reads what lxml reads, over the whole of ebRIM."""

import base64
import os
from pathlib import Path
from random import Random
from typing import Any

import isodate
import pytest
from lxml import etree
from zeep.xsd.elements import Element, Group
from zeep.xsd.valueobjects import CompoundValue

from gateway.soap.contract import Contract, ContractError, SchemaInvalid, default_folder, load_contract
from tests.wsdl.messages import QUERY, RIM, XDS, Writer
from tests.wsdl.schema_model import Schemas

ORACLE = Path(os.environ.get("GATEWAY_ORACLE", Path(__file__).parents[3] / "shared" / "oracle"))
ADHOC_QUERY_RESPONSE = f"{{{QUERY}}}AdhocQueryResponse"
LISTS = {f"{{{RIM}}}RegistryObjectList"}
SIMPLE = {"Value", "UsageParameter", "RepositoryUniqueId", "DocumentUniqueId", "HomeCommunityId"}
FREE = f"{{{RIM}}}QueryExpression"
CASES = 150


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract()


@pytest.fixture(scope="module")
def model() -> Schemas:
    return Schemas.load(default_folder() / "xsd" / "all.xsd")


@pytest.fixture(scope="module")
def published() -> etree.XMLSchema | None:
    path = ORACLE / "all.xsd"
    return etree.XMLSchema(file=str(path)) if path.exists() else None


# --- reading --------------------------------------------------------------------------------------------


def assert_same(value: Any, element: etree._Element) -> int:
    """Compare zeep's object with the element it was read from; the number of elements compared."""
    if element.tag == FREE:  # zeep has no mixed content; stored queries do not use it
        return 0
    if value is None:
        assert _is_empty(element)
        return 1
    if not isinstance(value, CompoundValue):
        assert_equal_text(value, element.text or "")
        return 1
    kind = value._xsd_type
    read = {
        attribute.qname.text: value[name] for name, attribute in kind.attributes if value[name] is not None
    }
    sent = {name: text for name, text in element.attrib.items() if "XMLSchema-instance" not in name}
    defaults = {attribute.qname.text: attribute.default for _, attribute in kind.attributes}
    for name in {*read, *sent}:
        assert_equal_text(read[name], sent.get(name, defaults[name]))
    children = _children(value)
    if children and children[0][0] == "":
        assert_equal_text(children[0][1], element.text or "")
        return 1
    compared = 1
    for child in element:
        if children and children[0][0] == etree.QName(child).localname:
            compared += assert_same(children.pop(0)[1], child)
        else:
            assert _is_empty(child), f"{child.tag} is lost"
    assert not children
    return compared


def _children(value: CompoundValue) -> list[tuple[str, Any]]:
    """Name and value of each child in the order of the document; name "" for the text of simple content."""
    if isinstance(value._xsd_type._element, Element):
        return [("", value["_value_1"])]
    return [child for name, part in value._xsd_type.elements_nested for child in _of_part(value, name, part)]


def _of_part(value: CompoundValue, name: str | None, part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, Element):
        content = value[part.name]
        items = content if isinstance(content, list) else [content]
        return [] if content is None else [(part.name, one) for one in items]
    if part.accepts_multiple:
        return [child for item in value[name] or () for child in item.items()]
    nested = part.child.elements_nested if isinstance(part, Group) else part.elements_nested
    return [child for inner, sub in nested for child in _of_part(value, inner, sub)]


def _is_empty(element: etree._Element) -> bool:
    return not element.attrib and not len(element) and not element.text


def assert_equal_text(value: Any, text: str) -> None:
    if value is None:
        assert text == ""
    elif isinstance(value, bool):
        assert value == (text in {"true", "1"})
    elif isinstance(value, bytes):
        assert value == base64.b64decode(text)
    elif isinstance(value, int):
        assert value == int(text)
    elif isinstance(value, str):
        assert value == text
    elif "T" in text and text[0] not in "P-":
        assert value == isodate.parse_datetime(text)
    else:
        assert value == isodate.parse_duration(text)


@pytest.mark.parametrize("transaction", ["ITI-18", "ITI-41", "ITI-42", "ITI-43"])
def test_answers_are_read_as_lxml_reads_them(contract: Contract, model: Schemas, transaction: str) -> None:
    compared = 0
    for seed in range(CASES):
        answer = Writer(model, Random(seed)).message(contract[transaction].response)
        compared += assert_same(contract.read(transaction, answer), answer)
    assert compared > 3 * CASES


@pytest.mark.parametrize("name", ["sq-resp-lc.xml", "sq-resp-objectref.xml", "soap-xcq-resp.xml"])
def test_answers_of_others_are_read_as_lxml_reads_them(contract: Contract, name: str) -> None:
    path = ORACLE / "messages" / name
    if not path.exists():
        pytest.skip("the messages of others are not here")
    parser = etree.XMLParser(remove_comments=True, remove_blank_text=True)
    answer = next(etree.parse(path, parser).getroot().iter(ADHOC_QUERY_RESPONSE))
    compared = assert_same(contract.read("ITI-18", answer), answer)
    assert compared >= len(list(answer.iter())) - sum(map(_is_empty, answer.iter()))


def test_a_leaf_class_answer_has_slots_in_classifications(contract: Contract) -> None:
    # what zeep loses with the published schemas
    answer = etree.fromstring(
        f'<q:AdhocQueryResponse xmlns:q="{QUERY}" xmlns="{RIM}" status="urn:s"><RegistryObjectList>'
        '<ExtrinsicObject id="a"><Slot name="size"><ValueList><Value>7</Value></ValueList></Slot>'
        '<Classification id="c" classifiedObject="a" nodeRepresentation="x"><Slot name="codingScheme">'
        "<ValueList><Value>1.2.3</Value></ValueList></Slot></Classification></ExtrinsicObject>"
        '<Association id="b" associationType="t" sourceObject="s" targetObject="a"/></RegistryObjectList>'
        "</q:AdhocQueryResponse>"
    )
    entry, association = contract.read("ITI-18", answer).RegistryObjectList["_value_1"]
    classification = entry["ExtrinsicObject"].Classification[0]
    assert entry["ExtrinsicObject"].Slot[0].ValueList.Value == ["7"]
    assert (classification.nodeRepresentation, classification.Slot[0].ValueList.Value) == ("x", ["1.2.3"])
    assert association["Association"].targetObject == "a"


def test_an_answer_of_another_transaction_or_structure_is_refused(contract: Contract) -> None:
    with pytest.raises(ContractError, match="expected"):
        contract.read("ITI-43", etree.fromstring(f'<q:AdhocQueryResponse xmlns:q="{QUERY}" status="urn:s"/>'))
    odd = etree.fromstring(
        f'<q:AdhocQueryResponse xmlns:q="{QUERY}" status="urn:s"><q:Muster/></q:AdhocQueryResponse>'
    )
    with pytest.raises(ContractError) as raised:
        contract.read("ITI-18", odd)
    assert "Muster" not in str(raised.value)


# --- building -------------------------------------------------------------------------------------------


def content_of(element: etree._Element) -> Any:
    """The content of an element in the shape that `build` takes."""
    content: dict[str, Any] = {etree.QName(name).localname: text for name, text in element.attrib.items()}
    if element.tag == f"{{{XDS}}}Document":
        return {**content, "_value_1": base64.b64decode(element.text or "")}
    if element.tag in LISTS:
        return {"_value_1": [{etree.QName(child).localname: content_of(child)} for child in element]}
    if not len(element) and not element.attrib:
        return (element.text or "") if etree.QName(element).localname in SIMPLE else {}
    for child in element:
        content.setdefault(etree.QName(child).localname, []).append(content_of(child))
    return {name: one[0] if isinstance(one, list) and len(one) == 1 else one for name, one in content.items()}


def assert_built(built: etree._Element, wanted: etree._Element, defaults: set[tuple[str, str]]) -> int:
    """Equal but for attributes that zeep adds with their default value; the number of elements compared."""
    assert built.tag == wanted.tag
    assert (built.text or "") == (wanted.text or "")
    for name in {*built.attrib, *wanted.attrib}:
        here, there = built.get(name), wanted.get(name)
        if there is None:
            assert (name, here) in defaults
        else:
            assert {"1": "true", "0": "false"}.get(there, there) == here or there == here
    assert len(built) == len(wanted), built.tag
    return 1 + sum(assert_built(a, b, defaults) for a, b in zip(built, wanted, strict=True))


@pytest.mark.parametrize("transaction", ["ITI-18", "ITI-41", "ITI-42", "ITI-43"])
def test_requests_are_built_as_lxml_would_and_are_valid_everywhere(
    contract: Contract, model: Schemas, published: etree.XMLSchema | None, transaction: str
) -> None:
    defaults = {
        (a.name, a.default)
        for kind in [*model.types.values(), *(e.type for e in model.elements.values())]
        for a in kind.attributes.values()
        if a.default is not None
    }
    compared = done = seed = 0
    while done < CASES:
        seed += 1
        wanted = Writer(model, Random(seed), typed=False, wild=False).message(contract[transaction].request)
        if _beyond_build(wanted):
            continue
        built = contract.build(transaction, **content_of(wanted))
        assert published is None or published.validate(built), published.error_log
        compared += assert_built(built, wanted, defaults)
        done += 1
    assert compared > 3 * CASES


def _beyond_build(wanted: etree._Element) -> bool:
    """Free content and time values, which `build` takes as other than text."""
    names = {"QueryExpression", "Subscription", "AuditableEvent", "Registry", "Federation"}
    return any(etree.QName(element).localname in names for element in wanted.iter())


@pytest.mark.parametrize(
    ("transaction", "content", "error"),
    [
        ("ITI-18", {"ResponseOption": {}, "AdhocQuery": {"id": "a"}, "Unknown": "Muster"}, ContractError),
        ("ITI-18", {"AdhocQuery": {"id": "a"}}, ContractError),
        ("ITI-18", {"ResponseOption": {"returnType": "Muster"}, "AdhocQuery": {"id": "a"}}, SchemaInvalid),
        ("ITI-43", {"DocumentRequest": []}, ContractError),
        ("ITI-43", {"DocumentRequest": [{"RepositoryUniqueId": "1"}]}, ContractError),
        ("ITI-43", {"DocumentRequest": [{"RepositoryUniqueId": "Muster" * 50, "DocumentUniqueId": "2"}]}, SchemaInvalid),
        ("ITI-43", {"DocumentRequest": [{"RepositoryUniqueId": "Muster\x00", "DocumentUniqueId": "2"}]}, ContractError),
        ("ITI-42", {"RegistryObjectList": {"_value_1": [{"Muster": {}}]}}, ContractError),
    ],
)  # fmt: skip
def test_content_that_does_not_fit_is_refused(
    contract: Contract, transaction: str, content: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error) as raised:
        contract.build(transaction, **content)
    assert "Muster" not in str(raised.value)


def test_a_built_request_stands_alone_and_can_be_moved_into_an_envelope(contract: Contract) -> None:
    body = contract.build("ITI-43", DocumentRequest=[{"RepositoryUniqueId": "1.2", "DocumentUniqueId": "3"}])
    assert body.getparent() is None
    assert etree.tostring(body) == (
        b'<xds:RetrieveDocumentSetRequest xmlns:xds="urn:ihe:iti:xds-b:2007"><xds:DocumentRequest>'
        b"<xds:RepositoryUniqueId>1.2</xds:RepositoryUniqueId><xds:DocumentUniqueId>3</xds:DocumentUniqueId>"
        b"</xds:DocumentRequest></xds:RetrieveDocumentSetRequest>"
    )
