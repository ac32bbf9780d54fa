"""Check of FHIR XML and gzip: what a client that speaks no JSON may rely on (ITI TF-2 Appendix Z.6).

The Bundle is written by fhir.resources, an XML writer that the gateway does not use.
"""

import gzip
from dataclasses import replace
from typing import Any

from fhir.resources.R4B.bundle import Bundle
from lxml import etree
from lxml.etree import _Element

from gateway.demo.bundles import provide_bundle
from gateway.demo.outside_client import Answer, MismatchError, OutsideClient, expect, require
from gateway.demo.samples import IdSource
from gateway.demo.walk import Walk
from gateway.demo.walk_publish import Samples

FHIR_XML = "application/fhir+xml"
IN_XML = "publish in XML"

_NAMESPACES = {"f": "http://hl7.org/fhir"}


class FormatWalk:
    """Publish, find, retrieve and fail in XML, with a patient of its own."""

    def __init__(self, client: OutsideClient, samples: Samples) -> None:
        self._client = client
        patient = samples.content.patient
        self._patient = replace(patient, id=f"{patient.id}-XML")
        self._document = replace(
            samples.note, unique_id=IdSource(self._patient.id).oid(2), title='Note in XML: <"&\u00e9>'
        )

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step(IN_XML, self._publish)
        await walk.step("the same XML again, in gzip, gets the same answer", self._repeat, needs=(IN_XML,))
        await walk.step("find in XML what JSON finds", self._find, needs=(IN_XML,))
        await walk.step("retrieve what an answer in XML refers to", self._retrieve, needs=(IN_XML,))
        await walk.step("an error of an XML client comes in XML", self._error)
        await walk.step("the CapabilityStatement in XML, in gzip", self._compressed)

    def _bundle(self) -> dict[str, Any]:
        return provide_bundle([self._document], patient=self._patient)

    async def _send(self, body: bytes, **headers: str) -> Answer:
        named = {"Content-Type": FHIR_XML, "Accept": FHIR_XML, **headers}
        return await self._client.request("POST", self._client.base_url, headers=named, body=body)

    async def _publish(self) -> None:
        bundle = self._bundle()
        answer = await self._send(_in_xml(bundle))
        root = _read(answer.expect_status(200), "Bundle")
        expect("Bundle.type", ["transaction-response"], _values(root, "f:type"))
        locations = _values(root, "f:entry/f:response/f:location")
        expect("number of Locations", len(bundle["entry"]), len(locations))

    async def _repeat(self) -> None:
        body = _in_xml(self._bundle())
        first = await self._send(body)
        again = await self._send(gzip.compress(body), **{"Content-Encoding": "gzip"})
        expect("answer to the repeat", first.expect_status(200).body, again.expect_status(200).body)

    async def _search(self) -> _Element:
        parameters = [("patient.identifier", self._patient.token), ("status", "current"), ("_format", "xml")]
        root = _read((await self._client.search_answer(parameters)).expect_status(200), "Bundle")
        expect("Bundle.total", ["1"], _values(root, "f:total"))
        return root

    async def _find(self) -> None:
        root = await self._search()
        parameters = [("patient.identifier", self._patient.token), ("status", "current")]
        (document,) = (await self._client.search(parameters)).matches
        shown = "f:entry/f:resource/f:DocumentReference"
        attachment = document["content"][0]["attachment"]
        for path, wanted in (
            ("f:id", document["id"]),
            ("f:masterIdentifier/f:value", self._document.identifier["value"]),
            ("f:content/f:attachment/f:title", self._document.title),
            ("f:content/f:attachment/f:hash", attachment["hash"]),
            ("f:content/f:attachment/f:url", attachment["url"]),
        ):
            expect(path.replace("f:", ""), [wanted], _values(root, f"{shown}/{path}"))

    async def _retrieve(self) -> None:
        (url,) = _values(await self._search(), "//f:attachment/f:url")
        answer = await self._client.request("GET", url)
        expect("bytes of the document", self._document.content, answer.expect_status(200).body)

    async def _error(self) -> None:
        answer = await self._send(
            b'<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><oops/></Bundle>'
        )
        root = _read(answer.expect_status(400), "OperationOutcome")
        require("an issue that names Bundle.oops", "Bundle.oops" in _values(root, "f:issue/f:expression"))

    async def _compressed(self) -> None:
        headers = {"Accept": FHIR_XML, "Accept-Encoding": "gzip"}
        answer = await self._client.request("GET", f"{self._client.base_url}/metadata", headers=headers)
        expect("Content-Encoding", "gzip", answer.headers.get("Content-Encoding"))
        root = _read(answer.expect_status(200), "CapabilityStatement")
        require("format lists XML", FHIR_XML in _values(root, "f:format"))


def _in_xml(bundle: dict[str, Any]) -> bytes:
    written: str | bytes = Bundle.model_validate(bundle).model_dump_xml()
    return written.encode() if isinstance(written, str) else written


def _read(answer: Answer, kind: str) -> _Element:
    expect("Content-Type", FHIR_XML, answer.media_type)
    try:
        root = etree.fromstring(answer.body)
    except etree.XMLSyntaxError:
        raise MismatchError("the body is not XML") from None
    expect("resource", f"{{{_NAMESPACES['f']}}}{kind}", root.tag)
    return root


def _values(root: _Element, path: str) -> list[str]:
    found = root.xpath(path, namespaces=_NAMESPACES)
    elements = found if isinstance(found, list) else []
    return [str(element.get("value")) for element in elements if isinstance(element, _Element)]
