"""Search parameters of FHIR R5, and that both releases find the same with the names that each has."""

import orjson
import pytest
import pytest_asyncio

from gateway.demo.bundles import provide_bundle
from gateway.demo.samples import IMAGES, SNOMED, SampleCode, SampleReferenceId
from gateway.fhir.versions import to_r5
from gateway.model import codes
from gateway.model import imaging_codes as imaging

from .documents import a_document, a_patient
from .imaging import matches
from .test_releases import JSON, ask

pytestmark = pytest.mark.asyncio(loop_scope="module")

CT = SampleCode(codes.DICOM_CODE_SYSTEM, "CT", "Computed tomography")
HEAD = SampleCode(SNOMED, "774007", "Head and neck")
IDS = {
    "accession": SampleReferenceId(value="A-9", type=codes.REFERENCE_ACCESSION, authority="2.999.7.1"),
    "study": SampleReferenceId(value="2.999.7.2", type=codes.REFERENCE_STUDY),
    "encounter": SampleReferenceId(value="E-9", type=codes.REFERENCE_ENCOUNTER, authority="2.999.7.3"),
    "unique": SampleReferenceId(value="2.999.7.4", type=codes.REFERENCE_UNIQUE_ID),
    "workflow": SampleReferenceId(value="2.999.7.5", type=codes.REFERENCE_WORKFLOW),
}


def in_context(bundle):
    """The ids of encounters where IHE MHD has them, and a legal authenticator."""
    for entry in bundle["entry"]:
        document = entry["resource"]
        if document["resourceType"] == "DocumentReference" and "related" in document.get("context", {}):
            related = document["context"]["related"]
            is_encounter = [
                r["identifier"]["type"]["coding"][0]["code"] == codes.REFERENCE_ENCOUNTER for r in related
            ]
            document["context"]["encounter"] = [
                r for r, own in zip(related, is_encounter, strict=True) if own
            ]
            document["context"]["related"] = [
                r for r, own in zip(related, is_encounter, strict=True) if not own
            ]
            person = {"resourceType": "Practitioner", "id": "signer", "name": [{"family": "Größler"}]}
            document["contained"] = [*document["contained"], person]
            document["authenticator"] = {"reference": "#signer"}
    return bundle


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def published(stack):
    """A patient with a document published in each release, and one that replaces the first."""
    patient = a_patient()
    full = {
        "reference_ids": tuple(IDS.values()),
        "events": (CT, HEAD),
        "category": IMAGES,
        "period": ("2026-01-02T03:00:00Z", "2026-01-02T04:00:00Z"),
    }
    first = in_context(provide_bundle([a_document(title="of R4", **full)], patient=patient))
    second = in_context(provide_bundle([a_document(title="of R5", **full)], patient=patient))
    for path, bundle in (("R4", first), ("R5", to_r5(second))):
        status, _, body = await ask(stack, "POST", f"/{path}", orjson.dumps(bundle), Content_Type=JSON)
        assert status == 200, body
    query = {"patient.identifier": patient.token, "status": "current"}
    _, found = await stack.get("R4/DocumentReference", **query)
    old = next(d for d in matches(found) if d["content"][0]["attachment"]["title"] == "of R4")
    third = provide_bundle(
        [a_document(title="appended")],
        patient=patient,
        relates_to=[("appends", f"DocumentReference/{old['id']}")],
    )
    status, answer = await stack.publish(third)
    assert status == 200, answer
    return patient, old


async def titles(stack, base, patient, **parameters):
    """The titles that a search of a patient finds."""
    status, bundle = await stack.get(
        f"{base}/DocumentReference",
        **{"patient.identifier": patient.token, "status": "current", "_count": "100", **parameters},
    )
    assert status == 200, bundle
    outcomes = bundle.get("issues", {}).get("issue", ())
    assert not outcomes, outcomes
    assert not [e for e in bundle.get("entry", ()) if e["search"]["mode"] == "outcome"]
    return sorted(d["content"][0]["attachment"]["title"] for d in matches(bundle))


BOTH = ["of R4", "of R5"]
ACCESSION, ENCOUNTER = "urn:oid:2.999.7.1|A-9", "urn:oid:2.999.7.3|E-9"
STUDY = "urn:dicom:uid|urn:oid:2.999.7.2"
FORMAT = "urn:ihe:iti:xds:2017:mimeTypeSufficient"


async def test_reference_ids_published_in_either_release_are_the_same(stack, published):
    """Statement 9 of the sheet: 1 encounter and 4 related in R4; 1 context, 2 basedOn, 2 extensions in R5."""
    patient, _ = published
    query = {"patient.identifier": patient.token, "status": "current", "category": IMAGES.code}
    _, found = await stack.get("R4/DocumentReference", **query)
    contexts = [d["context"] for d in matches(found)]
    assert [(len(c["encounter"]), len(c["related"])) for c in contexts] == [(1, 4), (1, 4)]
    assert _sorted(contexts[0]["related"]) == _sorted(contexts[1]["related"])
    _, found = await stack.get("R5/DocumentReference", **query)
    for document in matches(found):
        assert (len(document["context"]), len(document["basedOn"])) == (1, 2)
        assert sum(e["url"] == codes.EXT_REFERENCE_ID for e in document["extension"]) == 2
        assert all("reference" not in based and "type" not in based for based in document["basedOn"])


def _sorted(values):
    return sorted(map(str, values))


