"""The table of transactions, validation without quoting, peers' WSDLs, and what cannot be loaded."""

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree

from gateway.soap.contract import (
    Contract,
    ContractError,
    Packaging,
    SchemaInvalid,
    Transaction,
    check_peer_wsdl,
    default_folder,
    load_contract,
)

QUERY = "urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
LCM = "urn:oasis:names:tc:ebxml-regrep:xsd:lcm:3.0"
XDS = "urn:ihe:iti:xds-b:2007"
XDSI = "urn:ihe:rad:xdsi-b:2009"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"
WSDLS = sorted(default_folder().glob("*.wsdl"))


@pytest.fixture(scope="module")
def contract() -> Contract:
    return load_contract()


def test_the_table_has_the_values_of_the_technical_framework(contract: Contract) -> None:
    # ITI TF-2 3.18.5, 3.38.5, 3.39.5, 3.41.5, 3.42.5, 3.43.5, 3.55.5, 3.57.5, 3.61.5, 3.62.5, 3.86.5 and Appendix V; RAD TF 4.69, 4.75
    assert dict(contract.transactions) == {
        "ITI-18": Transaction(
            "ITI-18", "DocumentRegistry_RegistryStoredQuery",
            "urn:ihe:iti:2007:RegistryStoredQuery", "urn:ihe:iti:2007:RegistryStoredQueryResponse",
            f"{{{QUERY}}}AdhocQueryRequest", f"{{{QUERY}}}AdhocQueryResponse", Packaging.SIMPLE,
        ),
        "ITI-38": Transaction(
            "ITI-38", "RespondingGateway_CrossGatewayQuery",
            "urn:ihe:iti:2007:CrossGatewayQuery", "urn:ihe:iti:2007:CrossGatewayQueryResponse",
            f"{{{QUERY}}}AdhocQueryRequest", f"{{{QUERY}}}AdhocQueryResponse", Packaging.SIMPLE,
        ),
        "ITI-39": Transaction(
            "ITI-39", "RespondingGateway_CrossGatewayRetrieve",
            "urn:ihe:iti:2007:CrossGatewayRetrieve", "urn:ihe:iti:2007:CrossGatewayRetrieveResponse",
            f"{{{XDS}}}RetrieveDocumentSetRequest", f"{{{XDS}}}RetrieveDocumentSetResponse", Packaging.MTOM,
        ),
        "ITI-41": Transaction(
            "ITI-41", "DocumentRepository_ProvideAndRegisterDocumentSet-b",
            "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b", "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-bResponse",
            f"{{{XDS}}}ProvideAndRegisterDocumentSetRequest", f"{{{RS}}}RegistryResponse", Packaging.MTOM,
        ),
        "ITI-42": Transaction(
            "ITI-42", "DocumentRegistry_RegisterDocumentSet-b",
            "urn:ihe:iti:2007:RegisterDocumentSet-b", "urn:ihe:iti:2007:RegisterDocumentSet-bResponse",
            f"{{{LCM}}}SubmitObjectsRequest", f"{{{RS}}}RegistryResponse", Packaging.SIMPLE,
        ),
        "ITI-43": Transaction(
            "ITI-43", "DocumentRepository_RetrieveDocumentSet",
            "urn:ihe:iti:2007:RetrieveDocumentSet", "urn:ihe:iti:2007:RetrieveDocumentSetResponse",
            f"{{{XDS}}}RetrieveDocumentSetRequest", f"{{{XDS}}}RetrieveDocumentSetResponse", Packaging.MTOM,
        ),
        "ITI-55": Transaction(
            "ITI-55", "RespondingGateway_PRPA_IN201305UV02",
            "urn:hl7-org:v3:PRPA_IN201305UV02:CrossGatewayPatientDiscovery",
            "urn:hl7-org:v3:PRPA_IN201306UV02:CrossGatewayPatientDiscovery",
            "{urn:hl7-org:v3}PRPA_IN201305UV02", "{urn:hl7-org:v3}PRPA_IN201306UV02", Packaging.SIMPLE,
        ),
        "ITI-57": Transaction(
            "ITI-57", "DocumentRegistry_UpdateDocumentSet",
            "urn:ihe:iti:2010:UpdateDocumentSet", "urn:ihe:iti:2010:UpdateDocumentSetResponse",
            f"{{{LCM}}}SubmitObjectsRequest", f"{{{RS}}}RegistryResponse", Packaging.SIMPLE,
        ),
        "ITI-61": Transaction(
            "ITI-61", "DocumentRegistry_RegisterOnDemandDocumentEntry",
            # the Action of the answer has no Entry in it
            "urn:ihe:iti:2010:RegisterOnDemandDocumentEntry", "urn:ihe:iti:2010:RegisterOnDemandDocumentResponse",
            f"{{{LCM}}}SubmitObjectsRequest", f"{{{RS}}}RegistryResponse", Packaging.SIMPLE,
        ),
        "ITI-62": Transaction(
            "ITI-62", "DocumentRegistry_DeleteDocumentSet",
            "urn:ihe:iti:2010:DeleteDocumentSet", "urn:ihe:iti:2010:DeleteDocumentSetResponse",
            f"{{{LCM}}}RemoveObjectsRequest", f"{{{RS}}}RegistryResponse", Packaging.SIMPLE,
        ),
        "ITI-86": Transaction(
            "ITI-86", "DocumentRepository_RemoveDocuments",
            "urn:ihe:iti:2017:RemoveDocuments", "urn:ihe:iti:2017:RemoveDocumentsResponse",
            "{urn:ihe:iti:rmd:2017}RemoveDocumentsRequest", f"{{{RS}}}RegistryResponse", Packaging.SIMPLE,
        ),
        "RAD-69": Transaction(
            "RAD-69", "ImagingDocumentSource_RetrieveImagingDocumentSet",
            "urn:ihe:rad:2009:RetrieveImagingDocumentSet", "urn:ihe:iti:2007:RetrieveDocumentSetResponse",
            f"{{{XDSI}}}RetrieveImagingDocumentSetRequest", f"{{{XDS}}}RetrieveDocumentSetResponse", Packaging.MTOM,
        ),
        "RAD-75": Transaction(
            "RAD-75", "RespondingImagingGateway_CrossGatewayRetrieveImagingDocumentSet",
            "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSet", "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSetResponse",
            f"{{{XDSI}}}RetrieveImagingDocumentSetRequest", f"{{{XDS}}}RetrieveDocumentSetResponse", Packaging.MTOM,
        ),
    }  # fmt: skip


