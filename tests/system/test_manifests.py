"""Manifests as documents: found and retrieved in both formats, whatever their entries say (IHE RAD MADO; R10-R36
of the European guides). The domain holds key object documents, as XDS-I.b has them."""

import json
from hashlib import sha1

import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.formats import FhirFormat
from gateway.fhir.manifest_read import read_manifest
from gateway.fhir.terminology import Terminology
from gateway.model import Code, ReferenceId, codes
from gateway.model import imaging_codes as imaging
from tests.dicom.samples import group_case

from .documents import a_document, a_patient
from .imaging import matches
from .manifests import DICOM, FHIR_FORMAT, FHIR_JSON, FHIR_XML, legacy_entry, register
from .stack import running_gateway, running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

DCM = "http://dicom.nema.org/resources/ontology/DCM"
SNOMED = "http://snomed.info/sct"
KOS_FORMAT, MADO_FORMAT = "1.2.840.10008.5.1.4.1.1.88.59", FHIR_FORMAT.code


class Domain:
    """A patient with a manifest of today, one of an older source, and a document that is none."""

    def __init__(self, stack, content):
        self.stack, self.patient = stack, content.patient
        self.study, self.kos = content.images, content.manifest
        self.group = group_case()
        self.legacy = write_kos(self.group)

    async def find(self, **parameters):
        return await self.stack.find(patient__identifier=self.patient.token, status="current", **parameters)

    async def names(self, **parameters):
        """`A` is the study of today, `G` the older one of the group case; a small letter is its FHIR manifest."""
        shown = ""
        for found in await self.find(**parameters):
            unique_id = found["masterIdentifier"]["value"].removeprefix("urn:oid:")
            name = {self.kos.unique_id: "A", self.group.sop_instance_uid: "G"}.get(unique_id, "P")
            shown += name if found["content"][0]["attachment"]["contentType"] != FHIR_JSON else name.lower()
        return "".join(sorted(shown))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def domain(tmp_path_factory):
    content = sample_content("manifests", a_patient().id)
    async with running_stack(tmp_path_factory.mktemp("manifests")) as stack:
        stack.interfere = None
        plain = a_document(creation="2024-03-09T07:25:00Z")
        status, answer = await stack.publish(
            provide_bundle([content.manifest, plain], patient=content.patient)
        )
        assert status == 200, answer
        domain = Domain(stack, content)
        entry = legacy_entry(domain.patient, domain.legacy, domain.group.sop_instance_uid)
        await register(stack, (entry, domain.legacy))
        yield domain


def of_type(found, content_type):
    (one,) = [f for f in found if f["content"][0]["attachment"]["contentType"] == content_type]
    return one


async def pair(domain, **parameters):
    found = await domain.find(**(parameters or {"identifier": f"urn:oid:{domain.kos.unique_id}"}))
    return of_type(found, DICOM), of_type(found, FHIR_JSON)


# --- both formats -----------------------------------------------------------------------------------------------
async def test_a_manifest_is_found_in_both_formats_which_transform_each_other(domain):
    """R25."""
    kos, fhir = await pair(domain)
    assert kos["relatesTo"] == [
        {"code": "transforms", "target": {"reference": f"DocumentReference/{fhir['id']}"}}
    ]
    assert fhir["relatesTo"] == [
        {"code": "transforms", "target": {"reference": f"DocumentReference/{kos['id']}"}}
    ]
    assert kos["masterIdentifier"] == fhir["masterIdentifier"]
    assert kos["identifier"][1] != fhir["identifier"][1]
    same = ("subject", "type", "category", "status")
    assert all(kos[name] == fhir[name] for name in same)
    assert all(kos["context"][name] == fhir["context"][name] for name in ("related", "period", "event"))
    attachment = fhir["content"][0]["attachment"]
    assert not {"hash", "size"} & attachment.keys()
    assert fhir["content"][0]["format"]["code"] == MADO_FORMAT


async def test_both_are_read_by_their_ids_and_found_by_them(domain):
    for shown in await pair(domain):
        assert await domain.stack.get(f"DocumentReference/{shown['id']}") == (200, shown)
        assert await domain.stack.find(_id=shown["id"]) == [shown]
    kos, fhir = await pair(domain)
    assert await domain.stack.find(_id=f"{kos['id']},{fhir['id']}", _sort="_id") == [kos, fhir]
    plain = next(
        f for f in await domain.find() if f["content"][0]["attachment"]["contentType"] == "text/plain"
    )
    for nobody in (f"{plain['id']}-fhir", f"{kos['id']}-kos", f"{kos['id']}-xml"):
        status, _ = await domain.stack.get(f"DocumentReference/{nobody}")
        assert status == 404
        assert await domain.stack.find(_id=nobody) == []


