"""What is small to send and large to read is refused by every listener, while others are answered."""

import asyncio
import gzip
import re
import zlib
from functools import lru_cache

import pytest
import pytest_asyncio

from gateway.clients.token_request import ClientKey
from tests.soap.wire import RELATED, envelope
from tests.system.stack import running_stack

MIB = 1 << 20
JSON, XML, FORM = "application/fhir+json", "application/fhir+xml", "application/x-www-form-urlencoded"
SOAP = "application/soap+xml"
SERVICES = {
    "/xca/gateway": "urn:ihe:iti:2007:CrossGatewayQuery",
    "/xca/patients": "urn:hl7-org:v3:PRPA_IN201305UV02:CrossGatewayPatientDiscovery",
    "/xca-i/imaging": "urn:ihe:rad:2011:CrossGatewayRetrieveImagingDocumentSet",
    "/xds/imaging": "urn:ihe:rad:2009:RetrieveImagingDocumentSet",
    "/xds/registry": "urn:ihe:iti:2007:RegistryStoredQuery",
    "/xds/repository": "urn:ihe:iti:2007:ProvideAndRegisterDocumentSet-b",
}
BODIES = ["/fhir", "/fhir/R5", "/fhir/DocumentReference", "/fhir/DocumentReference/$generate-metadata"]
FORMS = ["/fhir/List/_search", "/fhir/DocumentReference/_search", "/fhir/_search", "/fhir/Patient/_search"]
PAGES = ["/console/sign-in", "/console/sign-out"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory):
    async with running_stack(
        tmp_path_factory.mktemp("bombs"),
        home_community_id="2.999.5",
        responding_gateway={"enabled": True},
        xds_server={"enabled": True, "max_request_bytes": 8 * MIB},
        imaging={"rad69_server": True},
        server={"max_bundle_bytes": 8 * MIB},
        console={"enabled": True},
    ) as running:
        yield running


@lru_cache
def bomb_of_blanks():
    """gzip of more than any listener reads."""
    packer = zlib.compressobj(9, wbits=16 + zlib.MAX_WBITS)
    pieces = [packer.compress(b" " * MIB) for _ in range(64)]
    return b"".join([*pieces, packer.flush()])


async def refused(stack, path, content, kind, **headers):
    """Status of an answer that is an error, in a body that quotes nothing; others are answered afterwards."""
    url = stack.base_url.removesuffix("/fhir") + path
    async with (
        asyncio.timeout(100),
        stack.session.post(url, data=content, headers={"Content-Type": kind, **headers}) as answer,
    ):
        body = await answer.read()
    assert 400 <= answer.status <= 501, (answer.status, body[:500])
    assert len(body) < 64 * 1024, "what is refused is not sent back"
    assert b"root:" not in body and b"Traceback" not in body
    assert (await stack.get("metadata"))[0] == 200
    return answer.status


def soap(action, inside="<a/>", before=""):
    headers = f"<wsa:Action>{action}</wsa:Action><wsa:MessageID>urn:uuid:1</wsa:MessageID>"
    return f'<?xml version="1.0"?>{before}{envelope(inside, headers=headers)}'.encode()


ENTITY = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
LAUGHS = (
    '<!DOCTYPE a [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefgh", "bcdefghx", strict=True))
    + "]>"
)
XML_BOMBS = {
    "external entity": (ENTITY, "<a>&x;</a>"),
    "billion laughs": (LAUGHS, "<a>&x;</a>"),
    "parameter entity": ('<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/p">%p;]>', "<a/>"),
    "external DTD": ('<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">', "<a/>"),
    "deep": ("", "<a>" * 100_000 + "</a>" * 100_000),
    "never closed": ("", "<a>" * 200_000),
    "attributes": ("", "<a " + " ".join(f'a{n}=""' for n in range(60_000)) + "/>"),
    "namespaces": ("", "<a " + " ".join(f'xmlns:n{n}="u"' for n in range(60_000)) + "/>"),
    "processing instructions": ("", "<?a?>" * 200_000 + "<a>"),
    "included": (
        "",
        '<a xmlns:i="http://www.w3.org/2001/XInclude"><i:include href="/etc/passwd" parse="text"/></a>',
    ),
}


@pytest.mark.parametrize("path", SERVICES)
@pytest.mark.parametrize("bomb", XML_BOMBS)
async def test_soap_services_refuse_xml_that_grows_or_reaches_out(stack, path, bomb):
    before, inside = XML_BOMBS[bomb]
    await refused(stack, path, soap(SERVICES[path], inside, before), SOAP)


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("bomb", XML_BOMBS)
async def test_fhir_refuses_xml_that_grows_or_reaches_out(stack, path, bomb):
    before, inside = XML_BOMBS[bomb]
    text = f'<?xml version="1.0"?>{before}<Bundle xmlns="http://hl7.org/fhir">{inside}</Bundle>'
    await refused(stack, path, text.encode(), XML)