def test_a_transaction_is_found_by_its_action_with_blanks_around_it(contract: Contract) -> None:
    for transaction in contract.transactions.values():
        assert contract.by_action(f" {transaction.action}\n") is transaction
        assert contract.by_action(transaction.response_action) is None
    assert contract.by_action("urn:ihe:iti:2007:RetrieveDocumentSetOfOthers") is None
    with pytest.raises(KeyError):
        contract["ITI-56"]


def test_the_contract_is_read_once(contract: Contract) -> None:
    assert load_contract() is contract


def test_loading_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    load_contract.__wrapped__()


def test_an_installed_package_finds_its_own_copy(tmp_path: Path) -> None:
    shutil.copytree(
        Path(__file__).parents[2] / "gateway", tmp_path / "gateway", ignore=shutil.ignore_patterns("*.pyc")
    )
    shutil.copytree(default_folder(), tmp_path / "gateway" / "_data" / "wsdl", dirs_exist_ok=True)
    program = "from gateway.soap.contract import *; from gateway.soap.contract import default_folder; print(default_folder(), *load_contract().transactions)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stdout.split() == [
        str(tmp_path / "gateway" / "_data" / "wsdl"),
        "RAD-75",
        "RAD-69",
        "ITI-55",
        "ITI-18",
        "ITI-42",
        "ITI-86",
        "ITI-41",
        "ITI-43",
        "ITI-38",
        "ITI-39",
        "ITI-57",
        "ITI-61",
        "ITI-62",
    ]


# --- validation -----------------------------------------------------------------------------------------


def _query(inner: str, attributes: str = "") -> etree._Element:
    return etree.fromstring(
        f'<e:Envelope xmlns:e="urn:e" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xmlns:r="{RIM}">'
        f'<q:AdhocQueryRequest xmlns:q="{QUERY}" {attributes}><q:ResponseOption/>{inner}</q:AdhocQueryRequest></e:Envelope>'
    )[0]


def test_a_body_inside_its_envelope_is_valid_with_prefixes_declared_outside(contract: Contract) -> None:
    contract.validate(_query('<r:AdhocQuery id="a"/>'))
    contract.validate(_query('<r:AdhocQuery id="a" xsi:type="r:AdhocQueryType"/>'))


