"""Whatever is published, a gateway answers with a transaction-response, or with an OperationOutcome of status 4xx.

`MUTATIONS=50000` in the environment makes as many mutants instead of the usual few.
"""

import json
from collections import Counter
from dataclasses import replace as replaced

import pytest

from gateway.demo.bundles import provide_bundle
from gateway.demo.content import sample_content
from gateway.dicom.kos_reader import read_kos
from gateway.fhir.manifest_bundle import ManifestContext, manifest_bundle_bytes
from gateway.fhir.terminology import Terminology
from gateway.fhir.xml_writer import write_xml
from gateway.safe_xml import parse_xml
from tests.fhir import provide_samples as samples
from tests.fhir import test_provide_fhir_documents as fhir_documents
from tests.fhir import test_simplified_publish as simplified
from tests.fhir.manifest_samples import ASSEMBLED
from tests.fhir.test_provide_robustness import full_bundle
from tests.mutations.domain import AGAIN, count, first, gateway_before_a_domain, numbered
from tests.mutations.mutators import mutated_bytes, mutated_json, mutated_xml
from tests.mutations.watch import grown_by, resident_mib, watching
from tests.system.manifests import FHIR_FORMAT
from tests.system.test_generate_metadata import a_cda, a_fhir_document, binary, parameters

JSON, XML = "application/fhir+json", "application/fhir+xml"
CONTENT = sample_content("mutations")


def with_named_patient(resource):
    """The sample with its patient named by identifier, since no server knows `Patient/9`."""
    named = json.dumps({"identifier": {"system": "urn:oid:2.999.2", "value": "P1"}})
    return json.loads(json.dumps(resource).replace('{"reference": "Patient/9"}', named))


def with_fhir_document():
    made = samples.bundle(b"one")
    made["entry"][2]["resource"] = fhir_documents.document()
    made["entry"][2]["request"]["url"] = "Bundle"
    attachment = made["entry"][1]["resource"]["content"][0]["attachment"]
    del attachment["hash"], attachment["size"]
    attachment["contentType"] = JSON
    return made


BUNDLES = [
    *map(with_named_patient, (full_bundle(), samples.bundle(b"one"), with_fhir_document())),
    with_named_patient(samples.with_folder(b"one", method="PUT")),
    provide_bundle([CONTENT.discharge], patient=CONTENT.patient, folder=CONTENT.folder),
    provide_bundle(
        [CONTENT.corrected_report], patient=CONTENT.patient, replaces=f"DocumentReference/{samples.OLD}"
    ),
]
DOCUMENT = with_named_patient(simplified.document())
CDA = a_cda(CONTENT.patient)
GENERATE = "/DocumentReference/$generate-metadata"
GOOD = [
    *(("", bundle) for bundle in BUNDLES),
    ("/DocumentReference", DOCUMENT),
    (GENERATE, binary(CDA)),
    (GENERATE, parameters(json.loads(a_fhir_document(CONTENT.patient)))),
]
KOS = CONTENT.manifest
FHIR_MANIFEST = replaced(
    KOS,
    content=manifest_bundle_bytes(read_kos(KOS.content).manifest, ManifestContext(Terminology(), ASSEMBLED)),
    content_type=JSON,
    format=FHIR_FORMAT,
)
MANIFESTS = (KOS, FHIR_MANIFEST)
GOOD += [
    *(("", provide_bundle([manifest], patient=CONTENT.patient)) for manifest in MANIFESTS),
    *((GENERATE, binary(manifest.content, manifest.content_type)) for manifest in MANIFESTS),
]
AS_XML = {id(resource): parse_xml(write_xml(resource)) for _, resource in GOOD}


def mutant(number):
    """Path, media type and body of one request."""
    random = numbered("bundle", number)
    if random.random() < 0.2:
        return mutated_manifest(random)
    path, resource = random.choice(GOOD)
    if path == GENERATE and random.random() < 0.3:
        # a document inside is read as well
        changed = mutated_xml(parse_xml(CDA), random) if random.random() < 0.7 else mutated_bytes(CDA, random)
        return path, JSON, json.dumps(binary(changed)).encode()
    match random.randrange(10):
        case 0 | 1:
            return path, JSON, mutated_bytes(json.dumps(resource).encode(), random)
        case 2:
            return path, XML, mutated_xml(AS_XML[id(resource)], random)
        case 3:
            return path, XML, mutated_bytes(write_xml(resource), random)
        case _:
            return path, JSON, json.dumps(mutated_json(resource, random)).encode()


def mutated_manifest(random):
    """A manifest that is changed in itself, with metadata of its size and hash, or with none at all."""
    manifest = random.choice(MANIFESTS)
    if manifest is FHIR_MANIFEST and random.random() < 0.6:
        changed = json.dumps(mutated_json(json.loads(manifest.content), random)).encode()
    else:
        changed = mutated_bytes(manifest.content, random)
    if random.random() < 0.4:
        return GENERATE, JSON, json.dumps(binary(changed, manifest.content_type)).encode()
    bundle = provide_bundle([replaced(manifest, content=changed)], patient=CONTENT.patient)
    return "", JSON, json.dumps(bundle).encode()


@pytest.mark.timeout(120 + count(0) // 10)
async def test_each_mutant_is_answered_and_leaves_nothing_behind(tmp_path):
    statuses = Counter()
    async with gateway_before_a_domain(tmp_path) as (stack, _):

        async def send(path, media_type, body, name):
            headers = {"Content-Type": media_type, "Accept": JSON}
            async with stack.session.post(stack.base_url + path, data=body, headers=headers) as answer:
                said = json.loads(await answer.read())
                statuses[answer.status] += 1
                if answer.status < 300:
                    assert said["resourceType"] in ("Bundle", "DocumentReference", "Parameters"), name
                    return
                assert 400 <= answer.status < 500, (name, answer.status, said)
                assert said["resourceType"] == "OperationOutcome", name
                assert all(issue["diagnostics"] for issue in said["issue"]), name

        with watching() as watch:
            for path, resource in GOOD:
                await send(path, JSON, json.dumps(resource).encode(), "the good one")
            accepted = statuses[200] + statuses[201]
            total, start = count(1500), first()
            memory = resident_mib()
            for number in range(start, start + total):
                await send(*mutant(number), number)
                assert not watch.defects, (number, watch.defects)
            print(f"\n{dict(statuses)}; {memory:.0f} -> {resident_mib():.0f} MiB")

            async def again():
                for number in range(start, start + AGAIN):
                    await send(*mutant(number), number)

            grown = await grown_by(again)
    assert accepted == len(GOOD)
    assert min(statuses[200], statuses[400], statuses[422]) > total // 50
    assert grown < AGAIN // 4, "what is needed once was there: the same requests again leave nothing"
