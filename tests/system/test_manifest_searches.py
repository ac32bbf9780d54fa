"""Searches of documents of which no match is lost for what else there is: identifiers that name several things,
pairs of which a filter meets one half, registries that cannot find by reference id (ITI-67, IHE RAD MADO)."""

import uuid

import pytest
import pytest_asyncio
from msgspec.structs import replace

from gateway.demo.bundles import provide_bundle
from gateway.dicom.kos_reader import read_kos
from gateway.dicom.kos_writer import write_kos
from gateway.fhir.imaging_documents import twin_uuid
from gateway.model import Code, QueryResult, ReferenceId, RegistryError, ResponseStatus, codes
from gateway.model import imaging_codes as imaging
from tests.dicom.samples import group_case

from . import wire_failures as wire
from .documents import a_document, a_patient
from .imaging import matches
from .manifests import DICOM, FHIR_JSON, legacy_entry, register
from .stack import running_stack

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_REFERENCE = b"12941a89-e02e-4be5-967c"
LISTED = b"14d4debf-8f97-4251-9a74"


def a_manifest(patient, *, named=True, **changes):
    """A manifest of a study of its own, and its entry; `named` says the study in the entry."""
    uid = f"2.25.{uuid.uuid4().int}"
    template = group_case()
    manifest = replace(
        template,
        sop_instance_uid=f"2.25.{uuid.uuid4().int}",
        study=replace(template.study, study_instance_uid=uid),
    )
    content = write_kos(manifest)
    references = (ReferenceId(uid, None, codes.REFERENCE_STUDY),) if named else ()
    values = {"reference_ids": references, **changes}
    return legacy_entry(patient, content, manifest.sop_instance_uid, **values), content, uid


def ids(found):
    return {f"urn:uuid:{f['id']}" for f in found}


async def of(stack, patient, **parameters):
    return await stack.find(patient__identifier=patient.token, status="current", **parameters)


# --- identifiers that name several things -----------------------------------------------------------------------
@pytest.mark.parametrize("named", [True, False], ids=["in the entry", "in the manifest alone"])
async def test_what_is_related_is_found_beside_the_document_that_has_the_identifier(stack, named):
    """A report under the UID of the study that it is about hides neither its manifest nor another report."""
    patient = a_patient()
    manifest, content, uid = a_manifest(patient, named=named)
    about = (ReferenceId(uid, None, codes.REFERENCE_STUDY),)
    report = legacy_entry(patient, b"1", uid, mime_type="text/plain", format_code=Code("x", "2.999.1"))
    other = replace(
        legacy_entry(patient, b"2", f"2.25.{uuid.uuid4().int}", mime_type="text/plain"),
        format_code=Code("x", "2.999.1"),
        reference_ids=about,
    )
    await register(stack, (manifest, content), (report, b"1"), (other, b"2"))
    found = ids(await of(stack, patient, identifier=f"urn:oid:{uid}"))
    assert {report.entry_uuid, other.entry_uuid} <= found
    if named:
        assert found == {
            report.entry_uuid,
            other.entry_uuid,
            manifest.entry_uuid,
            f"{manifest.entry_uuid}-fhir",
        }
    related = ids(await of(stack, patient, related__identifier=f"urn:oid:{uid}"))
    assert related == {other.entry_uuid, manifest.entry_uuid, f"{manifest.entry_uuid}-fhir"}
    nothing = f"urn:oid:2.25.{uuid.uuid4().int}"
    several = ids(await of(stack, patient, identifier=f"{nothing},urn:oid:{uid}"))
    assert several == related | {report.entry_uuid}


async def test_what_an_identifier_is_asked_with_goes_out_at_once(stack):
    """The search by uniqueId does not wait for the one by reference id, nor that one for it."""
    import asyncio

    patient = a_patient()
    document = a_document()
    status, _ = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200
    both = asyncio.Event()
    waiting: set[bytes] = set()

    async def wait_for_the_other(request):
        if "X-Passed" in request.headers or request.path != wire.REGISTRY:
            return None
        body = await request.read()
        for query in (BY_REFERENCE, b"5c4f972b-d56b-40ac-a5fc"):
            if query in body:
                waiting.add(query)
                if len(waiting) == 2:
                    both.set()
                await asyncio.wait_for(both.wait(), 60)
        return await wire.forwarded(request)

    stack.interfere = wait_for_the_other
    stack.soap_calls.clear()
    try:
        (found,) = await of(stack, patient, identifier=f"urn:oid:{document.unique_id}")
    finally:
        stack.interfere = None
    assert found["masterIdentifier"]["value"] == f"urn:oid:{document.unique_id}"
    # each is forwarded and so counted twice: by uniqueId, by reference id, associations of the page
    assert stack.soap_calls[wire.REGISTRY] == 6


