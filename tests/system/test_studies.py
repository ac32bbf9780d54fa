"""ImagingStudy and what belongs to it, from the one manifest that a legacy domain holds."""

import pytest
import pytest_asyncio

from gateway.demo.ct_study import FIRST_LOCATION, SECOND_LOCATION

from .imaging import matches, published_study
from .manifests import legacy_entry, register
from .test_images import images

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("studies"), "studies over the whole stack") as running:
        yield running


async def the_study(published) -> dict:
    (found,) = matches(
        await published.search("ImagingStudy", patient__identifier=published.content.patient.token)
    )
    return found


async def test_a_study_is_found_by_its_patient_with_every_series_and_instance(published):
    found = await the_study(published)
    assert found["identifier"][0] == {
        "type": found["identifier"][0]["type"],
        "system": "urn:dicom:uid",
        "value": f"urn:oid:{published.study.study_instance_uid}",
    }
    listed = {s["uid"]: {i["uid"] for i in s["instance"]} for s in found["series"]}
    assert listed == {
        s.series_instance_uid: {i.sop_instance_uid for i in s.images} for s in published.study.series
    }
    assert found["numberOfInstances"] == sum(len(s.images) for s in published.study.series)
    assert found["subject"]["identifier"]["value"] == published.content.patient.id


@pytest.mark.parametrize(
    ("name", "value", "count"),
    [
        ("identifier", "urn:dicom:uid|urn:oid:{study}", 1),
        ("identifier", "{study}", 1),
        ("identifier", "urn:dicom:uid|urn:oid:2.999.404", 0),
        ("modality", "CT", 1),
        ("modality", "KO,US", 1),
        ("modality", "US", 0),
        ("started", "ge2024-03-10", 1),
        ("started", "lt2024-03-10", 0),
        ("started", "2024-03", 1),
        ("status", "available", 1),
        ("status", "cancelled", 0),
        ("basedon:identifier", "urn:oid:{issuer}|{accession}", 1),
        ("based-on:identifier", "urn:oid:2.999.404|{accession}", 0),
        ("series", "{series}", 1),
        ("instance", "urn:oid:{instance}", 1),
        ("instance", "2.999.404", 0),
        ("dicom-class", "urn:oid:1.2.840.10008.5.1.4.1.1.2", 1),
        ("dicom-class", "1.2.840.10008.5.1.4.1.1.4", 0),
    ],
)
async def test_every_parameter_narrows(published, name, value, count):
    study = published.study
    asked = value.format(
        study=study.study_instance_uid,
        issuer=study.accession_authority,
        accession=study.accession,
        series=study.series[0].series_instance_uid,
        instance=study.series[0].images[0].sop_instance_uid,
    )
    parameters = {"patient.identifier": published.content.patient.token, name: asked}
    bundle = await published.search("ImagingStudy", **parameters)
    assert (bundle["total"], len(matches(bundle))) == (count, count)
    async with published.stack.session.post(
        f"{published.stack.base_url}/ImagingStudy/_search", data=parameters
    ) as answer:
        assert len(matches(await answer.json(content_type=None))) == count


async def test_a_search_without_patient_is_refused(published):
    status, outcome = await published.stack.get("ImagingStudy", modality="CT")
    assert status == 400
    assert "patient" in outcome["issue"][0]["diagnostics"]


async def test_another_patient_has_none(published):
    bundle = await published.search("ImagingStudy", patient__identifier=published.content.other_patient.token)
    assert bundle["total"] == 0


async def test_endpoints_patient_orders_and_provenance_come_along(published):
    token = published.content.patient.token
    bundle = await published.search(
        "ImagingStudy",
        patient__identifier=token,
        _include=["ImagingStudy:endpoint", "ImagingStudy:patient", "ImagingStudy:basedon"],
        _revinclude="Provenance:target",
    )
    (study,) = matches(bundle)
    along = {f"{r['resourceType']}/{r['id']}": r for r in matches(bundle, "include")}
    for series in study["series"]:
        for endpoint in series["endpoint"]:
            assert endpoint["reference"] in along
    assert study["basedOn"][0]["reference"] in along
    assert study["subject"]["reference"] in along
    (provenance,) = [r for r in along.values() if r["resourceType"] == "Provenance"]
    assert f"ImagingStudy/{study['id']}" in [t["reference"] for t in provenance["target"]]
    document = provenance["entity"][0]["what"]["reference"]
    status, reference = await published.stack.get(document)
    assert (status, reference["resourceType"]) == (200, "DocumentReference")


@pytest.mark.parametrize("resource_type", ["ImagingStudy", "ServiceRequest", "Endpoint", "Provenance"])
async def test_what_a_search_gives_can_be_read_by_its_id(published, resource_type):
    bundle = await published.search(resource_type, patient__identifier=published.content.patient.token)
    assert matches(bundle)
    for entry, resource in zip(bundle["entry"], matches(bundle), strict=True):
        status, read = await published.stack.get(entry["fullUrl"])
        assert status == 200
        if resource_type == "Provenance":
            read["recorded"] = resource["recorded"]
        assert read == resource
        status, _ = await published.stack.get(f"{resource_type}/{resource['id'][:-1]}")
        assert status == 404


async def test_an_order_is_found_by_its_accession_number(published):
    study = published.study
    for value, count in ((f"urn:oid:{study.accession_authority}|{study.accession}", 1), ("404", 0)):
        bundle = await published.search(
            "ServiceRequest", patient__identifier=published.content.patient.token, identifier=value
        )
        assert len(matches(bundle)) == count


async def test_the_addresses_of_a_study_give_its_images(published):
    study = await the_study(published)
    got: dict[str, bytes] = {}
    locations = set()
    for series in study["series"]:
        status, endpoint = await published.stack.get(series["endpoint"][0]["reference"])
        assert status == 200
        assert endpoint["address"].startswith(published.stack.base_url)
        locations.add(endpoint["extension"][0]["valueString"])
        got |= await images(published, f"{endpoint['address']}/{published.path}/series/{series['uid']}")
    assert got == published.files
    assert locations == {FIRST_LOCATION, SECOND_LOCATION}


async def test_a_warm_search_costs_one_query_and_no_retrieve(published):
    await the_study(published)
    before = dict(published.stack.soap_calls)
    await the_study(published)
    after = published.stack.soap_calls
    assert after["/xds/registry"] - before["/xds/registry"] == 1
    assert after["/xds/repository"] == before["/xds/repository"]


async def test_xml_is_given_where_it_is_asked_for(published):
    async with published.stack.session.get(
        f"{published.stack.base_url}/ImagingStudy",
        params={"patient.identifier": published.content.patient.token, "_format": "xml"},
    ) as answer:
        assert answer.status == 200
        assert answer.content_type == "application/fhir+xml"
        assert published.study.study_instance_uid in await answer.text()


async def test_an_unreadable_manifest_is_a_warning_and_the_rest_is_given(published):
    entry = legacy_entry(published.content.patient, b"no dicom", "2.999.66.1")
    await register(published.stack, (entry, b"no dicom"))
    bundle = await published.search("ImagingStudy", patient__identifier=published.content.patient.token)
    assert len(matches(bundle)) == 1
    (outcome,) = matches(bundle, "outcome")
    assert outcome["issue"][0]["severity"] == "warning"
    assert "manifest cannot be used" in outcome["issue"][0]["diagnostics"]