@pytest.mark.parametrize(
    ("inner", "attributes", "finding"),
    [
        ("", "", "AdhocQueryRequest.*Missing child element"),
        ('<r:AdhocQuery home="Anna Muster"/>', "", "AdhocQuery.*'id' is required"),
        ('<r:AdhocQuery id="a" status="%zz Anna Muster"/>', "", "'status': the value is not of type"),
        ('<r:AdhocQuery id="a"/>', 'startIndex="Anna Muster"', "'startIndex': the value is not of type xs:integer"),
        ('<r:AdhocQuery id="a"/>', 'federated="Anna &apos;is not Muster"', "'federated': the value is not of type xs:boolean"),
        ('<r:AdhocQuery id="a"><r:Slot name="Anna Muster"/></r:AdhocQuery>', "", "Slot.*Missing child element"),
        (f'<r:AdhocQuery id="a"><r:Slot name="{"Anna Muster" * 30}"><r:ValueList/></r:Slot></r:AdhocQuery>', "", "'name': the value breaks the facet maxLength"),
        ('<r:AdhocQuery id="a" xsi:type="r:AnnaMuster"/>', "", "breaks the schema rule"),
        ('<r:AdhocQuery id="a">Anna Muster</r:AdhocQuery>', "", "Character content other than whitespace"),
    ],
)  # fmt: skip
def test_findings_name_the_place_and_never_quote_a_value(
    contract: Contract, inner: str, attributes: str, finding: str
) -> None:
    with pytest.raises(SchemaInvalid) as raised:
        contract.validate(_query(inner, attributes))
    text = "\n".join((*raised.value.errors, str(raised.value)))
    assert re.search(finding, text), text
    assert "Muster" not in text
    assert raised.value.errors


def test_an_enumeration_breach_is_not_quoted(contract: Contract) -> None:
    body = etree.fromstring(
        f'<q:AdhocQueryRequest xmlns:q="{QUERY}"><q:ResponseOption returnType="Muster"/>'
        f'<r:AdhocQuery xmlns:r="{RIM}" id="a"/></q:AdhocQueryRequest>'
    )
    with pytest.raises(SchemaInvalid, match="returnType': the value breaks the facet enumeration") as raised:
        contract.validate(body)
    assert "Muster" not in str(raised.value)


def _provide(document: str) -> etree._Element:
    return etree.fromstring(
        f'<x:ProvideAndRegisterDocumentSetRequest xmlns:x="{XDS}" xmlns:l="{LCM}" xmlns:r="{RIM}"'
        ' xmlns:xop="http://www.w3.org/2004/08/xop/include"><l:SubmitObjectsRequest><r:RegistryObjectList/>'
        f"</l:SubmitObjectsRequest>{document}</x:ProvideAndRegisterDocumentSetRequest>"
    )


def test_an_include_stands_for_the_content_of_a_document_and_is_left_in_place(contract: Contract) -> None:
    body = _provide('<x:Document id="a">\n <xop:Include href="cid:1"/>\n</x:Document>')
    before = etree.tostring(body)
    contract.validate(body)
    assert etree.tostring(body) == before


@pytest.mark.parametrize(
    "document",
    [
        '<x:Document><xop:Include href="cid:1"/></x:Document>',
        '<x:Document id="a">AAAA<xop:Include href="cid:1"/></x:Document>',
        '<x:Document id="a"><xop:Include href="cid:1"/><xop:Include href="cid:2"/></x:Document>',
        '<x:Document id="a"><y xmlns="urn:other"/></x:Document>',
        '<xop:Include href="cid:1"/>',
    ],
)
def test_an_include_elsewhere_or_beside_content_is_refused(contract: Contract, document: str) -> None:
    with pytest.raises(SchemaInvalid):
        contract.validate(_provide(document))


# --- WSDLs of peers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", WSDLS, ids=lambda path: path.stem)
def test_our_own_wsdl_fits_itself(path: Path) -> None:
    assert check_peer_wsdl(path.read_bytes()) == []


def _peer(actor: str, *edits: tuple[str, str]) -> bytes:
    text = (default_folder() / f"{actor}.wsdl").read_text(encoding="utf-8")
    for before, after in edits:
        assert before in text
        text = text.replace(before, after)
    return text.encode()


def test_a_peer_wsdl_needs_neither_our_marks_nor_our_schemas_nor_policies() -> None:
    edits = (
        ("<gw:transaction id=\"ITI-41\"/>", ""), ("<gw:transaction id=\"ITI-43\"/>", ""),
        ("<wsoma:OptimizedMimeSerialization/>", ""), ('schemaLocation="xsd/', 'schemaLocation="http://peer.example/xsd/'),
        ("http://www.w3.org/2007/05/addressing/metadata", "http://www.w3.org/2006/05/addressing/wsdl"),
        ("DocumentRepository_RetrieveDocumentSet", "Fetch"),
    )  # fmt: skip
    assert check_peer_wsdl(_peer("repository", *edits)) == []