async def test_pages_totals_and_what_comes_along_count_both(domain):
    """R26."""
    parameters = {"patient.identifier": domain.patient.token, "status": "current", "_count": 1}
    seen = []
    status, bundle = await domain.stack.get("DocumentReference", **parameters)
    while True:
        assert (status, bundle["total"]) == (200, 5)
        seen += [found["id"] for found in matches(bundle)]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            break
        status, bundle = await domain.stack.get(following[0])
    assert len(set(seen)) == len(seen) == 5
    kos, fhir = await pair(domain)
    for shown, other in ((kos, fhir), (fhir, kos)):
        _, bundle = await domain.stack.get(
            "DocumentReference", _id=shown["id"], _include="DocumentReference:relatesto"
        )
        assert [found["id"] for found in matches(bundle, "include")] == [other["id"]]
    dated = await domain.find(date="ge2000", _sort="-date")
    assert len(dated) == 5
    _, bundle = await domain.stack.get("", **{"patient.identifier": domain.patient.token, "_count": 1000})
    assert {kos["id"], fhir["id"]} <= {found["id"] for found in matches(bundle)}


async def test_entries_that_are_no_manifests_cost_what_they_did(domain):
    other = a_patient()
    await domain.stack.publish(provide_bundle([a_document()], patient=other))
    domain.stack.soap_calls.clear()
    (found,) = await domain.stack.find(patient__identifier=other.token, status="current")
    assert dict(domain.stack.soap_calls) == {"/xds/registry": 2}
    domain.stack.soap_calls.clear()
    await domain.stack.get(f"DocumentReference/{found['id']}")
    assert dict(domain.stack.soap_calls) == {"/xds/registry": 1}
    domain.stack.soap_calls.clear()
    await domain.find()
    assert dict(domain.stack.soap_calls) == {"/xds/registry": 2}, "no manifest is read to be offered"


async def test_a_registered_pair_is_passed_through(domain):
    """R25: joined by their study, or by an association where the entries do not name it."""
    _, fhir = await pair(domain)
    _, _, bundle = await domain.stack.download(fhir)
    for named in (True, False):
        patient = a_patient()
        study = read_kos(domain.kos.content).manifest.study.study_instance_uid
        references = {"reference_ids": (ReferenceId(study, None, codes.REFERENCE_STUDY),)} if named else {}
        first = legacy_entry(patient, domain.kos.content, f"2.999.77.{int(named)}.1", **references)
        second = legacy_entry(
            patient,
            bundle,
            f"2.999.77.{int(named)}.2",
            mime_type=FHIR_JSON,
            format_code=Code(imaging.FORMAT_FHIR_MANIFEST, imaging.MADO_FORMAT_CODES, "MADO"),
            **references,
        )
        relations = () if named else ((codes.XFRM, second.entry_uuid, first.entry_uuid),)
        await register(domain.stack, (first, domain.kos.content), (second, bundle), relations=relations)
        found = await domain.stack.find(patient__identifier=patient.token, status="current")
        assert {f"urn:uuid:{f['id']}" for f in found} == {first.entry_uuid, second.entry_uuid}
        for entry in (first, second):
            (one,) = await domain.stack.find(identifier=f"urn:oid:{entry.unique_id}")
            assert f"urn:uuid:{one['id']}" == entry.entry_uuid


