"""QIDO-RS (DICOM PS3.18 10.6) over a domain that has registry, repository and sources of images."""

import pytest
import pytest_asyncio

from gateway.demo.ct_study import FIRST_LOCATION

from .imaging import published_study
from .test_images import images

pytestmark = pytest.mark.asyncio(loop_scope="module")

STUDY_UID, SERIES_UID, SOP_UID, MODALITY = "0020000D", "0020000E", "00080018", "00080060"
ACCESSION, RETRIEVE_URL = "00080050", "00081190"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(tmp_path_factory):
    async with published_study(tmp_path_factory.mktemp("qido"), "QIDO over the whole stack") as running:
        yield running


async def ask(published, path: str, accept: str = "application/dicom+json", **query):
    """Status, results and Warning headers; double underscores in names stand for dots."""
    url = path if path.startswith("http") else f"{published.stack.base_url}/dicomweb/{path}"
    parameters = {name.replace("__", "."): value for name, value in query.items()}
    async with published.stack.session.get(url, params=parameters, headers={"Accept": accept}) as answer:
        if answer.status == 200:
            assert answer.content_type == "application/dicom+json"
        found = await answer.json(content_type=None) if answer.status != 204 else []
        return answer.status, found, answer.headers.getall("Warning", [])


def of(published) -> dict[str, str]:
    patient = published.content.patient
    return {"PatientID": patient.id, "IssuerOfPatientID": patient.authority}


def value(item, name: str):
    return (item[name].get("Value") or [None])[0]


async def test_a_patients_study_is_described_with_what_the_standard_requires(published):
    status, (study,), warnings = await ask(published, "studies", **of(published))
    patient, expected = published.content.patient, published.study
    assert (status, warnings) == (200, [])
    assert list(study) == sorted(study)
    described = {name: value(study, name) for name in study if name != RETRIEVE_URL}
    issuer = [
        {"00400032": {"vr": "UT", "Value": [patient.authority]}, "00400033": {"vr": "CS", "Value": ["ISO"]}}
    ]
    assert described.pop("00100024") == issuer[0]
    assert described.pop("00080051") == {
        "00400032": {"vr": "UT", "Value": [expected.accession_authority]},
        "00400033": {"vr": "CS", "Value": ["ISO"]},
    }
    assert described == {
        "00080005": "ISO_IR 192",
        "00080020": expected.date,
        "00080030": expected.time,
        ACCESSION: expected.accession,
        "00080061": "CT",
        "00080201": "+0000",
        "00081030": "CT of the chest",
        "00100010": {"Alphabetic": f"{patient.family}^{patient.given}"},
        "00100020": patient.id,
        "00100021": patient.authority,
        "00100030": patient.birth_date.replace("-", ""),
        "00100040": {"male": "M", "female": "F"}[patient.gender],
        STUDY_UID: expected.study_instance_uid,
        "00200010": "1",
        "00201206": len(expected.series),
        "00201208": sum(len(series.images) for series in expected.series),
    }
    assert study["00080061"]["Value"] == ["CT", "KO"]


async def test_series_and_instances_are_those_of_the_study(published):
    study = published.study
    _, found, _ = await ask(published, f"studies/{study.study_instance_uid}/series", **of(published))
    assert [(value(s, SERIES_UID), value(s, MODALITY), value(s, "00201209")) for s in found] == [
        (s.series_instance_uid, s.modality, len(s.images)) for s in study.series
    ]
    _, found, _ = await ask(published, f"studies/{study.study_instance_uid}/instances", **of(published))
    listed = [(value(i, SERIES_UID), value(i, SOP_UID), value(i, "00080016")) for i in found]
    assert listed == [
        (s.series_instance_uid, i.sop_instance_uid, i.sop_class_uid) for s in study.series for i in s.images
    ]
    series = study.series[0]
    path = f"studies/{study.study_instance_uid}/series/{series.series_instance_uid}/instances"
    _, found, _ = await ask(published, path, **of(published))
    assert {value(i, SOP_UID) for i in found} == {i.sop_instance_uid for i in series.images}
    for path, count in (("series", len(study.series)), ("instances", len(published.files))):
        _, found, _ = await ask(published, path, **of(published))
        assert len(found) == count
        assert {value(item, ACCESSION) for item in found} == {study.accession}


