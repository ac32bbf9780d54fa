"""Whatever a client sends as manifest: it is stored with what it says, or refused with what is wrong.

`FUZZ_CASES` sets how many mutated manifests are sent; each has its number as seed.
"""

import json
import os
import random

import pytest

from gateway.dicom.kos_writer import write_kos
from gateway.fhir.imaging_documents import manifest_format
from gateway.fhir.issues import OutcomeError
from gateway.fhir.manifest_bundle import manifest_bundle_bytes
from gateway.fhir.manifest_metadata import ManifestFormat
from gateway.fhir.provide_bundle_documents import ProvidedDocument
from gateway.fhir.provide_context import ProvideBundle
from gateway.fhir.terminology import Terminology
from gateway.imaging.manifest_publishing import ManifestPolicy, ManifestPublishing
from gateway.model import Cx, DocumentEntry, Submission, SubmissionSet
from gateway.wiring.imaging import manifest_readers
from tests.dicom.samples import group_case

from .test_manifest_formats import CONTEXT

CASES = int(os.environ.get("FUZZ_CASES", "400"))
BATCH = 100
MANIFEST = group_case()
KOS = write_kos(MANIFEST)
FHIR = manifest_bundle_bytes(MANIFEST, CONTEXT)
POLICIES = [
    ManifestPolicy(publish=publish, strict=strict)
    for publish in ("as_sent", "kos", "both")
    for strict in (True, False)
]
SECRETS = ("Müller", "Jörg", "P-1", "N-77", "19600229")


def publishing(policy: ManifestPolicy) -> ManifestPublishing:
    terms = Terminology()
    return ManifestPublishing(None, manifest_readers(terms), None, terms, policy)


def bundle(content: bytes, form: ManifestFormat) -> ProvideBundle:
    uuid = "urn:uuid:00000000-0000-4000-8000-000000000001"
    patient = Cx("P1", "2.999.3")
    entry = DocumentEntry(
        entry_uuid=uuid,
        unique_id=MANIFEST.sop_instance_uid,
        patient_id=patient,
        mime_type=form.value,
        format_code=form.code,
    )
    submission_set = SubmissionSet(
        entry_uuid="urn:uuid:00000000-0000-4000-8000-000000000002",
        unique_id="2.999.1",
        source_id="2.999.2",
        submission_time="20260101",
        patient_id=patient,
    )
    document = ProvidedDocument(uuid, form.value, content, "0" * 40, len(content))
    submission = Submission(submission_set=submission_set, entries=(entry,))
    return ProvideBundle(submission, (document,), (), (), "digest")


def flipped(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 12)):
        match chance.randrange(4):
            case 0:
                changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
            case 1:
                del changed[chance.randrange(len(changed)) :][chance.randrange(8) :]
            case 2:
                at = chance.randrange(len(changed))
                changed[at : at + 4] = bytes(chance.randrange(256) for _ in range(4))
            case _:
                at = chance.randrange(len(changed))
                changed[at:at] = changed[at : at + chance.randrange(64)]
    return bytes(changed)


ODD = (
    None,
    [],
    {},
    "",
    0,
    -1,
    2**70,
    True,
    "x" * 300,
    "urn:oid:",
    "9999-99-99",
    [{}],
    {"value": 1},
    "\u0000",
)


def restructured(data: bytes, chance: random.Random) -> bytes:
    """Elements of the resource removed, doubled, or of another type."""
    made = json.loads(data)
    for _ in range(chance.randint(1, 4)):
        at = made
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            if not keys:
                break
            key = chance.choice(keys)
            if isinstance(at[key], dict | list) and chance.random() < 0.85:
                at = at[key]
                continue
            if chance.random() < 0.3:
                del at[key]
            else:
                at[key] = chance.choice(ODD)
            break
    return json.dumps(made).encode()


def sent(seed: int) -> tuple[bytes, ManifestFormat]:
    chance = random.Random(seed)
    if seed % 2:
        return flipped(KOS, chance), ManifestFormat.KOS
    return (restructured if seed % 4 else flipped)(FHIR, chance), ManifestFormat.FHIR


@pytest.mark.parametrize("first", range(0, CASES, BATCH))
def test_a_mutated_manifest_is_stored_or_refused_by_name(first):
    kept = 0
    for seed in range(first, min(first + BATCH, CASES)):
        content, form = sent(seed)
        policy = POLICIES[seed % len(POLICIES)]
        try:
            made = publishing(policy).checked(bundle(content, form))
        except OutcomeError as error:
            assert error.status == 422, seed
            assert policy.strict, seed
            issues = error.issues
        else:
            kept += 1
            issues = made.warnings
            documents = {d.entry_uuid: d for d in made.documents}
            for entry in made.submission.entries:
                assert manifest_format(entry) is not None, seed
                assert documents[entry.entry_uuid].mime_type == entry.mime_type, seed
        for issue in issues:
            text = f"{issue.diagnostics} {issue.expression}"
            assert not any(secret in text for secret in SECRETS), (seed, text)
    assert kept, "some of them can be read"


def test_what_was_not_mutated_is_stored_in_every_way():
    for policy in POLICIES:
        for content, form in ((KOS, ManifestFormat.KOS), (FHIR, ManifestFormat.FHIR)):
            made = publishing(policy).checked(bundle(content, form))
            forms = [manifest_format(entry) for entry in made.submission.entries]
            assert len(forms) == (2 if policy.publish == "both" else 1)
            assert ManifestFormat.KOS in forms or policy.publish == "as_sent"
            assert not any(issue.severity == "error" for issue in made.warnings)