@pytest.mark.parametrize(
    ("actor", "edits", "finding"),
    [
        ("registry", [('"urn:ihe:iti:2007:RegistryStoredQueryResponse"', '"urn:wrong"')], r"ITI-18\): response action is urn:wrong"),
        ("registry", [('wsam:Action="urn:ihe:iti:2007:RegistryStoredQuery"', "")], r"ITI-18\): action is missing"),
        ("registry", [('element="lcm:SubmitObjectsRequest"', 'element="lcm:UpdateObjectsRequest"')], r"ITI-42\): request is .*UpdateObjectsRequest"),
        ("registry", [('element="lcm:SubmitObjectsRequest"', 'element="lcm:NoSuchRequest"')], r"ITI-42\): its messages or its binding cannot be resolved"),
        ("registry", [("http://schemas.xmlsoap.org/wsdl/soap12/", "http://schemas.xmlsoap.org/wsdl/soap/")], "bound to SOAP 1.1"),
        ("registry", [('use="literal"', 'use="encoded"')], "must be document/literal"),
        ("registry", [("</wsam:Addressing>", '</wsam:Addressing><m:MTOM xmlns:m="http://www.w3.org/2007/08/soap12-mtom-policy"/>')], r"ITI-18\): demands MTOM"),
        ("registry", [("urn:ihe:iti:2007:", "urn:example:")], "no operation of .*ITI-18.* is offered"),
        ("registry", [("<wsdl:documentation>", '<wsdl:import namespace="urn:x" location="http://peer.example/more.wsdl"/><wsdl:documentation>')], "cannot be read"),
        ("registry", [('<?xml version="1.0" encoding="UTF-8"?>', '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>')], "cannot be read"),
        ("registry", [("</wsdl:definitions>", "")], "cannot be read"),
    ],
)  # fmt: skip
def test_what_does_not_fit_in_a_peer_wsdl_is_told(
    actor: str, edits: list[tuple[str, str]], finding: str
) -> None:
    problems = check_peer_wsdl(_peer(actor, *edits))
    assert any(re.search(finding, problem) for problem in problems), problems


def test_an_optional_mtom_policy_on_a_simple_transaction_fits() -> None:
    policy = '<m:MTOM xmlns:m="http://www.w3.org/2007/08/soap12-mtom-policy" wsp:Optional="true"/>'
    assert check_peer_wsdl(_peer("registry", ("</wsam:Addressing>", f"</wsam:Addressing>{policy}"))) == []


# --- what cannot be loaded ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "before", "after", "finding"),
    [
        ("registry.wsdl", '<gw:transaction id="ITI-42"/>', "", "registry.wsdl: .*RegisterDocumentSet-b lacks transaction"),
        ("registry.wsdl", "http://schemas.xmlsoap.org/wsdl/soap12/", "http://schemas.xmlsoap.org/wsdl/soap/", "lacks SOAP 1.2"),
        ("registry.wsdl", 'use="literal"', 'use="encoded"', "lacks document/literal"),
        ("registry.wsdl", 'id="ITI-42"', 'id="ITI-18"', "ITI-18 is declared twice"),
        ("registry.wsdl", 'wsam:Action="urn:ihe:iti:2007:RegistryStoredQueryResponse"', "", "lacks response_action"),
        ("registry.wsdl", "xsd/lcm.xsd", "../elsewhere.xsd", "outside the folder"),
        ("registry.wsdl", "xsd/lcm.xsd", "http://peer.example/lcm.xsd", "registry.wsdl"),
        ("repository.wsdl", 'element="rs:RegistryResponse"', 'element="rs:Nothing"', "repository.wsdl"),
        ("xsd/rim.xsd", '<xs:complexType name="UserType">', '<xs:complexType name="UserTypo">', "UserType"),
    ],
)  # fmt: skip
def test_a_broken_contract_stops_the_start(
    tmp_path: Path, file: str, before: str, after: str, finding: str
) -> None:
    folder = Path(shutil.copytree(default_folder(), tmp_path / "wsdl"))
    text = (folder / file).read_text(encoding="utf-8")
    assert before in text
    (folder / file).write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(ContractError, match=finding):
        load_contract(folder)


def test_an_empty_folder_is_no_contract(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match="no WSDL"):
        load_contract(tmp_path)