@pytest.mark.parametrize("path", ["DocumentReference", ""])
async def test_a_search_at_the_base_means_of_documents_what_that_of_the_type_means(stack, path):
    patient = a_patient()
    manifest, content, uid = a_manifest(patient)
    older, old_content, old_uid = a_manifest(patient, named=False)
    await register(stack, (manifest, content), (older, old_content))
    for types in ({}, {"_type": "DocumentReference"}, {"_type": "DocumentReference,List"}):
        for entry, study in ((manifest, uid), (older, old_uid)):
            status, bundle = await stack.get(
                f"{stack.base_url}/{path}".rstrip("/"),
                **{
                    "patient.identifier": patient.token,
                    "status": "current",
                    "identifier": f"urn:oid:{study}",
                },
                **(types if not path else {}),
            )
            assert status == 200, bundle
            assert ids(matches(bundle)) == {entry.entry_uuid, f"{entry.entry_uuid}-fhir"}
            # its manifest was read, so the study is known without the patient
            status, bundle = await stack.get(
                f"{stack.base_url}/{path}".rstrip("/"), identifier=f"urn:oid:{old_uid}", **types
            )
            assert status == 200, bundle
            if entry is older:
                assert ids(matches(bundle)) == {older.entry_uuid, f"{older.entry_uuid}-fhir"}


async def test_a_twin_is_found_by_its_entry_uuid_without_the_patient(stack):
    patient = a_patient()
    manifest, content, _ = a_manifest(patient)
    await register(stack, (manifest, content))
    (twin,) = await stack.find(identifier=twin_uuid(manifest.entry_uuid))
    assert twin["content"][0]["attachment"]["contentType"] == FHIR_JSON
    assert {"system": "urn:ietf:rfc:3986", "value": twin_uuid(manifest.entry_uuid)}.items() <= next(
        i for i in twin["identifier"] if i["value"].startswith("urn:uuid:")
    ).items()
    (own,) = await stack.find(identifier=manifest.entry_uuid)
    assert own["content"][0]["attachment"]["contentType"] == DICOM
    for nobody in (twin_uuid(f"urn:uuid:{uuid.uuid4()}"), f"urn:uuid:{uuid.uuid4()}"):
        assert await stack.find(identifier=nobody) == []