async def test_retrieve_urls_give_what_was_found(published):
    got: dict[str, bytes] = {}
    for path in ("studies", f"studies/{published.study.study_instance_uid}/series", "instances"):
        _, found, _ = await ask(published, path, **of(published))
        got = {}
        for item in found:
            assert value(item, RETRIEVE_URL).startswith(published.stack.base_url + "/wado/")
            got |= await images(published, value(item, RETRIEVE_URL))
        assert got == published.files


async def test_below_the_address_of_a_study_no_patient_needs_to_be_named(published):
    base = published.url("studies").removesuffix("/studies")
    _, studies, _ = await ask(published, f"{base}/studies")
    assert [value(s, STUDY_UID) for s in studies] == [published.study.study_instance_uid]
    _, found, _ = await ask(published, f"{base}/{published.path}/series", Modality="KO")
    assert [value(s, MODALITY) for s in found] == ["KO"]
    status, _, _ = await ask(published, f"{base}/studies", PatientID="404", IssuerOfPatientID="2.999")
    assert status == 204
    status, _, _ = await ask(published, f"{base[:-4]}AAAA/studies")
    assert status == 404


async def test_a_study_that_was_seen_is_found_by_its_uid_alone(published):
    await ask(published, "studies", **of(published))
    uid = published.study.study_instance_uid
    _, (found,), _ = await ask(published, "studies", StudyInstanceUID=uid)
    assert value(found, STUDY_UID) == uid
    status, outcome, _ = await ask(published, "studies", StudyInstanceUID="2.999.404")
    assert (status, outcome["issue"][0]["code"]) == (404, "not-found")
    assert "PatientID" in outcome["issue"][0]["diagnostics"]


@pytest.mark.parametrize(
    ("key", "asked", "count"),
    [
        ("StudyInstanceUID", "{study}", 1),
        ("0020000D", "2.999.404,{study}", 1),
        ("0020000d", "2.999.404\\{study}", 1),
        ("StudyInstanceUID", "2.999.404", 0),
        ("StudyDate", "20240310-", 1),
        ("StudyDate", "-20240309", 0),
        ("StudyDate", "20240301-20240331", 1),
        ("StudyDate", "{date}", 1),
        ("StudyTime", "0000-2359", 1),
        ("ModalitiesInStudy", "KO", 1),
        ("ModalitiesInStudy", "US,CT", 1),
        ("ModalitiesInStudy", "US\\MR", 0),
        ("AccessionNumber", "{accession}", 1),
        ("AccessionNumber", "", 1),
        ("AccessionNumber", "404", 0),
        ("IssuerOfAccessionNumberSequence.UniversalEntityID", "{issuer}", 1),
        ("IssuerOfAccessionNumberSequence.UniversalEntityID", "2.999.404", 0),
        ("ReferencedRequestSequence.AccessionNumber", "{accession}", 1),
        ("ProcedureCodeSequence.CodeValue", "169069000", 1),
        ("AnatomicRegionsInStudyCodeSequence.CodeValue", "51185008", 1),
        ("SOPClassesInStudy", "1.2.840.10008.5.1.4.1.1.2", 1),
        ("PatientName", "{family}*", 1),
        ("PatientName", "*{lower}*", 1),
        ("PatientName", "{family}", 0),
        ("StudyDescription", "CT ?f *chest", 1),
        ("StudyDescription", "ct *", 0),
        ("NumberOfStudyRelatedSeries", "{series}", 1),
    ],
)
async def test_every_key_narrows(published, key, asked, count):
    study, patient = published.study, published.content.patient
    text = asked.format(
        study=study.study_instance_uid,
        date=study.date,
        accession=study.accession,
        issuer=study.accession_authority,
        family=patient.family,
        lower=patient.given.lower(),
        series=len(study.series),
    )
    status, found, _ = await ask(published, "studies", **of(published), **{key: text})
    assert (status, len(found)) == (200 if count else 204, count)


@pytest.mark.parametrize(
    "form",
    [
        {"PatientID": "{id}", "IssuerOfPatientID": "urn:oid:{oid}"},
        {"PatientID": "{id}", "IssuerOfPatientIDQualifiersSequence.UniversalEntityID": "{oid}"},
        {"00100020": "{id}", "00100024.00400032": "{oid}", "00100021": "&{oid}&ISO"},
        {"PatientID": "{id}^^^&{oid}&ISO"},
        {"PatientID": "urn:oid:{oid}|{id}"},
    ],
)
async def test_the_issuer_of_a_patient_id_is_said_in_several_ways(published, form):
    patient = published.content.patient
    query = {name: text.format(id=patient.id, oid=patient.authority) for name, text in form.items()}
    _, found, _ = await ask(published, "studies", **query)
    assert [value(s, "00100020") for s in found] == [patient.id]


