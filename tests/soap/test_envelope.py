"""Envelopes and faults, written and read."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from gateway.model.codes import NS_SOAP12, NS_WSA
from gateway.safe_xml import parse_xml
from gateway.soap.envelope import (
    ANONYMOUS,
    EnvelopeError,
    SoapFault,
    SoapVersionError,
    read_envelope,
    write_envelope,
    write_fault,
)

from .wire import envelope

TEXT = (
    st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1, max_size=30)
    .map(str.strip)
    .filter(bool)
)


@settings(max_examples=60, deadline=None)
@given(TEXT, TEXT, TEXT, TEXT)
def test_headers_are_read_as_written(action: str, message_id: str, to: str, relates_to: str) -> None:
    data = write_envelope(
        b"<a/>", action=action, message_id=message_id, to=to, relates_to=relates_to, reply_to=ANONYMOUS
    )
    found = read_envelope(parse_xml(data))
    assert (found.action, found.message_id, found.to, found.relates_to, found.reply_to) == (
        action,
        message_id,
        to,
        (relates_to,),
        ANONYMOUS,
    )
    assert found.fault is None
    assert found.not_understood == ()


def test_a_header_block_given_as_bytes_is_not_altered() -> None:
    block = b"<w:Security xmlns:w='urn:w'  a = \"1\" ><x xmlns='urn:y'>&#13;\n</x></w:Security>"
    assert block in write_envelope(b"<a/>", action="urn:a", header_blocks=[block])


def test_a_body_element_keeps_its_namespaces_and_leaves_its_tail() -> None:
    outer = etree.fromstring('<o xmlns:p="urn:p"><a type="p:T"/>tail</o>')
    data = write_envelope(outer[0], action="urn:a")
    assert b'<s:Body><a xmlns:p="urn:p" type="p:T"/></s:Body>' in data


FAULTS = [
    SoapFault("Receiver", "a & b"),
    SoapFault(
        "Sender", "x", subcodes=[f"{{{NS_WSA}}}InvalidAddressingHeader", f"{{{NS_WSA}}}InvalidCardinality"]
    ),
    SoapFault("Sender", "x", subcodes=["{urn:own}Code"], node="urn:node"),
    SoapFault("MustUnderstand", "x", not_understood=["{urn:a}A", "{urn:b}B"]),
    SoapFault("VersionMismatch", "x"),
]


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_read_as_written(fault: SoapFault) -> None:
    found = read_envelope(parse_xml(write_fault(fault, relates_to="urn:uuid:1")))
    assert found.body is None
    assert found.fault is not None
    assert (found.fault.code, found.fault.reason, found.fault.subcodes, found.fault.node) == (
        fault.code,
        fault.reason,
        fault.subcodes,
        fault.node,
    )
    assert found.relates_to == ("urn:uuid:1",)
    kind = "fault" if any(NS_WSA in code for code in fault.subcodes) else "soap/fault"
    assert found.action == f"{NS_WSA}/{kind}"


@pytest.mark.parametrize("prefix", ["env:", "S:", "", "soap-env:"])
def test_fault_codes_under_any_prefix(prefix: str) -> None:
    declared = f"xmlns:{prefix[:-1]}" if prefix else "xmlns"
    data = (
        f'<Envelope xmlns="{NS_SOAP12}" {declared}="{NS_SOAP12}"><Body><Fault><Code><Value>{prefix}Receiver</Value>'
        "</Code><Reason><Text> no </Text></Reason></Fault></Body></Envelope>"
    )
    if not prefix:
        data = data.replace(f' xmlns="{NS_SOAP12}"', "", 1)
    fault = read_envelope(parse_xml(data.encode())).fault
    assert fault is not None
    assert (fault.code, fault.reason) == ("Receiver", "no")


@pytest.mark.parametrize(
    "content", ["", "<env:Code/>", "<env:Code><env:Value>un:known</env:Value></env:Code>"]
)
def test_a_fault_with_gaps_is_still_a_fault(content: str) -> None:
    fault = read_envelope(parse_xml(envelope(f"<env:Fault>{content}</env:Fault>").encode())).fault
    assert fault is not None
    assert fault.reason == ""


@pytest.mark.parametrize("value", ["", ":", "a b", "p:", "1x"])
def test_a_code_that_is_no_name_is_a_receiver_fault(value: str) -> None:
    code = f"<env:Code><env:Value>{value}</env:Value></env:Code>"
    fault = read_envelope(parse_xml(envelope(f"<env:Fault>{code}</env:Fault>").encode())).fault
    assert fault is not None
    assert fault.code == "Receiver"


def test_an_envelope_of_another_version_is_told_from_no_envelope() -> None:
    with pytest.raises(SoapVersionError):
        read_envelope(
            parse_xml(
                b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body/></e:Envelope>'
            )
        )
    with pytest.raises(EnvelopeError) as caught:
        read_envelope(parse_xml(b"<html/>"))
    assert not isinstance(caught.value, SoapVersionError)


def test_relates_to_of_another_relationship_is_no_reply() -> None:
    headers = (
        '<wsa:RelatesTo RelationshipType="urn:other">urn:uuid:1</wsa:RelatesTo>'
        f'<wsa:RelatesTo RelationshipType="{NS_WSA}/reply"> urn:uuid:2 </wsa:RelatesTo>'
    )
    assert read_envelope(parse_xml(envelope("<a/>", headers).encode())).relates_to == ("urn:uuid:2",)


def test_must_understand_in_a_wrong_namespace_is_no_flag() -> None:
    headers = '<x:H xmlns:x="urn:x" wsa:mustUnderstand="1" mustUnderstand="1"/>'
    assert read_envelope(parse_xml(envelope("<a/>", headers).encode())).not_understood == ()
