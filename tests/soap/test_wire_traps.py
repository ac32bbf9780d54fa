"""What peers really answer, one trap a test, over real sockets (spec of the wire: ITI TF-2 Appendix V)."""

import asyncio
import base64
import gzip
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from lxml import etree
from lxml.etree import _Element

from gateway.model.codes import NS_SOAP12, NS_WSA, NS_XDS
from gateway.model.errors import PeerDisconnected, PeerError, PeerFault, PeerProtocolError
from gateway.soap.client import Attachment, Peer, SoapClient, StreamedReply

from .wire import (
    RELATED,
    HttpRequest,
    RawPeer,
    answering,
    document_part,
    envelope,
    http,
    include,
    part,
    raw_peer,
    related,
    retrieve_answer,
    root_part,
)

CONTENT = b"\r\n\r\nfirst\r\n--b\r\n--b2 \xff\x00 last\r\n"
DOCUMENT = f"{{{NS_XDS}}}DocumentResponse/{{{NS_XDS}}}Document"


@asynccontextmanager
async def opened(client: SoapClient, request: _Element, response: object) -> AsyncIterator[StreamedReply]:
    async with (
        raw_peer(answering(response)) as peer,
        client.open(Peer("repo", peer.url), "ITI-43", request) as reply,
    ):
        yield reply


async def documents(client: SoapClient, request: _Element, response: object) -> dict[str, bytes]:
    async with opened(client, request, response) as reply:
        return {part.content_id: b"".join([chunk async for chunk in part]) async for part in reply.parts()}


async def inline(client: SoapClient, request: _Element, response: object) -> list[bytes]:
    async with raw_peer(answering(response)) as peer:
        body = await client.call(Peer("repo", peer.url), "ITI-43", request)
    return [base64.b64decode("".join(element.itertext())) for element in body.findall(DOCUMENT)]


async def refusal(client: SoapClient, request: _Element, response: object) -> PeerError:
    with pytest.raises(PeerError) as caught:
        await documents(client, request, response)
    assert "repo" in str(caught.value)
    assert caught.value.transaction == "ITI-43"
    return caught.value


def mtom(href: str = "cid:doc@peer", *parts: bytes) -> bytes:
    return related(root_part(envelope(retrieve_answer(include(href)))), *(parts or [document_part(CONTENT)]))


async def test_document_bytes_are_never_stripped_or_altered(
    client: SoapClient, retrieve_request: _Element
) -> None:
    assert await documents(client, retrieve_request, http(mtom(), RELATED)) == {"doc@peer": CONTENT}
    assert await inline(client, retrieve_request, http(mtom(), RELATED)) == [CONTENT]


async def test_jax_ws_headers_separators_without_blank_and_content_id_of_any_case(
    client: SoapClient, retrieve_request: _Element
) -> None:
    boundary = "uuid:0b4b7c65-5e0b-4d0e-8a35-8d1c9b0a7f11"
    xml = "<?xml version='1.0' encoding='UTF-8'?>" + envelope(
        retrieve_answer(include("cid:1@example.jaxws.sun.com"))
    )
    body = related(
        part(
            xml.encode(),
            "Content-Id: <rootpart*0b4b@example.jaxws.sun.com>",
            'Content-type: application/xop+xml;charset=utf-8;type="application/soap+xml"',
            "Content-transfer-encoding: binary",
        ),
        part(CONTENT, "Content-Id: <1@example.jaxws.sun.com>", "Content-type: text/plain"),
        boundary=boundary,
    )
    kind = (
        'multipart/related;start="<rootpart*0b4b@example.jaxws.sun.com>";type="application/xop+xml";'
        f'boundary="{boundary}";start-info="application/soap+xml"'
    )
    answer = http(body, kind, chunked=True).replace(b"Content-Type: mult", b"Content-type: mult")
    assert await documents(client, retrieve_request, answer) == {"1@example.jaxws.sun.com": CONTENT}