# --- parameters -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, "AGPag"),
        ({"type": "http://loinc.org|18748-4"}, "AGag"),
        ({"category": "http://loinc.org|18748-4"}, "AGag"),
        ({"modality": "CT"}, "AGag"),
        ({"modality": f"{DCM}|KO"}, "AGag"),
        ({"modality": "US"}, ""),
        ({"bodysite": f"{SNOMED}|51185008"}, "Aa"),
        ({"anatomical-region": "51185008"}, "Aa"),
        ({"study-instance-uid": "{study}"}, "Aa"),
        ({"study-instance-uid": "urn:dicom:uid|urn:oid:{study}"}, "Aa"),
        ({"study-instance-uid": "urn:oid:{group}"}, "Gg"),
        ({"study-instance-uid": "2.999.404"}, ""),
        ({"accession-number": "urn:oid:{issuer}|{accession}"}, "Aa"),
        ({"accession-number": "urn:oid:2.999.5.1|{first}"}, "Gg"),
        ({"accession-number": "urn:oid:2.999.5.1|{second}"}, "Gg"),
        ({"accession-number": "urn:oid:2.999.404|{second}"}, ""),
        ({"related:identifier": "urn:oid:2.999.5.2|ORDER-7"}, "Gg"),
        ({"identifier": "urn:oid:{study}"}, "Aa"),
        ({"identifier": "urn:oid:{group}"}, "Gg"),
        ({"contenttype": DICOM}, "AG"),
        ({"contenttype": FHIR_JSON}, "ag"),
        ({"format": KOS_FORMAT}, "AG"),
        ({"format": MADO_FORMAT}, "ag"),
        ({"format": f"{FHIR_FORMAT.system}|{MADO_FORMAT}", "modality": "CT"}, "ag"),
        ({"format": MADO_FORMAT, "study-instance-uid": "{group}", "modality": "CT"}, "g"),
        ({"modality": "CT", "bodysite": "51185008", "contenttype": DICOM}, "A"),
        ({"modality": "US", "study-instance-uid": "{group}"}, ""),
    ],
)
async def test_each_parameter_alone_and_together(domain, parameters, expected):
    """R10-R21, on entries that name study, numbers, modality and region and on one that names none."""
    values = {
        "study": domain.study.study_instance_uid,
        "group": domain.group.study.study_instance_uid,
        "issuer": domain.study.accession_authority,
        "accession": domain.study.accession,
        "first": domain.group.study.requests[0].accession.value,
        "second": domain.group.study.requests[1].accession.value,
    }
    asked = {name: value.format(**values) for name, value in parameters.items()}
    assert await domain.names(**asked) == expected
    form = [("patient.identifier", domain.patient.token), ("status", "current"), *asked.items()]
    async with domain.stack.session.post(
        f"{domain.stack.base_url}/DocumentReference/_search", data=form
    ) as answer:
        assert len(matches(await answer.json(content_type=None))) == len(expected)


async def test_manifests_are_read_once_for_what_entries_do_not_say(domain):
    await domain.find(modality="CT")
    domain.stack.soap_calls.clear()
    assert await domain.names(modality="CT") == "AGag"
    assert dict(domain.stack.soap_calls) == {"/xds/registry": 3}


# --- retrieving -------------------------------------------------------------------------------------------------
async def test_the_key_object_document_is_given_as_it_is_stored(domain):
    """R30."""
    kos, _ = await pair(domain)
    status, headers, body = await domain.stack.download(kos)
    assert (status, headers["Content-Type"], body) == (200, DICOM, domain.kos.content)
    assert headers["ETag"] == f'"{sha1(body, usedforsecurity=False).hexdigest()}"'
    assert headers["Vary"] == "Accept"


@pytest.mark.parametrize("form", [FHIR_JSON, FHIR_XML])
async def test_the_fhir_manifest_is_a_bundle_made_of_it(domain, form):
    """R31, R48."""
    for parameters in ({}, {"study-instance-uid": domain.group.study.study_instance_uid}):
        kos, fhir = await pair(domain, **parameters)
        status, headers, body = await domain.stack.download(fhir, Accept=form)
        assert (status, headers["Content-Type"]) == (200, f"{form}; fhirVersion=4.0")
        read = read_manifest(body, Terminology(), FhirFormat(form))
        assert f"urn:oid:{read.manifest.sop_instance_uid}" == kos["masterIdentifier"]["value"]
        again = await domain.stack.download(fhir, Accept=form)
        assert again[2] == body, "the same manifest gives the same bytes"
        if form == FHIR_JSON:
            bundle = json.loads(body)
            assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "document")
    stored = read_kos(domain.legacy).manifest
    assert [s.series_instance_uid for s in read.manifest.study.series] == [
        s.series_instance_uid for s in stored.study.series
    ]


async def test_accept_gives_the_other_format_at_either_url(domain):
    """R32."""
    kos, fhir = await pair(domain)
    _, _, bundle = await domain.stack.download(fhir)
    assert (await domain.stack.download(kos, Accept=FHIR_JSON))[2] == bundle
    status, headers, body = await domain.stack.download(fhir, Accept=DICOM)
    assert (status, headers["Content-Type"], body) == (200, DICOM, domain.kos.content)
    for shown in (kos, fhir):
        status, headers, body = await domain.stack.download(shown, Accept="image/png")
        assert (status, json.loads(body)["resourceType"]) == (406, "OperationOutcome")
    status, headers, _ = await domain.stack.download(
        fhir, Accept="application/fhir+xml;q=0.9, application/fhir+json;q=0.2, */*;q=0.1"
    )
    assert (status, headers["Content-Type"]) == (200, f"{FHIR_XML}; fhirVersion=4.0")
    status, _, _ = await domain.stack.download(fhir, Accept=f"{FHIR_JSON}; fhirVersion=5.0")
    assert status == 406


