"""What peers, documents and clients say gets into no header, no cookie and no log line of the gateway."""

import asyncio
import re
from email import message_from_bytes

import aiohttp
import pytest
import pytest_asyncio
from lxml import etree

from gateway.demo.bundles import provide_bundle
from tests.dicom.files import EXPLICIT_LE
from tests.system.documents import a_document, a_patient
from tests.system.imaging import published_study
from tests.system.stack import running_stack

MARK = "MARK-of-a-peer"
BREAK = f"\r\nX-Injected: {MARK}\r\nSet-Cookie: a={MARK}\r\n\r\n<script>"
RS = "urn:oasis:names:tc:ebxml-regrep:xsd:rs:3.0"
RIM = "urn:oasis:names:tc:ebxml-regrep:xsd:rim:3.0"


class Hostile:
    """Passes what the domain answers through, with headers and texts of its own."""

    def __init__(self, stack, change):
        self.stack, self.change = stack, change
        self.cookies = []
        stack.interfere = self

    async def __call__(self, request):
        if "X-Passed" in request.headers:
            return None
        self.cookies.append(request.headers.get("Cookie"))
        body = await request.read()
        headers = {"Content-Type": request.headers.get("Content-Type", ""), "X-Passed": "1"}
        if "Accept" in request.headers:
            headers["Accept"] = request.headers["Accept"]
        url = f"http://{request.host}{request.path_qs}"
        async with self.stack.session.request(request.method, url, data=body, headers=headers) as answer:
            content, status, kind = await answer.read(), answer.status, answer.headers["Content-Type"]
        return aiohttp.web.Response(
            status=status,
            body=self.change(content),
            headers={
                "Content-Type": kind,
                "Set-Cookie": f"session={MARK}; Path=/",
                "WWW-Authenticate": f'Basic realm="{MARK}"',
                "X-Injected": MARK,
                "Server": MARK,
                "Access-Control-Allow-Origin": "*",
                "Content-Disposition": f'attachment; filename="{MARK}"',
                "X-Request-Id": MARK,
                "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
                "Link": f"<http://{MARK}/>; rel=next",
            },
        )


def clean(answer):
    assert MARK not in str(dict(answer.headers)), answer.headers
    assert not {"Set-Cookie", "X-Injected", "Access-Control-Allow-Origin", "Link"} & set(answer.headers)
    assert not {"\r", "\n", "\0"} & set("".join(answer.headers.values()))
    assert answer.headers["Server"] == "mhd-xds-gateway", "no versions that attacks could be chosen by"


def entries(change):
    """Changes each ExtrinsicObject of an answer with ITI-18 metadata."""

    def changed(content):
        found = re.search(rb"<(\w+):Envelope.*</\1:Envelope>", content, re.DOTALL)
        root = etree.fromstring(found[0])
        for entry in root.iter(f"{{{RIM}}}ExtrinsicObject"):
            change(entry)
        return content.replace(found[0], etree.tostring(root))

    return changed


def slot(entry, name, value):
    for found in entry.iter(f"{{{RIM}}}Slot"):
        if found.get("name") == name:
            found.find(f".//{{{RIM}}}Value").text = value


def warned(content):
    root = etree.fromstring(content)
    for answer in root.iter("{urn:oasis:names:tc:ebxml-regrep:xsd:query:3.0}AdhocQueryResponse"):
        answer.set("status", "urn:ihe:iti:2007:ResponseStatusType:PartialSuccess")
        errors = etree.Element(f"{{{RS}}}RegistryErrorList")
        etree.SubElement(
            errors,
            f"{{{RS}}}RegistryError",
            errorCode="XDSTooManyResults",
            codeContext=f'all "of" it \\{BREAK}',
            severity="urn:oasis:names:tc:ebxml-regrep:ErrorSeverityType:Warning",
            location=BREAK,
        )
        answer.insert(0, errors)
    return etree.tostring(root)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda entry: entry.set("mimeType", f"text/plain{BREAK}"), id="mimeType"),
        pytest.param(lambda entry: entry.set("mimeType", f"text/plain; name={MARK}\0"), id="NUL"),
        pytest.param(lambda entry: slot(entry, "hash", f'"{BREAK}'), id="hash"),
        pytest.param(lambda entry: slot(entry, "URI", f"file{BREAK}.txt"), id="URI"),
        pytest.param(lambda entry: slot(entry, "repositoryUniqueId", BREAK), id="repository"),
    ],
)
async def test_what_a_registry_says_of_a_document_is_in_no_header(tmp_path, change):
    patient = a_patient()
    async with running_stack(tmp_path) as stack:
        # longer than what is compared with the hash before the answer begins
        document = a_document(content=b"x" * (1 << 20))
        assert (await stack.publish(provide_bundle([document], patient=patient)))[0] == 200

        def without_nul(content):
            try:
                return entries(change)(content)
            except ValueError:  # lxml writes none
                return content.replace(
                    b'mimeType="text/plain', f'mimeType="text/plain; name={MARK}&#1;'.encode()
                )

        hostile = Hostile(stack, without_nul)
        query = {"patient.identifier": patient.token, "status": "current"}
        async with stack.session.get(f"{stack.base_url}/DocumentReference", params=query) as answer:
            clean(answer)
            found = await answer.json(content_type=None)
        for entry in found.get("entry", ()):
            reference = entry["resource"]
            if reference["resourceType"] != "DocumentReference":
                continue
            for url in (
                reference["content"][0]["attachment"]["url"],
                f"{stack.base_url}/DocumentReference/{reference['id']}",
            ):
                async with stack.session.get(url) as answer:
                    clean(answer)
                    assert answer.status != 500, await answer.text()
        assert hostile.cookies and set(hostile.cookies) == {None}, "no cookie is kept"


