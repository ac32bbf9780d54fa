"""Check of imaging: from the manifest of a study to its images, by FHIR, QIDO-RS, WADO-RS and RAD-69
(HL7 Europe Imaging Report; DICOM PS3.18 10.4 and 10.6; IHE RAD TF 4.69).

The images lie at two locations, one that speaks RAD-69 and one that speaks WADO-RS, which the client is not
told.
"""

import json
import re
import uuid
from collections.abc import Iterable
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urljoin
from xml.sax.saxutils import escape, quoteattr

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import SampleContent
from gateway.demo.outside_client import Answer, OutsideClient, Parameters, Resource, expect, require
from gateway.demo.walk import Step, Walk
from gateway.demo.walk_publish import response_entries

PUBLISHED = "publish the manifest of a study"
FOUND = "an imaging study is found by its patient"
_ANY_SYNTAX = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_DICOM_JSON = "application/dicom+json"
_STUDY_UID, _SOP_UID, _RETRIEVE_URL = "0020000D", "00080018", "00081190"
_ACTION = "urn:ihe:rad:2009:RetrieveImagingDocumentSet"
_SUCCESS = "urn:oasis:names:tc:ebxml-regrep:ResponseStatusType:Success"


class ImageWalk:
    """Steps with a patient and a study of their own."""

    def __init__(self, client: OutsideClient, content: SampleContent, folder: Path) -> None:
        """`folder` holds a folder for each location, where the images are put."""
        self._client = client
        self._content = content
        self._folder = folder
        self._study = content.images
        self._files = {image.sop_instance_uid: data for _, image, data in content.images.files()}
        self._addresses: dict[str, str] = {}
        self._locations: dict[str, str] = {}

    async def run(self, walk: Walk) -> None:
        """All steps."""
        await walk.step(PUBLISHED, self._publish)
        await walk.step("the manifest comes back byte for byte", self._manifest, needs=(PUBLISHED,))
        await walk.step(FOUND, self._find, needs=(PUBLISHED,))
        for name, matching, other in self._narrowed():
            step = self._narrow(matching, other)
            await walk.step(f"imaging studies are found by {name}", step, needs=(PUBLISHED,))
        await walk.step(
            "its endpoints give the images of both locations byte for byte", self._by_endpoint, needs=(FOUND,)
        )
        await walk.step("one address gives the whole study", self._whole, needs=(FOUND,))
        await walk.step("RAD-69 gives the same images", self._rad69, needs=(FOUND,))
        await walk.step("QIDO-RS finds study, series and instances", self._qido, needs=(PUBLISHED,))
        await walk.step("an altered image address gives 404", self._altered, needs=(FOUND,))
        await walk.step("no images of another patient are found", self._other_patient, needs=(PUBLISHED,))

    # --- documents and studies ------------------------------------------------------------------------------
    async def _publish(self) -> None:
        self._study.write(self._folder)
        bundle = provide_bundle([self._content.manifest], patient=self._content.patient)
        response_entries(await self._client.publish(bundle), bundle)

    async def _manifest(self) -> None:
        page = await self._client.search([*self._patient(), ("status", "current")])
        contents = [content["attachment"] for match in page.matches for content in match["content"]]
        (attachment,) = [a for a in contents if a["contentType"] == "application/dicom"]
        answer = await self._client.request("GET", attachment["url"])
        expect("bytes", self._content.manifest.content, answer.expect_status(200).body)

    async def _find(self) -> None:
        (found,) = await self._studies(())
        expect("numberOfSeries", len(self._study.series), found["numberOfSeries"])
        listed = {i["uid"] for series in found["series"] for i in series["instance"]}
        expect("instances", sorted(self._files), sorted(listed))
        for series in found["series"]:
            endpoint = await self._client.request(
                "GET", self._client.resolve(series["endpoint"][0]["reference"])
            )
            resource = endpoint.expect_status(200).json()
            self._addresses[series["uid"]] = resource["address"]
            self._locations[series["uid"]] = resource["extension"][0]["valueString"]
        expect("number of locations", 2, len(set(self._locations.values())))

    def _narrowed(self) -> Iterable[tuple[str, tuple[str, str], tuple[str, str]]]:
        study = self._study
        issuer = f"urn:oid:{study.accession_authority}"
        return (
            (
                "study UID",
                ("identifier", f"urn:dicom:uid|urn:oid:{study.study_instance_uid}"),
                ("identifier", "urn:dicom:uid|urn:oid:2.999.404"),
            ),
            (
                "accession number",
                ("basedon:identifier", f"{issuer}|{study.accession}"),
                ("basedon:identifier", f"{issuer}|404"),
            ),
            ("modality", ("modality", "CT"), ("modality", "US")),
            ("region", ("bodysite", "http://snomed.info/sct|51185008"), ("bodysite", "69536005")),
            ("time", ("started", "2024-03"), ("started", "lt2024-03")),
        )

    def _narrow(self, matching: tuple[str, str], other: tuple[str, str]) -> Step:
        async def step() -> None:
            expect("number of studies", 1, len(await self._studies((matching,))))
            expect("number of studies for another value", 0, len(await self._studies((other,))))

        return step

    async def _studies(self, more: Parameters) -> list[Resource]:
        page = await self._client.search([*self._patient(), *more], resource="ImagingStudy")
        return list(page.matches)

    def _patient(self) -> Parameters:
        return [("patient.identifier", self._content.patient.token)]

    # --- images ---------------------------------------------------------------------------------------------
    async def _by_endpoint(self) -> None:
        got: list[bytes] = []
        for uid, address in self._addresses.items():
            some = await self._images(f"{address}/studies/{self._study.study_instance_uid}/series/{uid}")
            (series,) = [s for s in self._study.series if s.series_instance_uid == uid]
            expect("number of images of a series", len(series.images), len(some))
            got += some
        self._same(got)

    async def _whole(self) -> None:
        address = next(iter(self._addresses.values()))
        self._same(await self._images(f"{address}/studies/{self._study.study_instance_uid}"))

    async def _images(self, url: str) -> list[bytes]:
        answer = await self._client.request("GET", url, headers={"Accept": _ANY_SYNTAX})
        return _parts(answer.expect_status(200))

    def _same(self, got: list[bytes]) -> None:
        expect("number of images", len(self._files), len(got))
        require("each image is byte for byte that of its source", sorted(got) == sorted(self._files.values()))

    async def _rad69(self) -> None:
        url = urljoin(self._client.base_url, "/xds/imaging")
        headers = {"Content-Type": f'application/soap+xml; charset=UTF-8; action="{_ACTION}"'}
        body = self._rad69_request(url).encode()
        answer = (await self._client.request("POST", url, headers=headers, body=body)).expect_status(200)
        envelope, *images = _parts(answer)
        expect("status", [_SUCCESS], re.findall(r'\bstatus="([^"]*)"', envelope.decode()))
        self._same(images)

    def _rad69_request(self, url: str) -> str:
        series = "".join(
            f"<r:SeriesRequest seriesInstanceUID={quoteattr(one.series_instance_uid)}>"
            + "".join(
                "<x:DocumentRequest>"
                f"<x:RepositoryUniqueId>{escape(self._locations[one.series_instance_uid])}"
                "</x:RepositoryUniqueId>"
                f"<x:DocumentUniqueId>{escape(image.sop_instance_uid)}</x:DocumentUniqueId>"
                "</x:DocumentRequest>"
                for image in one.images
            )
            + "</r:SeriesRequest>"
            for one in self._study.series
        )
        syntaxes = "".join(
            f"<r:TransferSyntaxUID>{escape(uid)}</r:TransferSyntaxUID>"
            for uid in sorted({one.transfer_syntax for one in self._study.series})
        )
        return (
            '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
            'xmlns:a="http://www.w3.org/2005/08/addressing"><s:Header>'
            f'<a:Action s:mustUnderstand="true">{_ACTION}</a:Action>'
            f"<a:MessageID>urn:uuid:{uuid.uuid4()}</a:MessageID><a:To>{escape(url)}</a:To></s:Header><s:Body>"
            '<r:RetrieveImagingDocumentSetRequest xmlns:r="urn:ihe:rad:xdsi-b:2009" '
            'xmlns:x="urn:ihe:iti:xds-b:2007">'
            f"<r:StudyRequest studyInstanceUID={quoteattr(self._study.study_instance_uid)}>{series}"
            f"</r:StudyRequest><r:TransferSyntaxUIDList>{syntaxes}</r:TransferSyntaxUIDList>"
            "</r:RetrieveImagingDocumentSetRequest></s:Body></s:Envelope>"
        )

    # --- DICOMweb searches ----------------------------------------------------------------------------------
    async def _qido(self) -> None:
        (study,) = await self._dicom_search("studies", StudyDate=f"{self._study.date}-")
        uid = _value(study, _STUDY_UID)
        expect("Study Instance UID", self._study.study_instance_uid, uid)
        self._same(await self._images(_value(study, _RETRIEVE_URL)))
        series = await self._dicom_search(f"studies/{uid}/series", Modality="CT")
        expect("CT series", [s.modality for s in self._study.series].count("CT"), len(series))
        instances = await self._dicom_search(f"studies/{uid}/instances")
        expect("instances", sorted(self._files), sorted(_value(i, _SOP_UID) for i in instances))

    async def _dicom_search(self, path: str, **keys: str) -> list[dict[str, Any]]:
        patient = self._content.patient
        query = urlencode({"PatientID": patient.id, "IssuerOfPatientID": patient.authority, **keys})
        url = f"{self._client.base_url}/dicomweb/{path}?{query}"
        answer = await self._client.request("GET", url, headers={"Accept": _DICOM_JSON})
        if answer.status == 204:
            return []
        expect("Content-Type", _DICOM_JSON, answer.expect_status(200).media_type)
        return list(json.loads(answer.body))

    async def _altered(self) -> None:
        address = next(iter(self._addresses.values()))
        altered = address[:-6] + ("AAAAAA" if not address.endswith("AAAAAA") else "BBBBBB")
        url = f"{altered}/studies/{self._study.study_instance_uid}"
        (await self._client.request("GET", url, headers={"Accept": _ANY_SYNTAX})).expect_status(404)

    async def _other_patient(self) -> None:
        other = self._content.other_patient
        page = await self._client.search([("patient.identifier", other.token)], resource="ImagingStudy")
        expect("studies", 0, page.total)
        found = await self._dicom_search("studies", PatientID=other.id, IssuerOfPatientID=other.authority)
        expect("studies of QIDO-RS", [], found)


def _value(item: dict[str, Any], name: str) -> Any:
    return item[name]["Value"][0]


def _parts(answer: Answer) -> list[bytes]:
    """Bodies of the parts of a multipart answer."""
    header = Message()
    header["Content-Type"] = answer.headers.get("Content-Type", "")
    boundary = header.get_boundary()
    require("the answer is multipart", header.get_content_maintype() == "multipart" and boundary)
    pieces = (b"\r\n" + answer.body).split(f"\r\n--{boundary}".encode())
    require("the answer ends as multipart does", len(pieces) > 1 and pieces[-1].startswith(b"--"))
    return [piece.partition(b"\r\n\r\n")[2] for piece in pieces[1:-1]]
