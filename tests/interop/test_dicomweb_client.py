"""dicomweb-client as DICOMweb client in front of the gateway: it searches and retrieves as it would an archive.

The study lies at a source that speaks RAD-69 and one that speaks WADO-RS, of which the client knows nothing.
"""

import asyncio
from io import BytesIO

import pydicom
import pytest
import pytest_asyncio

from gateway.demo.ct_study import SECOND_LOCATION
from tests.system.imaging import published_study

web = pytest.importorskip(
    "dicomweb_client.web", reason="dicomweb-client is not installed (pip install dicomweb-client)"
)

pytestmark = [pytest.mark.interop, pytest.mark.asyncio(loop_scope="module")]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("client"), "a study for dicomweb-client") as running:
        yield running


@pytest.fixture
def client(published):
    return web.DICOMwebClient(f"{published.stack.base_url}/dicomweb")


def of(published) -> dict[str, str]:
    patient = published.content.patient
    return {"PatientID": patient.id, "IssuerOfPatientID": patient.authority}


def datasets(found) -> list[pydicom.Dataset]:
    return [pydicom.Dataset.from_json(item) for item in found]


async def test_it_finds_studies_series_and_instances(published, client):
    study = published.study
    found = await asyncio.to_thread(
        client.search_for_studies,
        search_filters={**of(published), "StudyDate": f"{study.date}-"},
        fields=["StudyDescription", "0040A370"],
        fuzzymatching=True,
    )
    (described,) = datasets(found)
    assert described.StudyInstanceUID == study.study_instance_uid
    assert described.ModalitiesInStudy == ["CT", "KO"]
    assert described.PatientName == f"{published.content.patient.family}^{published.content.patient.given}"
    assert described.ReferencedRequestSequence[0].AccessionNumber == study.accession
    found = await asyncio.to_thread(client.search_for_series, study.study_instance_uid)
    assert [(s.SeriesInstanceUID, s.NumberOfSeriesRelatedInstances) for s in datasets(found)] == [
        (s.series_instance_uid, len(s.images)) for s in study.series
    ]
    found = await asyncio.to_thread(
        client.search_for_instances, study.study_instance_uid, limit=2, get_remaining=True
    )
    assert {i.SOPInstanceUID for i in datasets(found)} == set(published.files)


async def test_it_finds_nothing_of_another_patient(published, client):
    nobody = {**of(published), "PatientID": "404"}
    assert await asyncio.to_thread(client.search_for_studies, search_filters=nobody) == []


async def test_it_retrieves_study_series_and_instance(published, client):
    study = published.study.study_instance_uid
    await asyncio.to_thread(client.search_for_studies, search_filters=of(published))
    whole = await asyncio.to_thread(client.retrieve_study, study)
    assert {str(d.SOPInstanceUID): d for d in whole} == expected(published, published.files)
    for series in published.study.series:
        uids = [image.sop_instance_uid for image in series.images]
        some = await asyncio.to_thread(client.retrieve_series, study, series.series_instance_uid)
        assert {str(d.SOPInstanceUID): d for d in some} == expected(published, uids)
        one = await asyncio.to_thread(client.retrieve_instance, study, series.series_instance_uid, uids[0])
        assert {str(one.SOPInstanceUID): one} == expected(published, uids[:1])


async def test_it_retrieves_metadata_where_the_source_has_them(published, client):
    await asyncio.to_thread(client.search_for_studies, search_filters=of(published))
    (series,) = [s for s in published.study.series if s.location_uid == SECOND_LOCATION]
    found = await asyncio.to_thread(
        client.retrieve_series_metadata, published.study.study_instance_uid, series.series_instance_uid
    )
    assert {d.SOPInstanceUID for d in datasets(found)} == {i.sop_instance_uid for i in series.images}


async def test_the_address_of_a_study_is_a_dicomweb_service_of_its_own(published):
    base = published.url("studies").removesuffix("/studies")
    client = web.DICOMwebClient(base)
    (study,) = datasets(await asyncio.to_thread(client.search_for_studies))
    whole = await asyncio.to_thread(client.retrieve_study, study.StudyInstanceUID)
    assert {str(d.SOPInstanceUID) for d in whole} == set(published.files)


def expected(published, uids) -> dict[str, pydicom.Dataset]:
    return {uid: pydicom.dcmread(BytesIO(published.files[uid])) for uid in uids}