async def test_the_words_of_a_registry_break_no_warning_of_qido(tmp_path):
    async with published_study(tmp_path, "headers of others") as published:
        Hostile(
            published.stack, lambda content: warned(content) if b"AdhocQueryResponse" in content else content
        )
        url = published.url("studies")
        async with published.stack.session.get(url, headers={"Accept": "application/dicom+json"}) as answer:
            assert answer.status == 200, await answer.text()
            for name in ("Set-Cookie", "X-Injected"):
                assert name not in answer.headers
            warnings = answer.headers.getall("Warning", [])
            assert all(re.fullmatch(r'299 \S+ "[^"\\]*"', text) for text in warnings), warnings
        of = published.content.patient
        query = f"dicomweb/studies?PatientID={of.id}&IssuerOfPatientID={of.authority}"
        async with published.stack.session.get(f"{published.stack.base_url}/{query}") as answer:
            assert answer.status == 200, await answer.text()
            warnings = answer.headers.getall("Warning", [])
            assert any(MARK in text for text in warnings), "it is said, in one line"
            assert all(re.fullmatch(r'299 \S+ "[^"\\]*"', text) for text in warnings), warnings


async def test_what_a_file_calls_its_transfer_syntax_breaks_no_part(tmp_path):
    async with published_study(tmp_path, "syntax of others") as published:
        size = len(EXPLICIT_LE) + len(EXPLICIT_LE) % 2
        evil = b"1\r\nX-Injected: 1\r\n\r\n"[:size].ljust(size, b"\0")

        def change(content):
            return content.replace(EXPLICIT_LE.encode().ljust(size, b"\0"), evil)

        Hostile(published.stack, change)
        accept = 'multipart/related; type="application/dicom"; transfer-syntax=*'
        async with published.stack.session.get(published.url(), headers={"Accept": accept}) as answer:
            body, kind = await answer.read(), answer.headers["Content-Type"]
            assert answer.status in {200, 206}
        message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
        assert evil in body, "the files themselves are what they are"
        parts = message.get_payload()
        assert parts
        for part in parts:
            assert "X-Injected" not in part and set(part.keys()) == {"Content-Type"}


@pytest.mark.parametrize(
    ("content_type", "active"),
    [
        ("text/html", True),
        ("text/xml", True),
        ("image/svg+xml", True),
        ("application/pdf", False),
        ("text/plain", False),
    ],
)
async def test_a_browser_runs_nothing_of_a_document(tmp_path, content_type, active):
    async with running_stack(tmp_path) as stack:
        patient = a_patient()
        document = a_document(content=b"<html><script>alert(1)</script></html>", content_type=content_type)
        assert (await stack.publish(provide_bundle([document], patient=patient)))[0] == 200
        (found,) = await stack.find(patient__identifier=patient.token, status="current")
        status, headers, content = await stack.download(found)
    assert (status, content) == (200, document.content)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers.get("Content-Security-Policy", "").startswith("sandbox;") == active


@pytest.mark.parametrize(
    "line",
    [
        b"X-Request-Id: a\rX-Injected: 1",
        b"X-Request-Id: a\0b",
        b"X-Request-Id: a\nSet-Cookie: a=1",
        b"traceparent: 00-\xff",
        b"X-Request-Id : a",
        b"\0: a",
        b"X-Request-Id: a\r\n X-Injected: 1",
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Host: other.example",
        b"Authorization: Bearer a\0",
        b"Accept: application/fhir+json\x0b",
        b'If-None-Match: "a\x01"',
        b"Prefer: return=representation\x7f",
    ],
)
async def test_odd_header_lines_are_refused_or_mean_nothing(small, line):
    host, port = small.base_url.removeprefix("http://").removesuffix("/fhir").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n" + line + b"\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 60)
    finally:
        writer.close()
    head = answer.partition(b"\r\n\r\n")[0]
    assert re.match(rb"HTTP/1\.[01] (200|400) ", head), head
    assert b"X-Injected" not in head and b"Set-Cookie" not in head
    assert b"other.example" not in answer, "own URLs are those of the settings"
    assert (await small.get("metadata"))[0] == 200


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def small(tmp_path_factory):
    async with running_stack(tmp_path_factory.mktemp("headers")) as stack:
        yield stack


test_odd_header_lines_are_refused_or_mean_nothing = pytest.mark.asyncio(loop_scope="module")(
    test_odd_header_lines_are_refused_or_mean_nothing
)