@pytest.mark.parametrize(
    "boundary", ["uuid:a8f3+id=17", "----=_Part_1_2.3", "MIMEBoundaryurn_uuid_3D4B", "=_b", "x" * 120]
)
@pytest.mark.parametrize("quoted", [True, False])
async def test_boundaries_with_colons_equals_and_dashes_quoted_or_not(
    client: SoapClient, retrieve_request: _Element, boundary: str, quoted: bool
) -> None:
    body = mtom().replace(b"--b1", b"--" + boundary.encode())
    value = f'"{boundary}"' if quoted else boundary
    answer = http(body, f"Multipart/Related; Boundary={value}; START=<root@peer>; type=application/xop+xml")
    assert await documents(client, retrieve_request, answer) == {"doc@peer": CONTENT}


async def test_wcf_content_ids_are_urls(client: SoapClient, retrieve_request: _Element) -> None:
    href = "cid:http%3A%2F%2Ftempuri.org%2F1%2F635"
    body = mtom(href, document_part(CONTENT, "http://tempuri.org/1/635")).replace(
        b"root@peer", b"http://tempuri.org/0"
    )
    kind = RELATED.replace("root@peer", "http://tempuri.org/0")
    assert await documents(client, retrieve_request, http(body, kind)) == {
        "http://tempuri.org/1/635": CONTENT
    }


@pytest.mark.parametrize(
    ("href", "content_id", "name"),
    [
        ("cid:a%40b", "a@b", "a@b"),
        ("cid:a@b", "a@b", "a@b"),
        ("CID:a%40b", "a%40b", "a@b"),
        ("cid:a+b@c", "a+b@c", "a+b@c"),
        ("cid:Ab@c", "Ab@c", "Ab@c"),
        ("cid:urn:uuid:1", "urn:uuid:1", "urn:uuid:1"),
        ("cid:urn%3auuid%3a1", "urn:uuid:1", "urn:uuid:1"),
    ],
)
async def test_hrefs_and_content_ids_encoded_and_raw(
    client: SoapClient, retrieve_request: _Element, href: str, content_id: str, name: str
) -> None:
    answer = http(mtom(href, document_part(CONTENT, content_id)), RELATED)
    assert await documents(client, retrieve_request, answer) == {name: CONTENT}


async def test_letter_case_of_content_ids_counts(client: SoapClient, retrieve_request: _Element) -> None:
    error = await refusal(client, retrieve_request, http(mtom("cid:DOC@peer"), RELATED))
    assert isinstance(error, PeerProtocolError)


async def test_start_that_names_no_part_falls_back_to_the_xop_part(
    client: SoapClient, retrieve_request: _Element
) -> None:
    early = document_part(b"early", "early@peer")
    body = related(
        early, root_part(envelope(retrieve_answer(include("cid:doc@peer")))), document_part(CONTENT)
    )
    answer = http(body, RELATED.replace("root@peer", "another@peer"))
    assert await documents(client, retrieve_request, answer) == {"early@peer": b"early", "doc@peer": CONTENT}


async def test_without_start_the_xop_part_is_the_root(client: SoapClient, retrieve_request: _Element) -> None:
    body = related(document_part(CONTENT), root_part(envelope(retrieve_answer(include("cid:doc@peer")))))
    answer = http(body, 'multipart/related; boundary="b1"')
    assert await documents(client, retrieve_request, answer) == {"doc@peer": CONTENT}


async def test_without_start_and_xop_type_the_first_part_is_the_root(
    client: SoapClient, retrieve_request: _Element
) -> None:
    root = part(
        envelope(retrieve_answer(include("cid:doc@peer"))).encode(), "Content-Type: application/soap+xml"
    )
    answer = http(related(root, document_part(CONTENT)), 'multipart/related; boundary="b1"')
    assert await documents(client, retrieve_request, answer) == {"doc@peer": CONTENT}


async def test_parts_before_the_root_are_kept_whatever_their_size(
    client: SoapClient, retrieve_request: _Element
) -> None:
    big = CONTENT * 20_000
    body = related(document_part(big), root_part(envelope(retrieve_answer(include("cid:doc@peer")))))
    assert await documents(client, retrieve_request, http(body, RELATED)) == {"doc@peer": big}