JSON_BOMBS = {
    "deep lists": b"[" * 1_000_000,
    "deep objects": b'{"a":' * 400_000,
    "long number": b'{"resourceType":"Bundle","total":' + b"9" * 1_000_000 + b"}",
    "large number": b'{"resourceType":"Bundle","total":1e999999999}',
    "many keys": b'{"resourceType":"Bundle",' + b",".join(b'"k%d":1' % n for n in range(150_000)) + b"}",
    "same key": b'{"resourceType":"Bundle",' + b",".join([b'"id":"a"'] * 150_000) + b"}",
    "many entries": b'{"resourceType":"Bundle","type":"transaction","entry":[' + b"{}," * 300_000 + b"{}]}",
    "surrogates": b'{"resourceType":"Bundle","id":"' + b"\\ud800" * 100_000 + b'"}',
    "not UTF-8": b'{"resourceType":"Bundle","id":"' + b"\xff" * 100_000 + b'"}',
}


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("bomb", JSON_BOMBS)
async def test_fhir_refuses_json_that_grows(stack, path, bomb):
    await refused(stack, path, JSON_BOMBS[bomb], JSON)


@pytest.mark.parametrize(
    ("path", "kind"),
    [*((path, JSON) for path in BODIES), ("/fhir", XML), *((path, FORM) for path in FORMS + PAGES)]
    + [(path, SOAP) for path in SERVICES],
)
async def test_what_unpacks_to_more_than_may_be_sent_is_refused(stack, path, kind):
    bomb = bomb_of_blanks()
    assert len(bomb) < MIB
    assert await refused(stack, path, bomb, kind, **{"Content-Encoding": "gzip"}) in {400, 413, 415, 500}
    for name, content in (
        ("gzip", gzip.compress(bomb)),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}"))),
        ("gzip", b"\x1f\x8b" + b"\0" * 100),
        ("br", b"{}"),
        ("deflate", zlib.compress(b" " * MIB)),
    ):
        await refused(stack, path, content, kind, **{"Content-Encoding": name})


@pytest.mark.parametrize("path", FORMS + PAGES)
async def test_forms_without_end_are_refused(stack, path):
    many = "&".join(f"a{n}=1" for n in range(20_000))
    for form in (many, "a=" + "%41" * 400_000, "&" * 300_000, "=" * 300_000):
        await refused(stack, path, form, FORM)


def part(head=b"", content=b""):
    return b"\r\n--b1\r\n" + head + b"\r\n\r\n" + content


@pytest.mark.parametrize("path", ["/xds/repository", "/xca-i/imaging"])
async def test_messages_with_parts_without_end_are_refused(stack, path):
    root = part(b"Content-Type: application/xop+xml", soap(SERVICES[path]))
    end = b"\r\n--b1--\r\n"
    for content in (
        root + part(b"Content-ID: <a>") * 30_000 + end,
        root + part(b"X-Long: " + b"a" * 200_000) + end,
        root + part(b"\r\n".join(b"X-%d: a" % n for n in range(5_000))) + end,
        b"preamble " * 100_000 + root + end,
        root + part(b"Content-ID: <a>\r\nContent-Transfer-Encoding: base64", b"!" * 100_000) + end,
        part(b"Content-Type: application/xop+xml", b" " * (20 * MIB)) + end,
        root[:-20],
    ):
        await refused(stack, path, content, RELATED)
    await refused(stack, path, root + end, RELATED.replace('"b1"', f'"{"b" * 1000}"'))


@pytest.mark.asyncio(loop_scope="function")
async def test_the_endpoints_of_tokens_bound_their_forms_too(tmp_path):
    _, private = ClientKey.made()
    keys = {"keys": [{name: private[name] for name in private if name != "d"}]}
    server = {"clients": {"c": {"jwks": keys, "scopes": ["system/*.rs"]}}}
    async with running_stack(tmp_path, security={"access": None, "authorisation_server": server}) as stack:
        for path in ("/fhir/auth/token", "/fhir/auth/introspect"):
            for form in (
                "&".join(f"a{n}=1" for n in range(3_000)),
                "a=" + "%41" * 400_000,
                "token=" + "a." * 15_000,
            ):
                assert await refused(stack, path, form, FORM) in {400, 401, 413}
            packed = {"Content-Encoding": "gzip"}
            assert await refused(stack, path, bomb_of_blanks(), FORM, **packed) in {400, 413, 415}
            grown = gzip.compress(b"token=" + b"a" * MIB)
            assert await refused(stack, path, grown, FORM, **packed) in {400, 401, 413, 415}


async def test_names_and_lines_of_a_request_are_bounded(stack):
    host, port = stack.base_url.removeprefix("http://").removesuffix("/fhir").split(":")
    for request in (
        b"GET /fhir/" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n" + b"X-Many: a\r\n" * 50_000 + b"\r\n",
        b"A" * 100_000 + b" /fhir/metadata HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /fhir/metadata HTTP/9.9\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        reader, writer = await asyncio.open_connection(host, int(port))
        try:
            writer.write(request)
            answer = await asyncio.wait_for(reader.read(4096), 60)
        except ConnectionError:
            answer = b""
        finally:
            writer.close()
        assert not answer or re.match(rb"HTTP/1\.[01] [45]\d\d ", answer), (request[:40], answer[:100])
        assert (await stack.get("metadata"))[0] == 200