# --- pairs ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("named", [True, False], ids=["one study", "an association"])
@pytest.mark.parametrize(
    ("parameter", "half"),
    [
        ({"creation": "ge2025"}, FHIR_JSON),
        ({"creation": "lt2025"}, DICOM),
        ({"setting": "urn:oid:2.999.1.3|OTHER"}, FHIR_JSON),
        ({"facility": "urn:oid:2.999.1.2|HOSP"}, DICOM),
        ({"security-label": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality|R"}, FHIR_JSON),
    ],
)
async def test_half_of_a_registered_pair_gets_no_twin(stack, named, parameter, half):
    patient = a_patient()
    first, content, _ = a_manifest(patient, named=named)
    second = replace(
        first,
        entry_uuid=f"urn:uuid:{uuid.uuid4()}",
        unique_id=f"2.25.{uuid.uuid4().int}",
        mime_type=FHIR_JSON,
        format_code=Code(imaging.FORMAT_FHIR_MANIFEST, imaging.MADO_FORMAT_CODES, "MADO"),
        creation_time="20250310072500",
        practice_setting=Code("OTHER", "2.999.1.3", "Other"),
        facility_type=Code("OTHER", "2.999.1.2", "Other"),
        confidentiality=(Code("R", "2.16.840.1.113883.5.25", "restricted"),),
        hash=None,
        size=None,
    )
    relations = () if named else ((codes.XFRM, second.entry_uuid, first.entry_uuid),)
    await register(stack, (first, content), (second, b"{}"), relations=relations)
    (found,) = await of(stack, patient, **parameter)
    assert f"urn:uuid:{found['id']}" == (first if half == DICOM else second).entry_uuid
    assert len(await of(stack, patient)) == 2


async def test_a_manifest_that_stands_alone_has_its_twin_whatever_it_is_found_by(stack):
    patient = a_patient()
    manifest, content, _ = a_manifest(patient)
    await register(stack, (manifest, content))
    for parameter in ({"creation": "ge2024"}, {"setting": "urn:oid:2.999.1.3|RAD"}, {"type": "18748-4"}):
        assert len(await of(stack, patient, **parameter)) == 2


# --- registries that cannot find by reference id ----------------------------------------------------------------
UNKNOWN = wire.query_answer(
    QueryResult(status=ResponseStatus.FAILURE, errors=(RegistryError("XDSUnknownStoredQuery", "no"),))
)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["refuse", "filter", "answers"])
async def limited(request, tmp_path_factory):
    """A registry without the Reference ID option: one that the settings say so of, and one that says so."""
    quirks = {} if request.param == "answers" else {"reference_ids": request.param}
    async with running_stack(tmp_path_factory.mktemp("limited"), registry_quirks=quirks) as stack:
        stack.interfere = wire.at(wire.REGISTRY, UNKNOWN, asked_for=BY_REFERENCE)
        stack.quirk = request.param
        yield stack


def warnings(bundle):
    found = matches(bundle, "outcome")
    return [i["diagnostics"] for o in found for i in o["issue"] if i["severity"] == "warning"]


@pytest.mark.parametrize("named", [True, False], ids=["named", "legacy"])
async def test_studies_and_numbers_are_found_by_reading_manifests(limited, named):
    patient = a_patient()
    manifest, content, uid = a_manifest(patient, named=named)
    another, another_content, _ = a_manifest(patient, named=named)
    await register(limited, (manifest, content), (another, another_content))
    number = read_kos(content).manifest.study.requests[0].accession.value
    both = {manifest.entry_uuid, f"{manifest.entry_uuid}-fhir"}
    asked = {"patient.identifier": patient.token, "status": "current"}
    for parameter, expected in (
        ({"study-instance-uid": uid}, both),
        ({"study-instance-uid": uid, "modality": "CT"}, both),
        ({"study-instance-uid": "2.999.404"}, set()),
        ({"identifier": f"urn:oid:{uid}"}, both),
        (
            {"accession-number": f"urn:oid:2.999.5.1|{number}"},
            both | {another.entry_uuid, f"{another.entry_uuid}-fhir"},
        ),
    ):
        status, bundle = await limited.get("DocumentReference", **asked, **parameter)
        assert status == 200, bundle
        assert ids(matches(bundle)) == expected, parameter
        said = warnings(bundle)
        # entries that name nothing leave open whether the registry keeps such names at all
        silent = limited.quirk == "answers" and not named and "modality" not in parameter
        assert bool(said) is (limited.quirk == "refuse" or silent)
        assert all("documents" in text for text in said), said


async def test_the_document_of_an_identifier_is_found_all_the_same(limited):
    patient = a_patient()
    document = a_document()
    status, answer = await limited.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    (found,) = await of(limited, patient, identifier=f"urn:oid:{document.unique_id}")
    assert found["masterIdentifier"]["value"] == f"urn:oid:{document.unique_id}"


async def test_a_failing_query_for_what_is_related_leaves_the_document_with_a_warning(stack):
    patient = a_patient()
    document = a_document()
    status, answer = await stack.publish(provide_bundle([document], patient=patient))
    assert status == 200, answer
    stack.interfere = wire.at(wire.REGISTRY, wire.fault("Receiver"), asked_for=BY_REFERENCE)
    asked = {"patient.identifier": patient.token, "status": "current"}
    try:
        status, bundle = await stack.get(
            "DocumentReference", **asked, identifier=f"urn:oid:{document.unique_id}"
        )
        assert (status, len(matches(bundle)), len(warnings(bundle))) == (200, 1, 1)
        status, outcome = await stack.get("DocumentReference", **asked, identifier="urn:oid:2.999.404")
        assert (status, outcome["resourceType"]) == (502, "OperationOutcome")
    finally:
        stack.interfere = None