async def test_start_info_of_soap_1_1_and_wrong_action_parameter_are_accepted(
    client: SoapClient, retrieve_request: _Element
) -> None:
    kind = RELATED.replace("application/soap+xml", "text/xml") + '; action="urn:wrong"'
    assert await documents(client, retrieve_request, http(mtom(), kind)) == {"doc@peer": CONTENT}


@pytest.mark.parametrize("href", ["http://127.0.0.1:9/secret", "file:///etc/passwd", "", "doc@peer", "cid:"])
async def test_an_href_that_is_not_cid_is_refused_and_never_fetched(
    client: SoapClient, retrieve_request: _Element, href: str
) -> None:
    error = await refusal(client, retrieve_request, http(mtom(href), RELATED))
    assert "xop:Include" in error.detail
    assert "passwd" not in str(error)


async def test_base64_transfer_encoding_is_decoded(client: SoapClient, retrieve_request: _Element) -> None:
    encoded = base64.encodebytes(CONTENT * 50).replace(b"\n", b"\r\n")
    body = mtom("cid:doc@peer", document_part(encoded, "doc@peer", "Content-Transfer-Encoding: BASE64"))
    assert await documents(client, retrieve_request, http(body, RELATED)) == {"doc@peer": CONTENT * 50}


async def test_quoted_printable_is_refused(client: SoapClient, retrieve_request: _Element) -> None:
    body = mtom(
        "cid:doc@peer", document_part(b"a=3D", "doc@peer", "Content-Transfer-Encoding: quoted-printable")
    )
    assert isinstance(await refusal(client, retrieve_request, http(body, RELATED)), PeerProtocolError)


async def test_a_missing_cid_part_is_an_error(client: SoapClient, retrieve_request: _Element) -> None:
    answer = http(mtom("cid:other@peer"), RELATED)
    assert "lacks" in (await refusal(client, retrieve_request, answer)).detail
    with pytest.raises(PeerProtocolError, match="lacks"):
        await inline(client, retrieve_request, answer)


async def test_a_simple_answer_that_names_an_attachment_is_an_error(
    client: SoapClient, retrieve_request: _Element
) -> None:
    answer = http(envelope(retrieve_answer(include("cid:doc@peer"))).encode(), "application/soap+xml")
    assert "lacks" in (await refusal(client, retrieve_request, answer)).detail


async def test_two_parts_of_one_content_id_are_refused(
    client: SoapClient, retrieve_request: _Element
) -> None:
    body = mtom("cid:doc@peer", document_part(b"one"), document_part(b"two"))
    assert "same Content-ID" in (await refusal(client, retrieve_request, http(body, RELATED))).detail


async def test_include_beside_other_content_is_refused(
    client: SoapClient, retrieve_request: _Element
) -> None:
    body = related(
        root_part(envelope(retrieve_answer("QUJD" + include("cid:doc@peer")))), document_part(CONTENT)
    )
    assert "only content" in (await refusal(client, retrieve_request, http(body, RELATED))).detail


async def test_include_in_a_header_is_resolved(client: SoapClient, retrieve_request: _Element) -> None:
    token = f'<t:Token xmlns:t="urn:t">{include("cid:missing@peer")}</t:Token>'
    body = related(root_part(envelope(retrieve_answer(), token)))
    assert "lacks" in (await refusal(client, retrieve_request, http(body, RELATED))).detail


async def test_simple_soap_with_inline_base64_answers_an_mtom_request(
    client: SoapClient, retrieve_request: _Element
) -> None:
    text = "\r\n  " + base64.encodebytes(CONTENT * 9).decode() + "  "
    answer = http(envelope(retrieve_answer(text)).encode(), "application/soap+xml;charset=utf-8")
    assert await inline(client, retrieve_request, answer) == [CONTENT * 9]