@pytest.mark.parametrize(
    ("path", "query", "named"),
    [
        ("studies", {}, "PatientID"),
        ("studies", {"PatientID": "1"}, "IssuerOfPatientID"),
        ("studies", {"PatientID": "1*", "IssuerOfPatientID": "2.999"}, "wildcards"),
        ("studies", {"PatientID": "1", "IssuerOfPatientID": "HOSPITAL"}, "assigning_authorities"),
        ("studies", {"PatientID": "2.999|1", "IssuerOfPatientID": "2.999.1"}, "different issuers"),
        ("studies", {"IssuerOfPatientID": "2.999"}, "PatientID"),
        ("studies", {"Modality": "CT"}, "ModalitiesInStudy"),
        ("studies", {"Rows": "512"}, "Rows"),
        ("studies", {"StudyDate": "2024-03-10"}, "YYYYMMDD"),
        ("studies", {"StudyTime": "9"}, "HHMMSS"),
        ("studies", {"StudyInstanceUID": "x"}, "UID"),
        ("studies", {"ProcedureCodeSequence": "x"}, "ProcedureCodeSequence.Keyword"),
        ("studies", {"TimezoneOffsetFromUTC": "+0100"}, "included"),
        ("studies", {"limit": "-1"}, "limit"),
        ("studies", {"fuzzymatching": "perhaps"}, "fuzzymatching"),
        ("series", {"SeriesNumber": "one"}, "integer"),
        ("instances", {"includefield": "a b"}, "includefield"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(published, path, query, named):
    whose = {} if {"PatientID", "IssuerOfPatientID"} & set(query) or not query else of(published)
    status, outcome, _ = await ask(published, path, **whose, **query)
    assert status == 400, outcome
    assert any(named in issue["diagnostics"] for issue in outcome["issue"])


async def test_attributes_that_are_asked_for_are_included(published):
    _, (study,), _ = await ask(published, "studies", **of(published), includefield="00081032,Rows")
    assert value(study, "00081032")["00080100"]["Value"] == ["169069000"]
    _, (everything,), _ = await ask(published, "studies", **of(published), includefield="all")
    assert set(everything) > set(study)
    _, series, _ = await ask(published, f"{published.path}/series", **of(published), includefield="StudyDate")
    assert value(series[0], "00080020") == published.study.date
    assert "00100020" in series[0], "what is asked for is given"
    assert "00080061" not in series[0]
    _, series, _ = await ask(
        published, f"{published.path}/series", **of(published), RetrieveLocationUID=FIRST_LOCATION
    )
    assert series
    assert {value(s, "0040E011") for s in series} == {FIRST_LOCATION}


async def test_pages_put_together_are_the_whole(published):
    _, whole, _ = await ask(published, "instances", **of(published))
    pages: list = []
    for offset in range(0, len(whole) + 2, 2):
        status, page, warnings = await ask(
            published, "instances", **of(published), limit="2", offset=str(offset)
        )
        assert status == (200 if offset < len(whole) else 204)
        assert warnings == []
        pages += page
    assert pages == whole
    assert (await ask(published, "instances", **of(published), limit="0"))[0] == 204


async def test_a_kind_of_matching_that_is_not_done_is_a_warning(published):
    _, found, warnings = await ask(published, "studies", **of(published), fuzzymatching="true")
    assert len(found) == 1
    assert len(warnings) == 1
    assert warnings[0].startswith("299 http")
    assert "fuzzymatching" in warnings[0]


async def test_other_media_types_are_refused(published):
    status, _, _ = await ask(published, "studies", accept="application/dicom+xml", **of(published))
    assert status == 406
    status, _, _ = await ask(published, "studies", accept="application/json", **of(published))
    assert status == 200


async def test_another_patients_search_does_not_find_it(published):
    other = published.content.other_patient
    status, _, _ = await ask(
        published,
        "studies",
        PatientID=other.id,
        IssuerOfPatientID=other.authority,
        StudyInstanceUID=published.study.study_instance_uid,
    )
    assert status == 204


async def test_a_warm_search_costs_one_query_and_no_retrieve(published):
    await ask(published, "instances", **of(published))
    before = dict(published.stack.soap_calls)
    await ask(published, "instances", **of(published))
    after = published.stack.soap_calls
    assert after["/xds/registry"] - before["/xds/registry"] == 1
    assert after["/xds/repository"] == before["/xds/repository"]