async def test_ranges_and_etags_of_a_translation(domain):
    _, fhir = await pair(domain)
    status, headers, _ = await domain.stack.download(fhir, Range="bytes=0-9")
    assert status == 200, "a range of what is made on request is the whole"
    assert "Accept-Ranges" not in headers
    status, _, nothing = await domain.stack.download(fhir, **{"If-None-Match": headers["ETag"]})
    assert (status, nothing) == (304, b"")
    url = fhir["content"][0]["attachment"]["url"]
    async with domain.stack.session.head(url) as answer:
        assert (answer.status, answer.content_type) == (200, FHIR_JSON)
    status, _, _ = await domain.stack.download(
        {"content": [{"attachment": {"url": url[:-2] + ("AA" if url[-2:] != "AA" else "BB")}}]}
    )
    assert status == 404


async def test_either_is_a_binary_too(domain):
    kos, fhir = await pair(domain)
    _, _, bundle = await domain.stack.download(fhir)
    for shown, expected in ((kos, domain.kos.content), (fhir, bundle)):
        async with domain.stack.session.get(
            f"{domain.stack.base_url}/Binary/{shown['id']}", headers={"Accept": "*/*"}
        ) as answer:
            assert (answer.status, await answer.read()) == (200, expected)


# --- without patient --------------------------------------------------------------------------------------------
async def test_a_study_that_is_known_is_found_without_its_patient(domain):
    """R18, R19: the answer of the gateway's index, or 400 that asks for the patient; never an empty 200."""
    await domain.find(modality="US")
    values = {
        "study-instance-uid": (domain.study.study_instance_uid, "2.999.404"),
        "accession-number": (f"urn:oid:{domain.study.accession_authority}|{domain.study.accession}", "404"),
    }
    for name, (known, unknown) in values.items():
        found = await domain.stack.find(status="current", **{name: known})
        assert len(found) == 2
        assert {f["subject"]["identifier"]["value"] for f in found} == {domain.patient.id}
        status, outcome = await domain.stack.get("DocumentReference", **{name: unknown})
        assert status == 400
        assert "patient" in outcome["issue"][0]["diagnostics"]
    foreign = f"urn:oid:2.999.404|{domain.study.accession}"
    assert (await domain.stack.get("DocumentReference", **{"accession-number": foreign}))[0] == 400
    number = domain.group.study.requests[0].accession.value
    assert len(await domain.stack.find(identifier=f"urn:oid:{domain.group.study.study_instance_uid}")) == 2
    assert (
        len(await domain.stack.find(status="current", related__identifier=f"urn:oid:2.999.5.1|{number}")) == 2
    )
    _, bundle = await domain.stack.get(
        "DocumentReference", status="current", _count=1, **{"accession-number": number}
    )
    assert bundle["total"] == 2
    following = next(link["url"] for link in bundle["link"] if link["relation"] == "next")
    assert len(matches((await domain.stack.get(following))[1])) == 1
    assert domain.patient.id not in str(bundle["link"])


# --- later and elsewhere ----------------------------------------------------------------------------------------
async def test_ids_and_urls_outlive_the_gateway_that_gave_them(domain, tmp_path):
    """R35: another gateway, which shares the keys alone, gives the same documents."""
    kos, fhir = await pair(domain)
    expected = {shown["id"]: await domain.stack.download(shown) for shown in (kos, fhir)}
    keys = (domain.stack.settings.state_dir / "keys").read_text()
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "keys").write_text(keys)
    settings = domain.stack.settings.model_copy(
        update={
            "state_dir": tmp_path / "gateway",
            "server": domain.stack.settings.server.model_copy(update={"base_url": domain.stack.base_url}),
        }
    )
    async with running_gateway(settings) as other:
        for shown in (kos, fhir):
            assert await other.get(f"DocumentReference/{shown['id']}") == (200, shown)
            url = shown["content"][0]["attachment"]["url"].replace(domain.stack.base_url, other.base_url)
            async with other.session.get(url) as answer:
                assert await answer.read() == expected[shown["id"]][2]


async def test_altered_bytes_are_refused_in_either_format_and_not_kept(domain):
    """R34."""
    patient = a_patient()
    content = write_kos(read_kos(domain.kos.content).manifest, dialect="ti")
    entry = legacy_entry(patient, content, "2.999.78.1")
    await register(domain.stack, (entry, content))
    (stored,) = (domain.stack.settings.state_dir.parent / "affinity").rglob(f"*{entry.hash[4:]}*")
    stored.chmod(0o600)
    stored.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    shown = await domain.stack.find(patient__identifier=patient.token, status="current")
    for _ in range(2):
        status, _, body = await domain.stack.download(of_type(shown, FHIR_JSON))
        assert status == 502, body
    assert await domain.stack.find(patient__identifier=patient.token, status="current", modality="CT") == []