async def test_inline_and_xop_documents_mix(client: SoapClient, retrieve_request: _Element) -> None:
    text = base64.b64encode(b"inline").decode()
    body = related(
        root_part(envelope(retrieve_answer(text, include("cid:doc@peer")))), document_part(CONTENT)
    )
    assert await inline(client, retrieve_request, http(body, RELATED)) == [b"inline", CONTENT]


async def test_inline_base64_above_10_mb(client: SoapClient, retrieve_request: _Element) -> None:
    content = CONTENT * 400_000
    answer = http(
        envelope(retrieve_answer(base64.b64encode(content).decode())).encode(), "application/soap+xml"
    )
    assert len(answer) > 10_000_000
    assert await inline(client, retrieve_request, answer) == [content]


async def test_own_limit_bounds_the_envelope(client: SoapClient, retrieve_request: _Element) -> None:
    answer = http(envelope(retrieve_answer("A" * 20_000)).encode(), "application/soap+xml")
    async with raw_peer(answering(answer)) as peer:
        small = Peer("repo", peer.url, max_answer_bytes=10_000)
        with pytest.raises(PeerProtocolError, match="larger than 10000"):
            async with client.open(small, "ITI-43", retrieve_request):
                pass


async def test_own_limit_bounds_the_attachments_of_a_whole_answer_only(
    client: SoapClient, retrieve_request: _Element
) -> None:
    body = mtom("cid:doc@peer", document_part(b"x" * 50_000))
    async with raw_peer(answering(http(body, RELATED))) as peer:
        small = Peer("repo", peer.url, max_answer_bytes=10_000)
        with pytest.raises(PeerProtocolError, match="larger than 10000"):
            await client.call(small, "ITI-43", retrieve_request)
        async with client.open(small, "ITI-43", retrieve_request) as reply:
            assert sum([len(chunk) async for part in reply.parts() async for chunk in part]) == 50_000


async def test_root_part_charset_is_obeyed(client: SoapClient, retrieve_request: _Element) -> None:
    xml = envelope(retrieve_answer()).replace("2.999.1", "é").replace("</RetrieveD", "<!-- é --></RetrieveD")
    for charset, encoded in (("ISO-8859-1", xml.encode("latin-1")), ("utf-16", xml.encode("utf-16"))):
        root = part(
            encoded, f"Content-Type: application/xop+xml; charset={charset}", "Content-ID: <root@peer>"
        )
        async with opened(client, retrieve_request, http(related(root), RELATED)) as reply:
            assert reply.body.tag == f"{{{NS_XDS}}}RetrieveDocumentSetResponse"


async def test_document_text_is_not_transcoded(client: SoapClient, retrieve_request: _Element) -> None:
    latin = "é".encode("latin-1")
    one = part(latin, "Content-Type: text/plain; charset=utf-8", "Content-ID: <doc@peer>")
    assert await documents(client, retrieve_request, http(mtom("cid:doc@peer", one), RELATED)) == {
        "doc@peer": latin
    }


async def test_preamble_before_the_first_delimiter(client: SoapClient, retrieve_request: _Element) -> None:
    answer = http(b"This is a multi-part message.\r\n" + mtom(), RELATED)
    assert await documents(client, retrieve_request, answer) == {"doc@peer": CONTENT}


async def test_lines_that_end_in_lf_only_are_refused(client: SoapClient, retrieve_request: _Element) -> None:
    error = await refusal(client, retrieve_request, http(mtom().replace(b"\r\n", b"\n"), RELATED))
    assert isinstance(error, PeerProtocolError)


async def test_gzip_answer(client: SoapClient, retrieve_request: _Element) -> None:
    answer = http(gzip.compress(mtom()), RELATED, "200 OK", "Content-Encoding: gzip")
    assert await documents(client, retrieve_request, answer) == {"doc@peer": CONTENT}


async def test_broken_gzip_is_a_protocol_error(client: SoapClient, retrieve_request: _Element) -> None:
    answer = http(mtom(), RELATED, "200 OK", "Content-Encoding: gzip")
    assert isinstance(await refusal(client, retrieve_request, answer), PeerProtocolError)