@pytest.mark.parametrize(
    ("names", "value", "expected"),
    [
        (("event", "event-code"), "CT", BOTH),
        (("format", "format-code"), FORMAT, ["appended", *BOTH]),
        (("modality",), "CT", BOTH),
        (("modality",), "MR", []),
        (("bodysite",), "774007", BOTH),
        (("creation",), "2026-01-02", ["appended", *BOTH]),
        (("period",), "2026-01-02", BOTH),
        (("related:identifier", "related.identifier"), ACCESSION, BOTH),
        (("related:identifier",), ENCOUNTER, BOTH),
        (("based-on:identifier", "based-on.identifier"), ACCESSION, BOTH),
        (("based-on:identifier",), STUDY, BOTH),
        (("based-on:identifier",), ENCOUNTER, []),
        (("encounter:identifier", "context:identifier", "context.identifier"), ENCOUNTER, BOTH),
        (("encounter:identifier", "context:identifier"), ACCESSION, []),
        (("context:missing", "encounter:missing", "based-on:missing"), "true", ["appended"]),
        (("authenticator.family", "attester.family", "attester:Practitioner.family"), "grossler", BOTH),
        (("authenticator.family:exact", "attester.family:exact"), "Größler", BOTH),
        (("attester.family:contains",), "ssler", BOTH),
        (("attester.family", "attester.given"), "Muster", []),
    ],
)
async def test_the_parameters_of_both_releases_find_the_same(stack, published, names, value, expected):
    patient, _ = published
    for base in ("R4", "R5"):
        for name in names:
            assert await titles(stack, base, patient, **{name: value}) == expected, (base, name)


@pytest.mark.parametrize("base", ["R4", "R5"])
async def test_a_document_is_found_by_its_identifiers(stack, published, base):
    _, old = published
    identifiers = [old["masterIdentifier"], *old["identifier"]]
    values = {f"{i['system']}|{i['value']}" for i in identifiers}
    assert len(values) == 2
    for value in values:
        status, found = await stack.get(f"{base}/DocumentReference", identifier=value)
        assert (status, [d["id"] for d in matches(found)]) == (200, [old["id"]])


@pytest.mark.parametrize(("base", "name"), [("R4", "relatesto"), ("R5", "relatesto"), ("R5", "related")])
async def test_what_relates_to_a_document_is_found(stack, published, base, name):
    patient, old = published
    for value in (f"DocumentReference/{old['id']}", f"{stack.base_url}/R4/DocumentReference/{old['id']}"):
        assert await titles(stack, base, patient, **{name: value}) == ["appended"]
        status, found = await stack.get(f"{base}/DocumentReference", **{name: value})
        (one,) = matches(found)
        assert (status, one["relatesTo"][0]["target"]["reference"]) == (200, f"DocumentReference/{old['id']}")
        # so does the link, whose search needs no patient either
        async with stack.session.get(found["link"][0]["url"]) as again:
            assert [d["id"] for d in matches(await again.json(content_type=None))] == [one["id"]]


@pytest.mark.parametrize("base", ["R4", "R5"])
async def test_nothing_relates_to_what_nothing_relates_to(stack, published, base):
    _, old = published
    _, found = await stack.get(f"{base}/DocumentReference", relatesto=f"DocumentReference/{old['id']}")
    (one,) = matches(found)
    for value in (one["id"], "DocumentReference/unknown", "00000000-0000-4000-8000-000000000000"):
        status, found = await stack.get(f"{base}/DocumentReference", relatesto=value)
        assert (status, found["total"]) == (200, 0)


async def test_in_r4_what_is_related_is_named_by_identifier_alone(stack, published):
    patient, old = published
    for name, value in (("related", f"DocumentReference/{old['id']}"), ("context", "Encounter/1")):
        query = {"patient.identifier": patient.token, name: value}
        status, outcome = await stack.get("R4/DocumentReference", **query)
        assert (status, outcome["resourceType"]) == (400, "OperationOutcome")


async def test_modality_is_found_by_the_extension_of_mado_and_of_hl7(stack):
    """Statement 20: both URLs of the extension make the same event code."""
    patient = a_patient()
    for number, url in enumerate(
        (imaging.EXT_DOCUMENT_MODALITY, imaging.MADO_STRUCTURE + "ext-R5-DocumentReference.modality")
    ):
        bundle = provide_bundle([a_document(title=f"Number {number}")], patient=patient)
        (document,) = [
            e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "DocumentReference"
        ]
        extension = {"url": url, "valueCodeableConcept": {"coding": [CT.coding()]}}
        document["extension"] = [*document.get("extension", ()), extension]
        document.setdefault("context", {})["event"] = [{"coding": [CT.coding()]}]
        status, answer = await stack.publish(bundle)
        assert status == 200, answer
    for base in ("R4", "R5"):
        assert await titles(stack, base, patient, modality="CT") == ["Number 0", "Number 1"]


@pytest.mark.parametrize("base", ["R4", "R5"])
async def test_a_category_is_found_by_the_code_system_of_either_release(stack, base):
    """Statement 21."""
    patient = a_patient()
    category = SampleCode(imaging.EU_PRIORITY_CATEGORIES, imaging.MEDICAL_IMAGING, "Medical imaging")
    status, answer = await stack.publish(
        provide_bundle([a_document(title="one", category=category)], patient=patient)
    )
    assert status == 200, answer
    for system in (imaging.EU_PRIORITY_CATEGORIES, imaging.LEGACY_EU_PRIORITY_CATEGORIES):
        assert await titles(stack, base, patient, category=f"{system}|{category.code}") == ["one"]