async def test_gzip_cut_short_is_an_error(client: SoapClient, retrieve_request: _Element) -> None:
    answer = http(gzip.compress(mtom())[:-40], RELATED, "200 OK", "Content-Encoding: gzip")
    assert isinstance(await refusal(client, retrieve_request, answer), PeerProtocolError)


async def test_chunked_answer(client: SoapClient, retrieve_request: _Element) -> None:
    answer = http(mtom(), RELATED, chunked=True)
    assert await documents(client, retrieve_request, answer) == {"doc@peer": CONTENT}


async def test_interim_100_continue_before_the_answer(client: SoapClient, retrieve_request: _Element) -> None:
    answer = b"HTTP/1.1 100 Continue\r\n\r\n" + http(mtom(), RELATED)
    assert await documents(client, retrieve_request, answer) == {"doc@peer": CONTENT}


FAULT = (
    f'<S:Fault xmlns:S="{NS_SOAP12}" xmlns:w="{NS_WSA}"><S:Code><S:Value>S:Sender</S:Value><S:Subcode>'
    "<S:Value>w:MessageAddressingHeaderRequired</S:Value></S:Subcode></S:Code>"
    '<S:Reason><S:Text xml:lang="de">Kopfzeile fehlt</S:Text><S:Text xml:lang="en">value 4711 is bad</S:Text>'
    "</S:Reason></S:Fault>"
)


@pytest.mark.parametrize("status", ["200 OK", "400 Bad Request", "500 Internal Server Error"])
@pytest.mark.parametrize("packaged", [True, False])
async def test_fault_in_every_packaging_and_http_status(
    client: SoapClient, retrieve_request: _Element, status: str, packaged: bool
) -> None:
    xml = envelope(FAULT)
    answer = (
        http(related(root_part(xml)), RELATED, status)
        if packaged
        else http(xml.encode(), "application/soap+xml", status)
    )
    error = await refusal(client, retrieve_request, answer)
    assert isinstance(error, PeerFault)
    assert (error.code, error.subcodes, error.reason) == (
        "Sender",
        ("MessageAddressingHeaderRequired",),
        "value 4711 is bad",
    )
    assert "4711" not in str(error)


async def test_failure_as_simple_soap_with_http_500_is_an_answer(
    client: SoapClient, retrieve_request: _Element
) -> None:
    answer = http(envelope(retrieve_answer()).encode(), "application/soap+xml", "500 Internal Server Error")
    async with opened(client, retrieve_request, answer) as reply:
        assert reply.body.tag == f"{{{NS_XDS}}}RetrieveDocumentSetResponse"


@pytest.mark.parametrize(
    "kind", ["text/xml", "application/xml", None, "application/xop+xml", "APPLICATION/SOAP+XML"]
)
async def test_soap_under_other_xml_media_types(
    client: SoapClient, retrieve_request: _Element, kind: str | None
) -> None:
    async with opened(client, retrieve_request, http(envelope(retrieve_answer()).encode(), kind)) as reply:
        assert reply.body.tag == f"{{{NS_XDS}}}RetrieveDocumentSetResponse"


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html><body>Login</body></html>", "text/html"),
        (b"<html xmlns='http://www.w3.org/1999/xhtml'/>", "application/xml"),
        (b"oops", "application/soap+xml"),
        (b"", "application/soap+xml"),
        (envelope(retrieve_answer()).encode()[:-20], "application/soap+xml"),
        (b"<!DOCTYPE a>" + envelope(retrieve_answer()).encode(), "application/soap+xml"),
        (
            envelope(retrieve_answer())
            .replace(NS_SOAP12, "http://schemas.xmlsoap.org/soap/envelope/")
            .encode(),
            "text/xml",
        ),
        (envelope("").encode(), "application/soap+xml"),
        (envelope(retrieve_answer() * 2).encode(), "application/soap+xml"),
        (envelope(f'<RegistryResponse xmlns="{NS_XDS}"/>').encode(), "application/soap+xml"),
        (mtom()[:-30], RELATED),
        (mtom(), "multipart/related"),
        (related(document_part(b"<html/>")).replace(b"text/plain", b"text/html"), RELATED),
        (mtom(), "multipart/mixed; boundary=b1"),
        (b"{}", "application/json"),
    ],
)
async def test_an_answer_that_is_no_answer_is_a_protocol_error(
    client: SoapClient, retrieve_request: _Element, body: bytes, kind: str
) -> None:
    error = await refusal(client, retrieve_request, http(body, kind))
    assert type(error) is PeerProtocolError
    assert not error.outcome_known


async def test_text_beside_the_body_element_is_ignored(
    client: SoapClient, retrieve_request: _Element
) -> None:
    async with opened(
        client,
        retrieve_request,
        http(envelope("response" + retrieve_answer() + "\n").encode(), "application/soap+xml"),
    ) as reply:
        assert reply.body.tag == f"{{{NS_XDS}}}RetrieveDocumentSetResponse"


async def test_an_answer_to_another_message_is_refused(
    client: SoapClient, retrieve_request: _Element
) -> None:
    xml = envelope(retrieve_answer(), "<wsa:RelatesTo>urn:uuid:0</wsa:RelatesTo>")
    error = await refusal(client, retrieve_request, http(xml.encode(), "application/soap+xml"))
    assert "RelatesTo" in error.detail


async def test_a_wrong_response_action_is_tolerated(client: SoapClient, retrieve_request: _Element) -> None:
    def answer(request: HttpRequest) -> bytes:
        headers = f"<wsa:Action>urn:wrong </wsa:Action><wsa:RelatesTo> {request.message_id} </wsa:RelatesTo>"
        return http(envelope(retrieve_answer(), headers).encode(), "application/soap+xml")

    async with opened(client, retrieve_request, answer) as reply:
        assert reply.body.tag == f"{{{NS_XDS}}}RetrieveDocumentSetResponse"


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"]
)
async def test_redirects_are_never_followed(
    client: SoapClient, retrieve_request: _Element, status: str
) -> None:
    async with raw_peer(answering(http(mtom(), RELATED))) as elsewhere:
        error = await refusal(client, retrieve_request, http(b"", None, status, f"Location: {elsewhere.url}"))
        assert isinstance(error, PeerProtocolError)
        assert elsewhere.requests == []


async def test_an_answer_promised_for_later_is_a_protocol_error(
    client: SoapClient, retrieve_request: _Element
) -> None:
    assert "202" in (await refusal(client, retrieve_request, http(b"", None, "202 Accepted"))).detail


async def test_a_connection_cut_in_the_middle_of_the_answer(
    client: SoapClient, retrieve_request: _Element
) -> None:
    async def respond(request: HttpRequest, writer: asyncio.StreamWriter) -> None:
        writer.write(http(mtom(), RELATED)[:-25])
        await writer.drain()
        writer.close()

    async with raw_peer(respond) as peer:
        with pytest.raises(PeerDisconnected) as caught:
            async with client.open(Peer("repo", peer.url), "ITI-43", retrieve_request) as reply:
                async for one in reply.parts():
                    async for _ in one:
                        pass
    assert not caught.value.outcome_known


async def test_what_is_not_http_is_a_protocol_error(client: SoapClient, retrieve_request: _Element) -> None:
    error = await refusal(client, retrieve_request, b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    assert isinstance(error, PeerProtocolError)


async def sent(client: SoapClient, transaction: str, body: str, *attachments: Attachment) -> HttpRequest:
    async with raw_peer(answering(http(b"", "text/plain"))) as peer:
        with pytest.raises(PeerProtocolError):
            await client.call(
                Peer("repo", peer.url), transaction, etree.fromstring(body), attachments=attachments
            )
        return peer.requests[0]


async def test_request_headers_are_those_of_ihe(client: SoapClient, retrieve_request: _Element) -> None:
    async with raw_peer(answering(http(mtom(), RELATED))) as peer:
        async with client.open(Peer("repo", peer.url), "ITI-43", retrieve_request):
            pass
        request = peer.requests[0]
        root = etree.fromstring(
            request.body[request.body.index(b"<?xml") : request.body.index(b"</s:Envelope>") + 13]
        )
        header = root[0]
        names = [etree.QName(block).localname for block in header]
        assert names == ["Action", "MessageID", "ReplyTo", "To"]
        must = f"{{{NS_SOAP12}}}mustUnderstand"
        assert [block.get(must) for block in header] == ["1", None, None, None]
        assert header[0].text == "urn:ihe:iti:2007:RetrieveDocumentSet"
        assert re.fullmatch(r"urn:uuid:[0-9a-f-]{36}", header[1].text or "")
        assert header[2][0].text == f"{NS_WSA}/anonymous"
        assert header[3].text == peer.url
        assert request.header("SOAPAction") is None


async def test_retrieve_request_is_mtom_even_without_attachment(client: SoapClient) -> None:
    request = await sent(client, "ITI-43", f'<RetrieveDocumentSetRequest xmlns="{NS_XDS}"/>')
    kind = request.header("Content-Type") or ""
    found = re.fullmatch(
        r'multipart/related; type="application/xop\+xml"; start="<(.+)>"; start-info="application/soap\+xml"; '
        r'boundary="(.+)"; action="urn:ihe:iti:2007:RetrieveDocumentSet"',
        kind,
    )
    assert found
    assert request.body.startswith(
        f'--{found[2]}\r\nContent-Type: application/xop+xml; charset=UTF-8; type="application/soap+xml"\r\n'
        f"Content-Transfer-Encoding: binary\r\nContent-ID: <{found[1]}>\r\n\r\n<?xml ".encode()
    )
    assert request.body.endswith(f"\r\n--{found[2]}--\r\n".encode())
    assert request.header("Content-Length") == str(len(request.body))


async def test_query_request_is_simple_soap(client: SoapClient) -> None:
    request = await sent(client, "ITI-18", '<a xmlns="urn:a"/>')
    assert request.header("Content-Type") == (
        'application/soap+xml; charset=UTF-8; action="urn:ihe:iti:2007:RegistryStoredQuery"'
    )


async def test_content_length_is_sent_when_all_sizes_are_known_else_chunks(client: SoapClient) -> None:
    async def stream() -> AsyncIterator[bytes]:
        yield b"12"
        yield b"345"

    known = [Attachment("a@x", "text/plain", 5, stream), Attachment("b@x", "text/plain", None, b"\r\n")]
    request = await sent(client, "ITI-41", '<a xmlns="urn:a"/>', *known)
    assert request.header("Content-Length") == str(len(request.body))
    assert b"Content-ID: <a@x>\r\n\r\n12345\r\n--" in request.body
    assert b"Content-ID: <b@x>\r\n\r\n\r\n\r\n--" in request.body
    request = await sent(
        client, "ITI-41", '<a xmlns="urn:a"/>', Attachment("a@x", "text/plain", None, stream)
    )
    assert request.header("Transfer-Encoding") == "chunked"
    assert b"Content-ID: <a@x>\r\n\r\n12345\r\n--" in request.body


async def test_a_mime_type_cannot_break_the_framing(client: SoapClient) -> None:
    bad = Attachment("a@x", "text/plain\r\nX-Injected: 1\r\n\r\n", None, b"x")
    request = await sent(client, "ITI-41", '<a xmlns="urn:a"/>', bad)
    assert b"X-Injected" not in request.body
    assert b"Content-Type: application/octet-stream\r\n" in request.body


async def test_connections_are_used_again(client: SoapClient, retrieve_request: _Element) -> None:
    async with raw_peer(answering(http(mtom(), RELATED))) as peer:
        for _ in range(3):
            await client.call(Peer("repo", peer.url), "ITI-43", retrieve_request)
        for _ in range(3):
            async with client.open(Peer("repo", peer.url), "ITI-43", retrieve_request) as reply:
                async for one in reply.parts():
                    async for _ in one:
                        pass
                    break
        assert_one_connection(peer)


def assert_one_connection(peer: RawPeer) -> None:
    assert len(peer.requests) == 6
    assert peer.connections == 1
